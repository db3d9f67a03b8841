//! The answers of the API: JSON, and errors that say who must act.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use longshore_model::error::{Class, Error, ErrorReport};
use schemars::JsonSchema;
use serde::Serialize;

use super::limits::RETRY_AFTER_SECS;

/// What a handler gives.
pub(super) type Answer<T> = Result<Json<T>, ApiError>;

/// A JSON answer.
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
            Err(error) => ApiError::from(Error::from(error)).into_response(),
        }
    }
}

/// An error, and the status that tells of it.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    error: Error,
}

/// The body of an answer that tells of an error.
#[derive(Serialize, JsonSchema)]
pub(super) struct ErrorAnswer {
    error: ErrorBody,
}

/// An error.
#[derive(Serialize, JsonSchema)]
pub(super) struct ErrorBody {
    /// Who must act, as a class.
    class: &'static str,
    /// The source's own code.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// What happened.
    message: String,
    /// Who must act, in words.
    owner: String,
    /// What to do.
    next_step: Option<String>,
    /// The exit code of the command that does the same.
    exit_code: u8,
    /// What else is wrong with the same thing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    also: Vec<ErrorBody>,
}

impl From<ErrorReport> for ErrorBody {
    fn from(report: ErrorReport) -> Self {
        Self {
            class: report.class.name(),
            code: report.code,
            message: report.message,
            owner: report.who_must_act,
            next_step: report.next_step,
            exit_code: report.exit_code,
            also: report.also.into_iter().map(Self::from).collect(),
        }
    }
}

impl ApiError {
    /// An error with a status of its own.
    pub(super) fn new(status: StatusCode, error: Error) -> Self {
        Self { status, error }
    }

    /// Nobody told who asks, or nobody knows them.
    pub(super) fn unauthorized(what: &str) -> Self {
        let hint = "send `Authorization: Bearer TOKEN`, or log in with `longshore dashboard`";
        Self::new(StatusCode::UNAUTHORIZED, Error::auth(what).with_hint(hint))
    }

    /// Who asks may not do that.
    pub(super) fn forbidden(error: Error) -> Self {
        Self::new(StatusCode::FORBIDDEN, error)
    }

    /// The request itself is wrong.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Error::config(message))
    }

    /// There is no such thing.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, Error::not_found(message))
    }

    /// It is not in a state in which that can be done.
    pub(super) fn conflict(error: Error) -> Self {
        Self::new(StatusCode::CONFLICT, error)
    }

    /// Somebody asks for more than is given at a time.
    pub(super) fn too_many(what: &str) -> Self {
        let error = Error::new(Class::Throttled, format!("too many {what} at the same time"));
        Self::new(StatusCode::TOO_MANY_REQUESTS, error.with_hint("ask again later"))
    }

    /// Something takes longer than it may.
    pub(super) fn timeout(status: StatusCode, what: &str) -> Self {
        Self::new(status, Error::timeout(what).with_hint("ask again later"))
    }
}

/// What a class of errors is over HTTP. An error of the job or of its source is none of this server's.
impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let status = match error.class() {
            Class::Config | Class::Auth | Class::NotFound | Class::Data => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Class::Connection | Class::Timeout | Class::Throttled | Class::Stale => {
                StatusCode::FAILED_DEPENDENCY
            }
            Class::Cancelled => StatusCode::CONFLICT,
            Class::Resource | Class::Full => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, error }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorAnswer { error: self.error.report().into() };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS));
            }
            // What the client still sends is not read.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

/// An answer without a body.
pub(super) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// The headers of every answer, whoever made it.
const SECURITY_HEADERS: [(&str, &str); 5] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// Adds the headers of every answer. Nothing is stored, unless the answer says so.
pub(super) fn with_security_headers(mut response: Response) -> Response<Body> {
    let headers: &mut HeaderMap = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let no_store = HeaderValue::from_static("no-store");
    headers.entry(header::CACHE_CONTROL).or_insert(no_store);
    response
}
