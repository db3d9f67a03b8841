//! What callers do with a run: run it to its end, or give it up.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use longshore_model::config::Job;
use longshore_model::error::{Class, Error, Result};
use longshore_sandbox::tape;

use super::control::RunControl;
use super::notice;
use super::panic::catch_panic;
use super::progress::Progress;
use super::report::{RunReport, Status, rfc3339, seconds_since};
use super::run_end::RunEnd;
use super::runner::Runner;
use super::scratch::Scratch;
use super::snapshot_holder::SnapshotLease;
use super::trace::RunTrace;
use crate::ledger::{JobAdvances, NewMessage};
use crate::phase::{Outcome, Phase};

impl Runner<'_> {
    /// Runs a job, or resumes a run that was interrupted. `watch` is called with the progress when a
    /// plan is made, again if the run restarts.
    pub async fn run(
        &self,
        id: &str,
        job: &Job,
        mut watch: impl FnMut(Arc<Progress>),
        control: &RunControl,
    ) -> (RunReport, Result<()>) {
        let (opened, control) = (Utc::now(), control.of_run());
        let (result, created, checks) = match catch_panic(self.open(id, job, control)).await {
            Ok(run) => (run.work(&mut watch).await, run.created, run.take_checks()),
            Err(end) => (Err(self.end_of_closed_run(id, end)), opened, Vec::new()),
        };
        let end = match result {
            Ok(report) => return (report, Ok(())),
            Err(end) => end,
        };
        let status = end.status();
        let error = end.into_error();
        let report = self.unpublished(id, job, status, created, &error);
        let report = RunReport { checks, ..report };
        if let Some(outcome) = status.outcome()
            && let Err(error) = self.finish(job, outcome, &report)
        {
            tracing::error!("{error}");
        }
        (report, Err(error))
    }

    /// Gives up a run that no process works on: removes what it left in its target, and ends its
    /// holder.
    pub async fn give_up(&self, id: &str, job: &Job, why: Error) -> Result<RunReport> {
        let run = self.open(id, job, RunControl::default()).await.map_err(RunEnd::into_error)?;
        SnapshotLease::new(self.holders, id).end().await;
        run.target().discard(id).await?;
        let (status, outcome) = match why.class() {
            Class::Cancelled => (Status::Cancelled, Outcome::Cancelled),
            _ => (Status::Failed, Outcome::Failed),
        };
        let report = self.unpublished(id, job, status, run.created, &why);
        self.finish(job, outcome, &report)?;
        Ok(report)
    }

    /// Records the end of a run, and the messages that tell of it. Its scratch folder goes.
    pub(super) fn finish(&self, job: &Job, outcome: Outcome, report: &RunReport) -> Result<()> {
        let webhooks = job.notify.iter().chain(&self.settings.notify);
        let mut messages = notice::of_report(report, webhooks);
        messages.extend(self.traces(report));
        let moved = JobAdvances { job: &job.name, advances: &report.advances };
        messages.extend(self.lineage().ended(report));
        self.ledger.finish_and_post(&report.run, outcome, report, &messages, moved)?;
        Scratch::of(self.settings, &report.run).remove()
    }

    /// The messages to a collector of traces, if there is one.
    fn traces(&self, report: &RunReport) -> Vec<NewMessage> {
        let Some(to) = &self.settings.traces else { return Vec::new() };
        let trace = RunTrace { report, ledger: self.ledger, parent: self.trace_parent };
        trace.messages(to).unwrap_or_else(|error| {
            tracing::warn!("run {}: no trace: {error}", report.run);
            Vec::new()
        })
    }

    /// The end of a run that could not be opened. Half of a commit may be visible: whatever is in the way now, the
    /// commit is completed later.
    fn end_of_closed_run(&self, id: &str, end: RunEnd) -> RunEnd {
        match end {
            RunEnd::PreparationFailed(error) | RunEnd::Failed(error)
                if self.may_be(id, |phase| phase == Phase::Committing) =>
            {
                RunEnd::Interrupted(error)
            }
            end => self.keep_for_retry(id, end),
        }
    }

    /// The end of a run that somebody starts again: after an error that passes, what it has read is kept. A
    /// commit that was taken back has nothing left to keep.
    pub(super) fn keep_for_retry(&self, id: &str, end: RunEnd) -> RunEnd {
        match end {
            RunEnd::PreparationFailed(error) | RunEnd::Failed(error)
                if self.is_retried
                    && error.class().is_transient()
                    && self.may_be(id, Phase::is_cancellable) =>
            {
                let text = format!("{error}: what was read is kept");
                if let Err(error) = self.ledger.event(id, &text) {
                    tracing::warn!("run {id}: {error}");
                }
                RunEnd::Interrupted(error)
            }
            end => end,
        }
    }

    /// Whether a run may be in such a phase. Without the ledger nobody knows, and nothing is given up.
    fn may_be(&self, id: &str, is_such: impl Fn(Phase) -> bool) -> bool {
        match self.ledger.entry(id) {
            Ok(entry) => entry.is_some_and(|entry| is_such(entry.phase)),
            Err(error) => {
                tracing::warn!("run {id}: {error}");
                true
            }
        }
    }

    /// The report of a run that published nothing.
    fn unpublished(
        &self,
        id: &str,
        job: &Job,
        status: Status,
        created: DateTime<Utc>,
        error: &Error,
    ) -> RunReport {
        RunReport {
            run: id.to_owned(),
            trigger: or_nothing(id, self.trigger(id)),
            job: job.name.clone(),
            parameters: job.parameters.clone(),
            status,
            started: rfc3339(created),
            seconds: seconds_since(created),
            rows: 0,
            bytes: 0,
            consistency: None,
            relations: Vec::new(),
            checks: Vec::new(),
            interruptions: or_nothing(id, self.interruptions(id)),
            manifest: None,
            advances: Vec::new(),
            tapes: tape::kept(&self.settings.state, id),
            error: Some(error.report()),
        }
    }
}

/// What the ledger says of a run, for a report that is made in any case: nothing, if it cannot be read.
fn or_nothing<T: Default>(id: &str, found: Result<T>) -> T {
    found.unwrap_or_else(|error| {
        tracing::warn!("run {id}: {error}");
        T::default()
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use longshore_model::config::{ParameterRecord, PluginFolders, Settings};
    use longshore_model::layout::LEDGER;
    use longshore_plugins::Catalog;
    use longshore_sandbox::{Snapshot, SnapshotResult};
    use serde_json::json;
    use tokio::runtime::Handle;

    use super::*;
    use crate::ledger::{Ledger, NewRun, Owner};
    use crate::plan_record::{BuiltBy, PlanRecord};

    fn runner<'a>(
        ledger: &'a Ledger,
        catalog: &'a Catalog,
        settings: &'a Settings,
        compute: &'a Handle,
    ) -> Runner<'a> {
        Runner {
            catalog,
            settings,
            compute,
            ledger,
            owner: Owner::Command,
            holders: None,
            is_resumed: true,
            is_retried: false,
            trace_parent: None,
            parent_run: None,
            own_folders: &[],
            clusters: None,
        }
    }

    fn begin(ledger: &Ledger, run: &str) {
        let parameters = ParameterRecord::default();
        let (id, file, owner) = (run, Path::new("/in/shop.yaml"), Owner::Command);
        let new = NewRun { id, job: "shop", digest: "d", file, parameters: &parameters, owner };
        ledger.begin(&new).unwrap();
        let snapshot = Snapshot { token: "t".into(), label: "PostgreSQL".into() };
        let plan = PlanRecord {
            built_by: BuiltBy::default(),
            snapshot: SnapshotResult::Opened(snapshot),
            has_holder: false,
            scans: Vec::new(),
        };
        ledger.plan(run, &plan).unwrap();
    }

    #[tokio::test]
    async fn a_run_that_may_be_half_published_is_kept_after_any_error() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        begin(&ledger, "reads");
        begin(&ledger, "commits");
        ledger.record_commit("commits", &json!({}), JobAdvances::NONE).unwrap();
        let (catalog, compute) = (Catalog::default(), Handle::current());
        let own = || folder.path().to_owned();
        let settings = Settings::with_defaults(PluginFolders::from(folder.path()), own(), own());
        let runner = runner(&ledger, &catalog, &settings, &compute);
        let is_kept = |run: &str| {
            let end = runner.end_of_closed_run(run, Error::auth("the login was revoked").into());
            end.is_resumable()
        };
        assert_eq!(["unknown", "reads", "commits"].map(is_kept), [false, false, true]);
        let other = rusqlite::Connection::open(folder.path().join(LEDGER)).unwrap();
        other.execute_batch("ALTER TABLE runs RENAME TO gone").unwrap();
        assert!(is_kept("reads"), "without the ledger nobody knows");
    }
}
