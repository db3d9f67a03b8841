//! What handlers take out of requests. What is wrong with a request is told as every error is.

use std::error::Error as _;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use longshore_model::error::Error;
use serde::de::DeserializeOwned;

use super::answer::ApiError;

/// The parameters of a query.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(params)| Self(params)).map_err(|rejection| {
            let cause = rejection.source().map(ToString::to_string).unwrap_or_default();
            ApiError::bad_request(format!("the query: {cause}"))
        })
    }
}

/// The names in a path.
pub(super) struct Names<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Names<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(names)| Self(names))
            .map_err(|rejection| ApiError::bad_request(rejection.body_text()))
    }
}

/// A body of JSON.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if content_type(&request) != "application/json" {
            return Err(unsupported("application/json"));
        }
        let bytes = body(request, state).await?;
        let value = serde_json::from_slice(&bytes);
        value.map(Self).map_err(|error| ApiError::bad_request(format!("the body: {error}")))
    }
}

/// A body of JSON that may be absent.
pub(super) struct OptionalBody<T>(pub(super) T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for OptionalBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = body(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        let value = serde_json::from_slice(&bytes);
        value.map(Self).map_err(|error| ApiError::bad_request(format!("the body: {error}")))
    }
}

/// A body that is a job, as a text whose format its content type names.
pub(super) struct JobBody {
    pub(super) text: String,
    /// The ending of a file of this format.
    pub(super) ending: &'static str,
}

impl<S: Send + Sync> FromRequest<S> for JobBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let ending = match content_type(&request).as_str() {
            "application/yaml" | "application/x-yaml" | "text/yaml" => "yaml",
            "application/json" => "json",
            "application/toml" | "text/toml" => "toml",
            _ => return Err(unsupported("application/yaml, application/json or application/toml")),
        };
        let bytes = body(request, state).await?;
        let text = String::from_utf8(bytes.into())
            .map_err(|_| ApiError::bad_request("the body is not UTF-8 text"))?;
        Ok(Self { text, ending })
    }
}

async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    let bytes = Bytes::from_request(request, state).await;
    bytes.map_err(|rejection| {
        ApiError::new(rejection.status(), Error::config(rejection.body_text()))
    })
}

/// The content type, without its parameters.
fn content_type(request: &Request) -> String {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let whole = value.unwrap_or_default();
    whole.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn unsupported(wanted: &str) -> ApiError {
    let error = Error::config("the body's content type is not one that is read here");
    let hint = format!("send `Content-Type: {wanted}`");
    ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error.with_hint(hint))
}
