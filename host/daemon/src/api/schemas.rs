//! The schemas that clients read: of a job file, and of this API.

use axum::extract::State;
use serde_json::Value;

use super::answer::{Answer, Json};
use super::state::SharedState;

pub(super) async fn document(State(state): State<SharedState>) -> Answer<Value> {
    Ok(Json(state.document.clone()))
}

pub(super) async fn job() -> Answer<Value> {
    Ok(Json(longshore_model::config::job_schema()))
}
