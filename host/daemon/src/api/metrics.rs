//! The metrics of the daemon, for Prometheus.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::answer::ApiError;
use super::state::SharedState;

/// What Prometheus reads.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn metrics(State(state): State<SharedState>) -> Result<Response, ApiError> {
    let text = state.read(|state| crate::metrics::metrics(&state.ledger, &state.inbox)).await?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}
