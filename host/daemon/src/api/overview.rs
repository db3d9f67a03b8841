//! The overview: what the daemon does now, and how the runs of the last day ended.

use axum::extract::State;
use chrono::{SecondsFormat, TimeDelta, Utc};
use longshore_model::error::Result;
use longshore_model::memory::memory;
use longshore_run::TriggerKind;
use longshore_run::ledger::{OutcomeCounts, RunRecord, TriggerEntry};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Answer, Json};
use super::progress::{ActiveAnswer, ProgressAnswer};
use super::state::{ApiState, SharedState};

/// The time over which ended runs are counted.
const COUNTED_HOURS: i64 = 24;

/// What the daemon does now.
#[derive(Serialize, JsonSchema)]
pub(super) struct Overview {
    /// The program's version.
    version: &'static str,
    /// When the daemon started.
    started: String,
    /// How many jobs run at the same time.
    jobs_at_once: usize,
    memory: MemoryAnswer,
    /// The runs that are asked for and have not begun.
    queue: Vec<QueuedRun>,
    /// The runs that some process works on.
    active: Vec<ActiveAnswer>,
    /// How the runs of the last 24 hours ended.
    counts: OutcomeCounts,
}

/// The memory of the process, as far as rows are in it.
#[derive(Serialize, JsonSchema)]
struct MemoryAnswer {
    used_bytes: u64,
    budget_bytes: u64,
}

/// A run that is asked for and has not begun.
#[derive(Serialize, JsonSchema)]
struct QueuedRun {
    run: String,
    /// The name of the job's file.
    job: String,
    trigger: TriggerKind,
}

pub(super) async fn overview(State(state): State<SharedState>) -> Answer<Overview> {
    Ok(Json(state.read(Overview::of).await?))
}

impl Overview {
    fn of(state: &ApiState) -> Result<Self> {
        let since = Utc::now() - TimeDelta::hours(COUNTED_HOURS);
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            started: state.started.to_rfc3339_opts(SecondsFormat::Millis, true),
            jobs_at_once: state.jobs_at_once,
            memory: MemoryAnswer { used_bytes: memory().used(), budget_bytes: memory().limit() },
            queue: queue(state)?,
            active: active(state)?,
            counts: state.ledger.outcomes(&since.to_rfc3339_opts(SecondsFormat::Millis, true))?,
        })
    }
}

fn queue(state: &ApiState) -> Result<Vec<QueuedRun>> {
    let queued =
        |TriggerEntry { run, job, trigger, .. }| QueuedRun { run, job, trigger: trigger.kind };
    Ok(state.ledger.waiting_triggers()?.into_iter().map(queued).collect())
}

/// The runs that some process works on.
pub(super) fn active(state: &ApiState) -> Result<Vec<ActiveAnswer>> {
    let answer = |run: RunRecord| {
        let progress = progress(state, &run.run)?;
        Ok(ActiveAnswer::new(run, progress))
    };
    state.ledger.active()?.into_iter().map(answer).collect()
}

/// How far a run is that has not ended: as its tasks count it, or else as the ledger does.
pub(super) fn progress(state: &ApiState, run: &str) -> Result<ProgressAnswer> {
    if let Some(reading) = state.active.progress(run) {
        return Ok(reading.into());
    }
    Ok(state.ledger.relation_counts(run)?.into())
}
