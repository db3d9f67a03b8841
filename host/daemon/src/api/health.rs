//! Whether the daemon lives, and whether it can run jobs.

use std::path::Path;

use axum::extract::State;
use longshore_model::error::{Class, Error, Result};
use longshore_model::format::human_bytes;
use longshore_run::ledger::Owner;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Answer, Json};
use super::limits::READY_FREE_BYTES;
use super::state::SharedState;

/// How the daemon is.
#[derive(Serialize, JsonSchema)]
pub(super) struct HealthAnswer {
    /// ok, or ready.
    status: &'static str,
}

pub(super) async fn health() -> Answer<HealthAnswer> {
    Ok(Json(HealthAnswer { status: "ok" }))
}

/// The ledger answers and has room to grow, and what computes answers.
pub(super) async fn ready(State(state): State<SharedState>) -> Answer<HealthAnswer> {
    state.read(|state| state.ledger.unfinished(Owner::Daemon).map(|_| ())).await?;
    check_room(&state.settings().state)?;
    let computing = state.compute.spawn(async {}).await;
    computing.map_err(|error| Error::internal(error.to_string()))?;
    Ok(Json(HealthAnswer { status: "ready" }))
}

/// A ledger that cannot be written takes no run.
fn check_room(folder: &Path) -> Result<()> {
    let disk =
        rustix::fs::statvfs(folder).map_err(|error| Error::io(folder.display(), error.into()))?;
    if disk.f_bavail.saturating_mul(disk.f_frsize) >= READY_FREE_BYTES {
        return Ok(());
    }
    let text = format!("{}: less than {} is free", folder.display(), human_bytes(READY_FREE_BYTES));
    Err(Error::new(Class::Full, text).with_hint("free some space on that disk"))
}
