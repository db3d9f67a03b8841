//! `http`: requests to granted endpoints. Redirects are not followed, proxies of the environment are
//! not used: what is dialled is what was granted and checked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use longshore_model::error::{Error, Result};
use longshore_model::grant::{Endpoint, Grant};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method};
use tokio::net::lookup_host;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::address::reachable;
use super::connection::{CONNECT_TIMEOUT_SECS, READ_LIMIT_BYTES, READ_TIMEOUT_SECS};
use super::tls::{self, TlsOptions, TlsVerify};

/// The longest that a plugin may wait for an answer to begin.
pub const ANSWER_TIMEOUT_LIMIT_SECS: u64 = 3_600;

/// Headers that say where a request goes and where it ends: the host's own.
const OWN_HEADERS: &[&str] = &[
    "host",
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A request to a server.
pub struct Request {
    /// `GET`, `POST`, ...
    pub method: String,
    /// `http://` or `https://`.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// All of it.
    pub body: Vec<u8>,
    /// How long to wait for the answer to begin.
    pub timeout_millis: u32,
    /// Authorities to trust, as PEM text; the system's without it.
    pub authorities: Option<String>,
}

/// One instance's connections to servers; they end with it.
#[derive(Default)]
pub struct HttpClient {
    /// The last one that was made, and the authorities that it trusts.
    client: Option<(Option<String>, Client)>,
}

impl HttpClient {
    /// Sends a request, within the grant, and waits for the answer to begin. Connections belong to
    /// the runtime `io`.
    pub async fn send(&mut self, io: &Handle, grant: &Grant, request: Request) -> Result<Response> {
        let (url, endpoint) = granted(grant, &request.url)?;
        let method = Method::from_bytes(request.method.as_bytes())
            .ok()
            .filter(|method| *method != Method::CONNECT)
            .ok_or_else(|| Error::internal(format!("`{}` is not a method", request.method)))?;
        let patience = Duration::from_millis(request.timeout_millis.into())
            .min(Duration::from_secs(ANSWER_TIMEOUT_LIMIT_SECS));
        let asking = self
            .client(request.authorities)?
            .request(method, url)
            .headers(headers(&request.headers)?)
            .body(request.body)
            .send();
        // Nobody waits for an answer any more that comes too late.
        let asked = AbortOnDropHandle::new(io.spawn(asking));
        let asked = timeout(patience, asked).await.map_err(|_| {
            Error::timeout(format!("{endpoint} did not answer in {} ms", patience.as_millis()))
        })?;
        let answer = asked.map_err(|error| Error::internal(error.to_string()))?;
        let answer = answer.map_err(|error| broken(&endpoint, &error))?;
        Ok(Response { endpoint, answer, rest: Bytes::new() })
    }

    fn client(&mut self, authorities: Option<String>) -> Result<&Client> {
        if self.client.as_ref().is_none_or(|(known, _)| *known != authorities) {
            let client = new_client(authorities.clone())?;
            self.client = Some((authorities, client));
        }
        match &self.client {
            Some((_, client)) => Ok(client),
            None => Err(Error::internal("no HTTP client")),
        }
    }
}

fn new_client(authorities: Option<String>) -> Result<Client> {
    let verify = TlsVerify::Full;
    let tls = tls::client_config(&TlsOptions { server_name: String::new(), verify, authorities })?;
    Client::builder()
        .use_preconfigured_tls(Arc::unwrap_or_clone(tls))
        .redirect(Policy::none())
        .no_proxy()
        .connect_timeout(Duration::from_secs(CONNECT_TIMEOUT_SECS))
        .dns_resolver(Arc::new(CheckedResolver))
        .user_agent(concat!("longshore/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Error::internal(format!("an HTTP client: {error}")))
}

/// The URL, if its endpoint is granted.
fn granted(grant: &Grant, text: &str) -> Result<(Url, Endpoint)> {
    let url = Url::parse(text).map_err(|error| Error::config(format!("`{text}`: {error}")))?;
    let place = url.host_str().zip(url.port_or_known_default());
    let (host, port) = place
        .filter(|_| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| Error::config(format!("`{text}` is not a URL of http or https")))?;
    let endpoint = Endpoint { host: host.trim_matches(['[', ']']).to_owned(), port };
    grant.check(&endpoint)?;
    Ok((url, endpoint))
}

fn headers(given: &[(String, String)]) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let fault = || Error::internal(format!("`{name}` is not a header that a plugin can send"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| fault())?;
        if OWN_HEADERS.contains(&name.as_str()) {
            return Err(fault());
        }
        let value = HeaderValue::from_str(value).map_err(|_| {
            Error::config(format!("the header `{name}` holds a character that no header has"))
                .with_hint("look for line ends in the text or the secret that it is made of")
        })?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// A server's answer.
pub struct Response {
    endpoint: Endpoint,
    answer: reqwest::Response,
    /// The part of the last piece that did not fit into the caller's `max`.
    rest: Bytes,
}

impl Response {
    /// Its status.
    pub fn status(&self) -> u16 {
        self.answer.status().as_u16()
    }

    /// Its headers, names in lower case.
    pub fn headers(&self) -> Vec<(String, String)> {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        self.answer.headers().iter().map(|(k, v)| (k.as_str().to_owned(), text(v))).collect()
    }

    /// What has arrived of the body, at most `max` bytes; waits if nothing has; empty at the end.
    pub async fn read(&mut self, max: u32) -> Result<Vec<u8>> {
        let max = max.clamp(1, READ_LIMIT_BYTES) as usize;
        while self.rest.is_empty() {
            let next = timeout(Duration::from_secs(READ_TIMEOUT_SECS), self.answer.chunk()).await;
            let next = next.map_err(|_| {
                Error::timeout(format!("{}: silent for {READ_TIMEOUT_SECS} s", self.endpoint))
            })?;
            match next.map_err(|error| broken(&self.endpoint, &error))? {
                Some(piece) => self.rest = piece,
                None => return Ok(Vec::new()),
            }
        }
        Ok(self.rest.split_to(max.min(self.rest.len())).to_vec())
    }
}

/// Names stand for addresses that were checked, and only for those.
struct CheckedResolver;

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The port is the caller's: it is set on what this finds.
            let endpoint = Endpoint { host: name.as_str().to_owned(), port: 0 };
            let found = lookup_host((endpoint.host.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = reachable(&endpoint, found.collect())?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// What a failed request means; the deepest cause says it best.
fn broken(endpoint: &Endpoint, error: &reqwest::Error) -> Error {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(deeper) = cause.source() {
        if let Some(own) = deeper.downcast_ref::<Error>() {
            let refused = Error::new(own.class(), own.to_string());
            return match own.hint() {
                Some(hint) => refused.with_hint(hint),
                None => refused,
            };
        }
        cause = deeper;
    }
    let message = format!("{endpoint}: {cause}");
    if error.is_timeout() {
        Error::timeout(message)
    } else {
        Error::connection(message)
            .with_hint("check the host, the port and, for https, the certificate")
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// A server that answers each connection with this text; gives its port.
    fn server(answer: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        port
    }

    async fn asked(url: &str, granted: &[(&str, u16)]) -> Result<Response> {
        let endpoints =
            granted.iter().map(|(host, port)| Endpoint { host: (*host).into(), port: *port });
        let grant = Grant { endpoints: endpoints.collect(), ..Grant::default() };
        let request = Request {
            method: "GET".into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout_millis: 5_000,
            authorities: None,
        };
        HttpClient::default().send(&Handle::current(), &grant, request).await
    }

    #[tokio::test]
    async fn an_answer_comes_in_pieces() {
        let port = server("HTTP/1.1 200 OK\r\nX-Tag: a\r\nContent-Length: 5\r\n\r\nhello");
        let url = format!("http://127.0.0.1:{port}/x");
        let mut answer = asked(&url, &[("127.0.0.1", port)]).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.headers().contains(&("x-tag".into(), "a".into())));
        assert_eq!(answer.read(3).await.unwrap(), b"hel");
        assert_eq!(answer.read(9).await.unwrap(), b"lo");
        assert_eq!(answer.read(9).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_widens_nothing() {
        let port = server(
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        );
        let url = format!("http://127.0.0.1:{port}/x");
        let answer = asked(&url, &[("127.0.0.1", port)]).await.unwrap();
        assert_eq!(answer.status(), 302);
        let error = asked("http://127.0.0.1:1/", &[("127.0.0.1", port)]).await.err().unwrap();
        assert_eq!(error.class(), longshore_model::error::Class::Auth);
    }

    #[tokio::test]
    async fn what_is_no_request_is_refused() {
        for url in ["file:///etc/passwd", "http://", "gopher://127.0.0.1:1/", "127.0.0.1"] {
            assert!(asked(url, &[("127.0.0.1", 1)]).await.is_err(), "{url}");
        }
        assert!(headers(&[("Host".into(), "metadata".into())]).is_err());
        assert!(headers(&[("X".into(), "a\r\nHost: b".into())]).is_err());
    }
}
