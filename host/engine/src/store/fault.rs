//! Who must act when an object store fails.

use std::error::Error as StdError;
use std::fmt;

use longshore_model::error::{Class, Error};
use object_store::Error as StoreError;
use object_store::client::{HttpError, HttpErrorKind};

/// A store says in one of these codes that there is no such bucket.
const NO_BUCKET: [&str; 2] = ["NoSuchBucket", "ContainerNotFound"];

/// A store says in one of these codes that it does not let somebody in.
const REFUSALS: [&str; 8] = [
    "AccessDenied",
    "AuthenticationFailed",
    "AuthorizationFailure",
    "AuthorizationPermissionMismatch",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
];

/// The error of a store, for a person.
pub(crate) fn object_error(url: &str, error: &StoreError) -> Error {
    // A store of our own has said so already.
    if let StoreError::Generic { source, .. } | StoreError::NotFound { source, .. } = error
        && let Some(own) = source.downcast_ref::<Error>()
    {
        return own.copy();
    }
    let text = without_queries(&error.to_string());
    let answer = Answer::of(&text);
    let class = class(error, &answer);
    let own = Error::new(class, format!("{url}: {answer}"));
    match hint(class, &answer) {
        Some(hint) => own.with_hint(hint),
        None => own,
    }
}

fn class(error: &StoreError, answer: &Answer) -> Class {
    match error {
        _ if answer.has_code(&NO_BUCKET) => Class::NotFound,
        StoreError::NotFound { .. } => Class::NotFound,
        StoreError::AlreadyExists { .. } | StoreError::Precondition { .. } => Class::Resource,
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => Class::Auth,
        StoreError::InvalidPath { .. }
        | StoreError::NotSupported { .. }
        | StoreError::UnknownConfigurationKey { .. } => Class::Config,
        _ if answer.has_code(&REFUSALS) => Class::Auth,
        _ if answer.has_code(&["SlowDown"]) => Class::Throttled,
        _ if transport_fault(error) == Some(HttpErrorKind::Timeout) => Class::Timeout,
        _ => answer.status.map_or(Class::Connection, status_class),
    }
}

pub(super) fn status_class(status: u16) -> Class {
    match status {
        429 | 503 => Class::Throttled,
        408 | 504 => Class::Timeout,
        400..500 => Class::Resource,
        _ => Class::Connection,
    }
}

fn hint(class: Class, answer: &Answer) -> Option<&'static str> {
    match class {
        Class::NotFound if answer.has_code(&NO_BUCKET) => {
            Some("make the bucket, or check its name in `url`")
        }
        Class::Auth => {
            Some("check the store's credentials: the job's, the environment's or the profile's")
        }
        Class::Connection => Some("check that the store answers, and `endpoint`"),
        _ => None,
    }
}

/// What went wrong on the way to the store, if no whole answer came.
fn transport_fault(error: &StoreError) -> Option<HttpErrorKind> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return Some(http.kind());
        }
        cause = error.source();
    }
    None
}

/// What a store answered. `object_store` keeps the status and the body in a type that it does not export, so
/// they are read from the text of its error.
struct Answer<'a> {
    text: &'a str,
    status: Option<u16>,
    /// The code and the message in the body's XML.
    said: Option<(&'a str, &'a str)>,
}

impl<'a> Answer<'a> {
    fn of(text: &'a str) -> Self {
        let element = |name: &str| {
            let rest = text.split_once(&format!("<{name}>"))?.1;
            Some(rest.split_once(&format!("</{name}>"))?.0)
        };
        let status = text.split_once("non-2xx status code: ").and_then(|(_, rest)| rest.get(..3));
        Self {
            text,
            status: status.and_then(|status| status.parse().ok()),
            said: element("Code").map(|code| (code, element("Message").unwrap_or_default())),
        }
    }

    /// Whether it says one of these codes; where it has no XML, a code may stand anywhere in it.
    fn has_code(&self, codes: &[&str]) -> bool {
        match self.said {
            Some((code, _)) => codes.contains(&code),
            None => codes.iter().any(|code| self.text.contains(code)),
        }
    }
}

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((code, message)) = self.said else { return f.write_str(&in_short(self.text)) };
        let first = message.lines().next().unwrap_or_default().trim_end_matches('.');
        match first {
            "" => f.write_str(code),
            message => write!(f, "{message} ({code})"),
        }
    }
}

/// Without the steps of the library and how often it has tried: what went wrong stands behind them.
fn in_short(text: &str) -> String {
    let tried = text.rsplit_once("retry_timeout: ").and_then(|(_, tried)| tried.split_once("- "));
    match tried.map(|(_, why)| why.trim()) {
        None | Some("") => text.to_owned(),
        Some("HTTP error: error sending request") => format!("{} does not answer", server(text)),
        Some(why) => why.to_owned(),
    }
}

/// The server that a text names by a URL.
fn server(text: &str) -> &str {
    let url = text.split(' ').find(|word| word.contains("://")).unwrap_or("the store");
    let path = url.find("://").map_or(url.len(), |at| at + 3);
    let end = url[path..].find('/').map_or(url.len(), |end| path + end);
    &url[..end]
}

/// Without what comes after a `?` in URLs: signatures stand there.
fn without_queries(text: &str) -> String {
    let word = |word: &str| match word.split_once('?') {
        Some((url, _)) if url.contains("://") => format!("{url}?.."),
        _ => word.to_owned(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_in_urls_are_not_shown() {
        let text = "PUT http://host/a/b?sv=1&sig=secret failed";
        assert_eq!(without_queries(text), "PUT http://host/a/b?.. failed");
    }

    fn class_of(source: impl StdError + Send + Sync + 'static) -> Class {
        let source = Box::new(source);
        object_error("s3://lake", &StoreError::Generic { store: "S3", source }).class()
    }

    #[derive(Debug, thiserror::Error)]
    #[error(
        "Error performing GET http://host/a in 31s, after 3 retries, retry_timeout: 30s  - {0}"
    )]
    struct Retried(#[source] HttpError);

    #[derive(Debug, thiserror::Error)]
    #[error("retry_timeout: 30s  - Server returned non-2xx status code: {0} Some Words: {1}")]
    struct Answered(u16, &'static str);

    #[test]
    fn what_happened_on_the_way_says_the_class_and_not_its_words() {
        let retried = |kind| Retried(HttpError::new(kind, std::io::Error::other("reset")));
        assert_eq!(class_of(retried(HttpErrorKind::Timeout)), Class::Timeout);
        assert_eq!(class_of(retried(HttpErrorKind::Connect)), Class::Connection);
    }

    #[test]
    fn what_went_wrong_is_told_without_the_steps_of_the_library() {
        let told = |why: &str| {
            in_short(&format!(
                "Generic S3 error: Error performing list request: Error performing GET http://h:1/b?.. in 4s, after 3 \
                 retries, max_retries: 3, retry_timeout: 30s  - {why}"
            ))
        };
        assert_eq!(told("HTTP error: error sending request"), "http://h:1 does not answer");
        assert_eq!(told("HTTP error: reset"), "HTTP error: reset");
        assert_eq!(server("no url"), "the store");
    }

    #[test]
    fn codes_come_before_the_status() {
        let denied = "<Error><Code>AccessDenied</Code><Message>no.</Message></Error>";
        assert_eq!(class_of(Answered(400, denied)), Class::Auth);
        assert_eq!(class_of(Answered(400, "")), Class::Resource);
        assert_eq!(class_of(Answered(503, "")), Class::Throttled);
        assert_eq!(class_of(Answered(504, "")), Class::Timeout);
        assert_eq!(class_of(Answered(500, "")), Class::Connection);
        let error = StoreError::Generic { store: "S3", source: Box::new(Answered(400, denied)) };
        assert_eq!(object_error("s3://lake", &error).to_string(), "s3://lake: no (AccessDenied)");
    }
}
