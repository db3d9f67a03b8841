//! JSON over a connection of HTTP/2.

use std::io;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use longshore_model::error::{Error, Result};
use tonic::body::Body;
use tonic::transport::Channel;
use tower::{Service, ServiceExt};

use crate::limits::MESSAGE_LIMIT_BYTES;
use crate::tls::told;

/// An answer: its status and its body.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// The code of an error: nobody listens there.
pub(crate) const REFUSED: &str = "refused";

/// The code of an error: one side does not accept the other's certificate, or speaks no TLS.
pub(crate) const NO_TLS: &str = "no-tls";

/// An error of a connection.
fn away(error: &(dyn std::error::Error + 'static)) -> Error {
    let mut cause = Some(error);
    let mut code = None;
    while let Some(inner) = cause {
        code = match inner.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => Some(REFUSED.to_owned()),
            // So rustls says what it does not accept, and what it is not accepted for.
            Some(io::ErrorKind::InvalidData) => Some(NO_TLS.to_owned()),
            _ => code,
        };
        cause = inner.source();
    }
    Error::connection(told(error)).with_code(code)
}

/// Asks for something; a body is JSON, or bytes of a file.
pub(crate) async fn ask(channel: &Channel, path: &str, body: Option<Vec<u8>>) -> Result<Answer> {
    let method = if body.is_some() { Method::POST } else { Method::GET };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(Body::new(Full::new(Bytes::from(body.unwrap_or_default()))))
        .map_err(|error| Error::internal(error.to_string()))?;
    let mut channel = channel.clone();
    let ready = channel.ready().await.map_err(|error| away(&error))?;
    let response = ready.call(request).await.map_err(|error| away(&error))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MESSAGE_LIMIT_BYTES).collect().await;
    let body = body.map_err(|error| Error::connection(error.to_string()))?.to_bytes();
    Ok(Answer { status, body })
}
