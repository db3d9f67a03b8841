//! The uploads that S3 keeps open: who died in the middle of one left it there, and it is paid for. No call of the
//! store's library lists them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use longshore_model::error::{Class, Error, Result};
use object_store::aws::{AmazonS3, AwsAuthorizer};
use object_store::client::{
    HttpClient, HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector,
};
use object_store::path::Path as Key;
use object_store::signer::Signer;
use url::Url;

use super::client::{STORE_RETRIES, client_options};
use super::fault::status_class;
use super::open_uploads::{OpenUpload, OpenUploads};

/// The most answers of one listing: a thousand uploads each.
const PAGES_LIMIT: usize = 1_000;

/// How long the library's own signature of a URL would hold; only the URL is used.
const SIGNATURE_SECS: u64 = 60;

/// The wait before a listing is asked for again; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The uploads that are open in a bucket.
pub(crate) struct S3Uploads {
    store: AmazonS3,
    region: String,
    http: HttpClient,
}

impl S3Uploads {
    pub(crate) fn new(
        store: AmazonS3,
        region: String,
        plain_http: bool,
        secs: u64,
    ) -> Result<Arc<Self>> {
        let http = ReqwestConnector::default()
            .connect(&client_options(plain_http, secs))
            .map_err(|error| Error::internal(format!("an HTTP client: {error}")))?;
        Ok(Arc::new(Self { store, region, http }))
    }

    /// One answer of a listing. It is asked for again as the library asks for what it knows.
    async fn page(&self, prefix: &str, marker: Option<&OpenUpload>) -> Result<String> {
        let mut wait = FIRST_WAIT;
        for _ in 0..STORE_RETRIES {
            match self.ask(prefix, marker).await {
                Err(error) if error.class().is_transient() => tracing::debug!("{error}"),
                done => return done,
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        self.ask(prefix, marker).await
    }

    async fn ask(&self, prefix: &str, marker: Option<&OpenUpload>) -> Result<String> {
        let failed = |error: &dyn std::fmt::Display| {
            Error::connection(format!("listing the uploads that are open: {error}"))
        };
        let mut url = self.bucket_url().await?;
        url.query_pairs_mut().clear().append_pair("prefix", prefix).append_pair("uploads", "");
        if let Some(OpenUpload { key, upload }) = marker {
            url.query_pairs_mut()
                .append_pair("key-marker", key)
                .append_pair("upload-id-marker", upload);
        }
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = url.as_str().parse().map_err(|error| failed(&error))?;
        let credential = self.store.credentials().get_credential().await;
        let credential = credential.map_err(|error| failed(&error))?;
        AwsAuthorizer::new(&credential, "s3", &self.region).authorize(&mut request, None);
        let answer = self.http.execute(request).await.map_err(|error| failed(&error))?;
        let status = answer.status();
        if status == reqwest::StatusCode::NOT_IMPLEMENTED {
            return Ok(String::new());
        }
        if !status.is_success() {
            return Err(refusal(status.as_u16()));
        }
        let body = answer.into_body().bytes().await.map_err(|error| failed(&error))?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// However the bucket is addressed.
    async fn bucket_url(&self) -> Result<Url> {
        let patience = Duration::from_secs(SIGNATURE_SECS);
        let signed = self.store.signed_url(http_get(), &Key::default(), patience).await;
        let mut url =
            signed.map_err(|error| Error::internal(format!("the bucket's URL: {error}")))?;
        url.set_query(None);
        Ok(url)
    }
}

#[async_trait]
impl OpenUploads for S3Uploads {
    async fn beneath(&self, prefix: &str) -> Result<Vec<OpenUpload>> {
        let (mut found, mut marker) = (Vec::new(), None);
        for _ in 0..PAGES_LIMIT {
            let page = self.page(prefix, marker.as_ref()).await?;
            found.extend(uploads(&page));
            let next = (tag(&page, "NextKeyMarker"), tag(&page, "NextUploadIdMarker"));
            match (tag(&page, "IsTruncated").as_deref(), next) {
                (Some("true"), (Some(key), Some(upload))) => {
                    marker = Some(OpenUpload { key, upload })
                }
                _ => break,
            }
        }
        Ok(found)
    }
}

fn refusal(status: u16) -> Error {
    let text = format!("listing the uploads that are open: status {status}");
    match status_class(status) {
        // It would say so each time.
        Class::Resource => {}
        class => return Error::new(class, text),
    }
    Error::auth(text).with_hint("grant s3:ListBucketMultipartUploads on the bucket")
}

fn http_get() -> reqwest::Method {
    reqwest::Method::GET
}

/// The uploads in an answer.
fn uploads(page: &str) -> Vec<OpenUpload> {
    let each = page.split("<Upload>").skip(1);
    each.filter_map(|text| {
        Some(OpenUpload { key: tag(text, "Key")?, upload: tag(text, "UploadId")? })
    })
    .collect()
}

/// What stands between a tag and its end.
fn tag(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once(&format!("</{name}>"))?;
    let plain = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ];
    Some(plain.iter().fold(inner.to_owned(), |text, (from, to)| text.replace(from, to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let page = "<R><IsTruncated>false</IsTruncated><Upload><Key>a&amp;b/c</Key><UploadId>1</UploadId></Upload>\
                    <Upload><Key>d</Key><UploadId>2</UploadId></Upload></R>";
        let is = |key: &str, upload: &str| OpenUpload { key: key.into(), upload: upload.into() };
        assert_eq!(uploads(page), [is("a&b/c", "1"), is("d", "2")]);
        assert_eq!(tag(page, "IsTruncated").as_deref(), Some("false"));
    }

    #[test]
    fn only_a_store_that_will_not_answer_is_left_alone() {
        for (status, class) in [
            (400, Class::Auth),
            (403, Class::Auth),
            (405, Class::Auth),
            (408, Class::Timeout),
            (429, Class::Throttled),
            (500, Class::Connection),
            (503, Class::Throttled),
        ] {
            assert_eq!(refusal(status).class(), class, "{status}");
        }
    }
}
