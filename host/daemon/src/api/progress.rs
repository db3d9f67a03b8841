//! How far runs are, as answers and events tell it.

use longshore_run::ledger::{RelationCounts, RunRecord};
use schemars::JsonSchema;
use serde::Serialize;

use crate::active_runs::RunProgress;

/// A run that some process works on.
#[derive(Clone, Serialize, JsonSchema)]
pub(super) struct ActiveAnswer {
    pub(super) run: String,
    job: String,
    phase: String,
    started: String,
    #[serde(flatten)]
    progress: ProgressAnswer,
}

/// How far a run is, and how quick.
#[derive(Clone, Serialize, JsonSchema)]
pub(super) struct ProgressAnswer {
    rows: u64,
    bytes: u64,
    rows_per_second: u64,
    bytes_per_second: u64,
    /// The seconds until everything is read, as far as that can be told.
    eta_seconds: Option<u64>,
    relations: Vec<RelationAnswer>,
}

/// How far a relation is.
#[derive(Clone, Serialize, JsonSchema)]
pub(super) struct RelationAnswer {
    name: String,
    chunks: u64,
    done: u64,
    rows: u64,
    bytes: u64,
    /// From 0 to 1.
    fraction: f64,
}

impl From<RelationCounts> for RelationAnswer {
    fn from(counts: RelationCounts) -> Self {
        let RelationCounts { name, chunks, done, rows, bytes } = counts;
        let fraction = (done as f64 / chunks.max(1) as f64).min(1.0);
        Self { name, chunks, done, rows, bytes, fraction }
    }
}

impl From<RunProgress> for ProgressAnswer {
    fn from(reading: RunProgress) -> Self {
        let relations = reading.progress.relations.iter().map(|relation| RelationAnswer {
            name: relation.name.clone(),
            chunks: relation.chunks,
            done: relation.chunks_done(),
            rows: relation.rows(),
            bytes: relation.bytes(),
            fraction: relation.fraction(),
        });
        Self {
            relations: relations.collect(),
            rows: reading.rows,
            bytes: reading.bytes,
            rows_per_second: reading.rows_per_second,
            bytes_per_second: reading.bytes_per_second,
            eta_seconds: reading.eta_seconds,
        }
    }
}

impl From<Vec<RelationCounts>> for ProgressAnswer {
    fn from(counts: Vec<RelationCounts>) -> Self {
        Self {
            rows: counts.iter().map(|relation| relation.rows).sum(),
            bytes: counts.iter().map(|relation| relation.bytes).sum(),
            rows_per_second: 0,
            bytes_per_second: 0,
            eta_seconds: None,
            relations: counts.into_iter().map(RelationAnswer::from).collect(),
        }
    }
}

impl ActiveAnswer {
    pub(super) fn new(run: RunRecord, progress: ProgressAnswer) -> Self {
        let phase = run.phase.to_string();
        Self { run: run.run, job: run.job, phase, started: run.created, progress }
    }
}
