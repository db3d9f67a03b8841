//! The life of a run: from the phase in which a process takes it up to its end. Which phase follows and
//! what a stop does is in [`crate::phase`]; what is retried is in [`crate::retry`].

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use longshore_engine::plan::RelationPlan;
use longshore_model::config::settings::cores;
use longshore_model::error::{Error, Result};
use longshore_model::memory::give_back;
use longshore_model::part::RelationTarget;
use longshore_model::watermark::Window;
use longshore_sandbox::tape;

use super::commit::{Commit, RELEASING, RelationCommit, commit, published_report, roll_forward};
use super::destination::quarantine_target;
use super::execution::Execution;
use super::manifest::{Manifest, RelationOutput, RelationRecord, RunHistory};
use super::panic::catch_panic;
use super::preparation::Preparation;
use super::progress::Progress;
use super::report::{RunReport, rfc3339, seconds_since};
use super::run_end::RunEnd;
use super::runner::ActiveRun;
use super::snapshot_holder::SnapshotLease;
use crate::phase::{Outcome, Resume};
use crate::retry::{Recovery, RunRetries, Work};

impl ActiveRun<'_> {
    /// Carries the run from its phase to its end.
    pub(super) async fn work(
        &self,
        watch: &mut impl FnMut(Arc<Progress>),
    ) -> Result<RunReport, RunEnd> {
        let result = tokio::select! {
            result = catch_panic(self.resume(watch)) => result,
            never = self.watch_cancel_flag() => match never {},
        };
        match result {
            Ok(mut report) => {
                report.tapes = tape::kept(&self.runner.settings.state, self.id);
                // It is published, whatever the ledger says to that.
                if let Err(error) = self.runner.finish(self.job, Outcome::Succeeded, &report) {
                    tracing::error!("run {}: published, but {error}", self.id);
                }
                Ok(report)
            }
            Err(end) if end.is_resumable() => Err(end),
            Err(end) => {
                SnapshotLease::new(self.runner.holders, self.id).end().await;
                self.clean_up().await;
                Err(end)
            }
        }
    }

    async fn resume(&self, watch: &mut impl FnMut(Arc<Progress>)) -> Result<RunReport, RunEnd> {
        // Without the ledger nobody knows what is in the target: it stays as it is.
        let phase = self.phase().map_err(RunEnd::Interrupted)?;
        self.ledger().end_left_attempts(self.id).map_err(RunEnd::Interrupted)?;
        match phase.resume() {
            Resume::Plan => match self.find_published().await? {
                Some(report) => Ok(report),
                None => self.carry_out(watch).await,
            },
            Resume::Read => {
                // What it has read is not thrown away while somebody replaces a plugin.
                self.plugins().await.map_err(RunEnd::Interrupted)?;
                self.ledger().event(self.id, "resumed after an interruption")?;
                self.carry_out(watch).await
            }
            Resume::RollForward => self.roll_forward().await,
            Resume::Nothing => {
                Err(Error::internal(format!("run {} is over: {phase}", self.id)).into())
            }
        }
    }

    /// The report of a run that another process published, whose ledger is lost.
    async fn find_published(&self) -> Result<Option<RunReport>> {
        if !self.may_be_in_target() {
            return Ok(None);
        }
        let Some(text) = self.target().manifests().get(self.id).await? else { return Ok(None) };
        let manifest: Manifest = serde_json::from_slice(&text)?;
        tracing::info!("run {}: its manifest is there: it was published", self.id);
        let mode = self.job.target.mode;
        let target = |relation: &RelationRecord| RelationTarget {
            run: self.id.to_owned(),
            relation: relation.name.clone(),
            name: relation.published_as.clone(),
            mode,
        };
        let targets: Vec<RelationTarget> = manifest.relations.iter().map(target).collect();
        let release = || self.target().release(self.id, &targets);
        if let Err(error) = self.retry().run(Work::Request, RELEASING, release).await {
            tracing::warn!("{error}: its staging stays");
        }
        let at = self.target().manifests().url(self.id);
        Ok(Some(published_report(self.target(), manifest, at)))
    }

    async fn roll_forward(&self) -> Result<RunReport, RunEnd> {
        tracing::info!("run {}: going on with its commit", self.id);
        let told = self.ledger().event(self.id, "resumed in the middle of its commit");
        told.map_err(RunEnd::Interrupted)?;
        SnapshotLease::new(self.runner.holders, self.id).end().await;
        Ok(roll_forward(self.ledger(), self.commit_targets(), self.retry(), self.id).await?)
    }

    /// Prepares, reads and commits, again and again until the run is done or no retry is left.
    async fn carry_out(&self, watch: &mut impl FnMut(Arc<Progress>)) -> Result<RunReport, RunEnd> {
        let mut retries = RunRetries::new(self.retry());
        loop {
            let lease = SnapshotLease::new(self.runner.holders, self.id);
            let result = self.try_once(&lease, watch).await;
            let end = match result {
                Err(end) if end.is_resumable() => return Err(end),
                Err(end) => end,
                Ok(report) => {
                    lease.end().await;
                    return Ok(report);
                }
            };
            match recovery(&mut retries, &end) {
                Recovery::Prepare(wait) => self.prepare_again(&end, wait).await?,
                Recovery::Restart(wait) => {
                    lease.end().await;
                    self.restart(&end, wait).await?;
                }
                Recovery::GiveUp => {
                    let end = self.runner.keep_for_retry(self.id, end);
                    if !end.is_resumable() {
                        lease.end().await;
                    }
                    return Err(end);
                }
            }
        }
    }

    async fn prepare_again(&self, end: &RunEnd, wait: Duration) -> Result<(), RunEnd> {
        let text = format!("{end}: trying again in {} ms", wait.as_millis());
        tracing::warn!("run {}: {text}", self.id);
        self.ledger().event(self.id, &text)?;
        self.pause(wait).await
    }

    async fn restart(&self, end: &RunEnd, wait: Duration) -> Result<(), RunEnd> {
        tracing::warn!("run {}: {end}: restarting in {} ms", self.id, wait.as_millis());
        self.ledger().restart(self.id, &end.to_string())?;
        self.target().discard(self.id).await?;
        self.scratch.remove()?;
        self.pause(wait).await
    }

    async fn try_once(
        &self,
        lease: &SnapshotLease<'_>,
        watch: &mut impl FnMut(Arc<Progress>),
    ) -> Result<RunReport, RunEnd> {
        let prepared = tokio::select! {
            prepared = self.prepare(lease) => prepared.map_err(RunEnd::PreparationFailed)?,
            end = self.stopped_before_reading() => return Err(end),
        };
        // What planning took is not kept beside what reading takes.
        give_back();
        let Preparation { plan, tasks, .. } = &prepared;
        let relations = tasks.iter().map(|tasks| tasks.progress.clone()).collect();
        watch(Arc::new(Progress { relations }));
        let (retry, compute) = (self.retry(), self.runner.compute);
        let execution = Execution::new(self.id, tasks, self.ledger(), retry, compute);
        let finished = execution.run(plan.parallel_relations, self.stopped(tasks)).await;
        plan.source.release().await;
        let mut finished = finished?;
        tokio::select! {
            checked = self.check(&prepared, &mut finished) => checked?,
            end = self.stopped(tasks) => return Err(end),
        }
        tokio::select! {
            held = self.hold_names(&prepared.targets) => held?,
            end = self.stopped_before_reading() => return Err(end),
        }
        self.check_expected(&finished).await?;
        let joined = self.join_into_file(&prepared, finished).await?;
        let loaded = self.load(&prepared, joined).await?;
        self.commit(&prepared, &loaded).await
    }

    async fn commit(
        &self,
        Preparation { plan, targets, .. }: &Preparation,
        finished: &[RelationOutput],
    ) -> Result<RunReport, RunEnd> {
        let history = RunHistory {
            run: self.id,
            trigger: self.trigger.clone(),
            started: rfc3339(self.created),
            finished: rfc3339(Utc::now()),
            seconds: seconds_since(self.created),
            threads: cores(),
            interruptions: self.runner.interruptions(self.id)?,
        };
        let relations = targets.iter().zip(finished);
        let record = Commit {
            manifest: Manifest::new(history, self.job, plan, finished, targets),
            relations: relations
                .map(|(target, finished)| {
                    RelationCommit::new(target.clone(), &finished.parts, &finished.replaced)
                })
                .collect(),
            quarantine: quarantined(targets, finished),
            tables: self.tables(plan, targets)?,
            registering: false,
            removing: false,
            advances: plan
                .relations
                .iter()
                .flat_map(RelationPlan::windows)
                .filter_map(Window::advance)
                .collect(),
        };
        Ok(commit(self.ledger(), self.commit_targets(), self.retry(), record).await?)
    }

    /// Removes what the run has in its target.
    async fn clean_up(&self) {
        if !self.may_be_in_target() {
            // The error of the run itself is what people want to know.
            if let Err(error) = catch_panic(self.target().discard(self.id)).await {
                tracing::debug!("{error}: nothing was left there");
            }
            return;
        }
        let discard = || self.target().discard(self.id);
        let clean_up = async { self.retry().run(Work::CleanUp, "cleaning up", discard).await };
        if let Err(error) = catch_panic(clean_up).await {
            tracing::error!("{error}: remove what run {} left there", self.id);
        }
    }
}

/// The quarantined parts of relations.
fn quarantined(targets: &[RelationTarget], finished: &[RelationOutput]) -> Vec<RelationCommit> {
    let commit = |(target, finished): (&RelationTarget, &RelationOutput)| {
        let parts = finished.quarantine();
        (!parts.is_empty()).then(|| RelationCommit::new(quarantine_target(target), &parts, &[]))
    };
    targets.iter().zip(finished).filter_map(commit).collect()
}

fn recovery(retries: &mut RunRetries, end: &RunEnd) -> Recovery {
    match end {
        RunEnd::PreparationFailed(error) => retries.after_preparation(error),
        RunEnd::Failed(error) => retries.after_reading(error),
        RunEnd::Cancelled(_) | RunEnd::Interrupted(_) => Recovery::GiveUp,
    }
}
