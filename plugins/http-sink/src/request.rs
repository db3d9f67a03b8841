//! A request: sent again while its answer says that this may help, and an error by its class when not.

use longshore_sdk::host::{Request, Response, sleep};
use longshore_sdk::{Error, ErrorClass, Result};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::Config;

/// How long is waited before a request is sent again, the first time; each time twice as long.
const BACKOFF_MILLIS: u32 = 200;

/// The longest wait, also if the server asks for more.
const BACKOFF_LIMIT_MILLIS: u32 = 60_000;

/// So much is shown of an answer that refuses.
const SHOWN_BYTES: u32 = 300;

/// What all requests have in common.
pub(crate) struct Client {
    headers: Vec<(String, String)>,
    timeout_ms: u32,
    retries: u32,
    authorities: Option<String>,
}

impl Client {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let mut headers: Vec<(String, String)> =
            config.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        if let Some(token) = &config.token {
            let token = token.reveal()?;
            if token.contains(char::is_control) {
                return Err(Error::config("the secret of `token` holds a line end or the like")
                    .with_hint("save the secret without: one line end at its end does not count"));
            }
            headers.push(("authorization".into(), format!("Bearer {token}")));
        }
        Ok(Self {
            headers,
            timeout_ms: config.timeout_secs * 1_000,
            retries: config.retries,
            authorities: config.root_cert.as_ref().map(|pem| pem.reveal()).transpose()?,
        })
    }

    /// Whether somebody answers there.
    pub(crate) fn probe(&self, url: &str) -> Result<String> {
        let answer = Response::to(&self.request("HEAD", url, Vec::new(), Vec::new()))?;
        match answer.status() {
            // Many take no HEAD: that somebody answers is enough.
            status @ (401 | 403 | 500 | 502..) => Err(refused(status, answer)),
            status => Ok(format!("answers with status {status}")),
        }
    }

    /// Sends a request until it is taken, or refused for good.
    pub(crate) fn post(
        &self,
        url: &str,
        content_type: &str,
        mut headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Result<()> {
        headers.push(("content-type".into(), content_type.into()));
        let request = self.request("POST", url, headers, body);
        let mut tries = 0;
        loop {
            let (error, asked_millis) = match Response::to(&request) {
                Ok(answer) if (200..300).contains(&answer.status()) => return Ok(()),
                Ok(answer) => {
                    let asked = answer.header("retry-after").and_then(|text| text.parse().ok());
                    (
                        refused(answer.status(), answer),
                        asked.map(|secs: u32| secs.saturating_mul(1_000)),
                    )
                }
                Err(error) => (error, None),
            };
            if tries == self.retries || !is_transient(error.class()) {
                return Err(error);
            }
            let wait = asked_millis.unwrap_or(BACKOFF_MILLIS << tries.min(16));
            sleep(wait.min(BACKOFF_LIMIT_MILLIS));
            tries += 1;
        }
    }

    fn request(
        &self,
        method: &str,
        url: &str,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Request {
        Request {
            method: method.into(),
            url: url.into(),
            headers: [self.headers.clone(), headers].concat(),
            body,
            timeout_ms: self.timeout_ms,
            authorities: self.authorities.clone(),
        }
    }
}

fn is_transient(class: ErrorClass) -> bool {
    use ErrorClass::{Connection, Resource, Throttled, Timeout};
    matches!(class, Connection | Timeout | Throttled | Resource)
}

/// What an answer that is no yes means.
fn refused(status: u16, answer: Response) -> Error {
    let to = answer.header("location");
    // Best effort: the status says most.
    let body = answer.body(SHOWN_BYTES).unwrap_or_default();
    let body = String::from_utf8_lossy(&body).trim().to_owned();
    let message = match body.as_str() {
        "" => format!("the server answered {status}"),
        body => format!("the server answered {status}: {body}"),
    };
    let error = |class, hint: &str| {
        Error::new(class, &message).with_hint(hint).with_code(status.to_string())
    };
    match (status, to) {
        (300..=399, Some(to)) => error(ErrorClass::Config, &format!("give its new address: {to}")),
        (401 | 403, _) => error(ErrorClass::Auth, "check `token` and `headers` of `target`"),
        (404 | 410, _) => error(ErrorClass::NotFound, "check `url` of `target`"),
        (408 | 504, _) => error(ErrorClass::Timeout, "raise `timeout_secs`, or ask its owner"),
        (413, _) => error(ErrorClass::Data, "lower `batch_rows`"),
        (425 | 429 | 503, _) => {
            error(ErrorClass::Throttled, "lower `parallel`, or raise `retries`")
        }
        (500.., _) => error(ErrorClass::Connection, "the server's log says more"),
        _ => error(ErrorClass::Data, "the server does not want these rows: its answer says why"),
    }
}

/// A text as a header can carry it.
pub(crate) fn header_text(text: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
    utf8_percent_encode(text, KEPT).to_string()
}
