//! The metrics of the daemon, for Prometheus.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use longshore_model::error::Result;
use longshore_telemetry::{Queue, metrics_text};

use super::answer::ApiError;
use super::state::{ApiState, Shared};

/// What Prometheus reads.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn metrics(State(state): State<Shared>) -> Result<Response, ApiError> {
    let text = state.read(|state| metrics_text(&state.ledger, Some(queue(state)?))).await?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// The runs that are asked for and have not begun.
fn queue(state: &ApiState) -> Result<Queue> {
    let waiting = state.ledger.waiting_runs()?;
    Ok(Queue { jobs: waiting.runs, since: waiting.since })
}
