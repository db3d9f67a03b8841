//! All that another process needs to carry out tasks of a run.

use chrono::{DateTime, Utc};
use longshore_engine::drift::Expectation;
use longshore_engine::scan::{Chunk, ScanPlan};
use longshore_model::config::{Job, PortableJob, Settings};
use longshore_model::error::Result;
use longshore_model::part::RelationTarget;
use longshore_sandbox::SnapshotResult;
use serde::{Deserialize, Serialize};

use crate::plan_record::{BuiltBy, PlanRecord};

/// A run, for an executor. It holds the values of the job's secrets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunSpec {
    /// The run's id.
    pub run: String,
    /// When it began: `now()` in its SQL.
    pub(super) began: DateTime<Utc>,
    /// The program and the plugins that planned it.
    pub built_by: BuiltBy,
    /// The job.
    pub(super) job: PortableJob,
    /// The snapshot that is read.
    pub(super) snapshot: SnapshotResult,
    /// The scans of each relation, in the job's order.
    pub(super) scans: Vec<Vec<RecordedScan>>,
    /// What the target held of each relation when the run was planned.
    pub(super) expected: Vec<Option<Expectation>>,
    /// The relations' places in the target.
    pub(super) targets: Vec<RelationTarget>,
}

/// A scan with its chunks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RecordedScan {
    scan: ScanPlan,
    chunks: Vec<Chunk>,
}

impl RecordedScan {
    pub(super) fn restored(self) -> ScanPlan {
        ScanPlan { chunks: self.chunks, ..self.scan }
    }
}

impl RunSpec {
    /// That of a run which is planned.
    pub(crate) fn new(
        (run, began): (&str, DateTime<Utc>),
        job: &Job,
        settings: &Settings,
        plan: PlanRecord,
        expected: Vec<Option<Expectation>>,
        targets: Vec<RelationTarget>,
    ) -> Result<Self> {
        let recorded = |scan: ScanPlan| RecordedScan { chunks: scan.chunks.clone(), scan };
        let scans = plan.scans.into_iter();
        Ok(Self {
            run: run.to_owned(),
            began,
            built_by: plan.built_by,
            job: PortableJob::new(job, &settings.policy, settings.secrets.as_deref())?,
            snapshot: plan.snapshot,
            scans: scans.map(|scans| scans.into_iter().map(recorded).collect()).collect(),
            expected,
            targets,
        })
    }
}
