//! Whether the daemon lives, and whether it can run jobs.

use axum::extract::State;
use longshore_run::ledger::Owner;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Answer, Json};
use super::state::Shared;

/// How the daemon is.
#[derive(Serialize, JsonSchema)]
pub(super) struct HealthAnswer {
    /// ok, or ready.
    status: &'static str,
}

pub(super) async fn health() -> Answer<HealthAnswer> {
    Ok(Json(HealthAnswer { status: "ok" }))
}

/// The ledger answers, and what computes does.
pub(super) async fn ready(State(state): State<Shared>) -> Answer<HealthAnswer> {
    state.read(|state| state.ledger.unfinished(Owner::Daemon).map(|_| ())).await?;
    let computing = state.compute.spawn(async {}).await;
    computing.map_err(|error| longshore_model::error::Error::internal(error.to_string()))?;
    Ok(Json(HealthAnswer { status: "ready" }))
}
