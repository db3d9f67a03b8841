//! Objects of a store, as files: what is particular to S3 or Azure is in the stores' own files.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as Key;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig};

use super::files::{ByteStream, Entry, Files, STORE_TIMEOUT_SECS, absent_is_fine, within};
use crate::error::{Class, Error, Result};

/// How long a store may take for one try of a request that carries no rows.
pub(super) const REQUEST_TIMEOUT_SECS: u64 = 20;

/// A request is tried again so often at once.
const STORE_RETRIES: usize = 3;

/// And for so long.
const STORE_RETRY_SECS: u64 = 30;

/// A prefix of a bucket or container.
pub(super) struct ObjectFiles {
    pub(super) store: Arc<dyn ObjectStore>,
    /// How the store's root reads, without a slash at its end.
    base: String,
    prefix: String,
}

impl fmt::Debug for ObjectFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectFiles({})", self.url(""))
    }
}

impl ObjectFiles {
    /// Files in a store; `base` and `prefix` are free of slashes at their ends.
    pub(super) fn new(store: Arc<dyn ObjectStore>, base: String, prefix: String) -> Self {
        Self { store, base, prefix }
    }

    pub(super) fn key(&self, path: &str) -> Key {
        let parts = self.prefix.split('/').chain(path.split('/'));
        Key::from_iter(parts.filter(|part| !part.is_empty()))
    }

    /// Asks the store something about a path, within the time that it may take.
    pub(super) async fn asked<T>(
        &self,
        path: &str,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T> {
        let work = async { work.await.map_err(|error| object_error(&self.url(path), error)) };
        // Its own retries are within.
        within(STORE_TIMEOUT_SECS * 2, || self.url(path), work).await
    }
}

#[async_trait]
impl Files for ObjectFiles {
    fn url(&self, path: &str) -> String {
        let parts = [self.base.as_str(), self.prefix.as_str(), path];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
    }

    async fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let payload = PutPayload::from(bytes.to_vec());
        self.asked(path, self.store.put(&self.key(path), payload)).await.map(drop)
    }

    async fn put_new(&self, path: &str, bytes: &[u8]) -> Result<bool> {
        let (key, payload) = (self.key(path), PutPayload::from(bytes.to_vec()));
        let put = self.store.put_opts(&key, payload, PutMode::Create.into()).await;
        match put {
            Ok(_) => Ok(true),
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => Ok(false),
            Err(error) => Err(object_error(&self.url(path), error)),
        }
    }

    async fn read(&self, path: &str) -> Result<ByteStream> {
        let key = self.key(path);
        let got = self.asked(path, self.store.get(&key)).await?;
        let url = self.url(path);
        Ok(got.into_stream().map_err(move |error| object_error(&url, error)).boxed())
    }

    async fn list(&self, folder: &str) -> Result<Option<Vec<Entry>>> {
        let key = self.key(folder);
        let listed = self.asked(folder, self.store.list_with_delimiter(Some(&key))).await?;
        let name = |key: &Key| key.filename().unwrap_or_default().to_owned();
        let folders =
            listed.common_prefixes.iter().map(|key| Entry { name: name(key), bytes: None });
        let files = listed
            .objects
            .iter()
            .map(|object| Entry { name: name(&object.location), bytes: Some(object.size) });
        let entries: Vec<Entry> = folders.chain(files).collect();
        Ok((!entries.is_empty()).then_some(entries))
    }

    async fn exists(&self, folder: &str) -> Result<bool> {
        let key = self.key(folder);
        let first = async { self.store.list(Some(&key)).try_next().await };
        Ok(self.asked(folder, first).await?.is_some())
    }

    async fn remove(&self, path: &str) -> Result<()> {
        let key = self.key(path);
        absent_is_fine(self.asked(path, self.store.delete(&key)).await)?;
        let inside: Vec<_> = self.asked(path, self.store.list(Some(&key)).try_collect()).await?;
        for object in inside {
            absent_is_fine(self.asked(path, self.store.delete(&object.location)).await)?;
        }
        Ok(())
    }
}

/// Who must act, from what the store says.
pub(super) fn object_error(url: &str, error: object_store::Error) -> Error {
    use object_store::Error as Store;
    let text = without_queries(&error.to_string());
    let credentials =
        "check the store's credentials: the job's, the environment's or the profile's";
    let (class, hint) = match &error {
        Store::NotFound { .. }
            if text.contains("NoSuchBucket") || text.contains("ContainerNotFound") =>
        {
            (Class::NotFound, Some("make the bucket, or check its name in `target.url`"))
        }
        Store::NotFound { .. } => (Class::NotFound, None),
        Store::AlreadyExists { .. } | Store::Precondition { .. } => (Class::Resource, None),
        Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => {
            (Class::Auth, Some(credentials))
        }
        Store::InvalidPath { .. }
        | Store::NotSupported { .. }
        | Store::UnknownConfigurationKey { .. } => (Class::Config, None),
        _ if ["ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "AuthenticationFailed"]
            .iter()
            .any(|code| text.contains(code)) =>
        {
            (Class::Auth, Some(credentials))
        }
        _ if text.contains("SlowDown") || text.contains("503") => (Class::Throttled, None),
        _ if text.contains("timed out") || text.contains("timeout") => (Class::Timeout, None),
        _ if text.contains("status code: 4") || text.contains("Client error") => {
            (Class::Resource, None)
        }
        _ => (Class::Connection, Some("check that the store answers, and `endpoint`")),
    };
    let own = Error::new(class, format!("{url}: {text}"));
    match hint {
        Some(hint) => own.with_hint(hint),
        None => own,
    }
}

/// Without what comes after a `?` in URLs: signatures stand there.
fn without_queries(text: &str) -> String {
    let word = |word: &str| match word.split_once('?') {
        Some((url, _)) if url.contains("://") => format!("{url}?.."),
        _ => word.to_owned(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// How long one request may take.
pub(super) fn client_options(plain_http: bool, secs: u64) -> ClientOptions {
    ClientOptions::new().with_timeout(Duration::from_secs(secs)).with_allow_http(plain_http)
}

/// The store's own retries; ours come on top.
pub(super) fn retry_config() -> RetryConfig {
    RetryConfig {
        max_retries: STORE_RETRIES,
        retry_timeout: Duration::from_secs(STORE_RETRY_SECS),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_in_urls_are_not_shown() {
        let text = "PUT http://host/a/b?sv=1&sig=secret failed";
        assert_eq!(without_queries(text), "PUT http://host/a/b?.. failed");
    }
}
