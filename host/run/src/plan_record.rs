//! The plan of a run, as the ledger stores it.

use longshore_engine::plan::{ResumeState, RunPlan};
use longshore_engine::scan::ScanPlan;
use longshore_model::config::Job;
use longshore_model::error::{Class, Error, Result};
use longshore_plugins::PluginDigests;
use longshore_sandbox::SnapshotResult;
use serde::{Deserialize, Serialize};

/// How much of a plugin's digest people are shown.
const DIGEST_SHOWN_CHARS: usize = 12;

/// The plan of a run.
#[derive(Clone, Debug)]
pub struct PlanRecord {
    /// The program and the plugins that made it.
    pub built_by: BuiltBy,
    /// The snapshot that it reads, or why there is none.
    pub snapshot: SnapshotResult,
    /// Whether a holder keeps the snapshot when the process ends.
    pub has_holder: bool,
    /// The scans of each relation, in the job's order.
    pub scans: Vec<Vec<ScanPlan>>,
}

/// The program and the plugins that made a plan. It is good for no others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltBy {
    /// The program's version.
    longshore: String,
    /// The digests of the plugins.
    pub plugins: PluginDigests,
}

impl BuiltBy {
    /// This program, with the plugins of a plan.
    pub fn new(plan: &RunPlan) -> Self {
        let longshore = env!("CARGO_PKG_VERSION").to_owned();
        Self { longshore, plugins: plan.plugins.digests() }
    }

    /// The difference between the plan's program and plugins and those of now, in words; none if they are the same.
    pub fn difference(&self, now: &Self) -> Option<String> {
        if self.longshore != now.longshore {
            let (then, now) = (&self.longshore, &now.longshore);
            return Some(format!("the plan was made by Longshore {then}, and this is {now}"));
        }
        let mut places = self.plugins.keys().chain(now.plugins.keys());
        let place = places.find(|&at| self.plugins.get(at) != now.plugins.get(at))?;
        let shown = |of: &Self| match of.plugins.get(place) {
            Some(digest) => digest.get(..DIGEST_SHOWN_CHARS).unwrap_or(digest).to_owned(),
            None => "none".to_owned(),
        };
        let (then, now) = (shown(self), shown(now));
        Some(format!("the plugin of {place} was {then} when the run was planned, and is {now}"))
    }
}

impl PlanRecord {
    /// The record of a new plan.
    pub fn new(plan: &RunPlan, has_holder: bool) -> Self {
        Self {
            built_by: BuiltBy::new(plan),
            snapshot: plan.snapshot.clone(),
            has_holder,
            scans: plan.relations.iter().map(|relation| relation.scans.clone()).collect(),
        }
    }

    /// What the planner takes from the record when the run resumes.
    pub fn resume_state(self, job: &Job) -> Result<ResumeState> {
        if self.scans.len() != job.relations.len() {
            return Err(Error::new(Class::Stale, "the job has other relations than its plan"));
        }
        Ok(ResumeState { snapshot: Some(self.snapshot), scans: Some(self.scans) })
    }
}
