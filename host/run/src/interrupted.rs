//! Runs that were interrupted in the way of this one: a run that was killed keeps the names of its relations, and may
//! have published some of its parts.

use std::collections::HashSet;

use longshore_engine::destination::{Folder, HeldName};
use longshore_model::config::target::Mode;
use longshore_model::error::{Class, Error, Result, ResultExt};

use super::commit::{Commit, CommitError, roll_forward};
use super::destination::Destination;
use super::runner::ActiveRun;
use crate::ledger::{Owner, RunLock};
use crate::phase::{Outcome, Phase};
use crate::retry::Work;

/// The name of requests in the log.
const LETTING_GO: &str = "letting go of a name";

impl ActiveRun<'_> {
    /// Completes the commits of dead runs into the job's relations, and lets go of the names that dead runs hold:
    /// where a run publishes into what is there, it would wait for them.
    pub(super) async fn pass_interrupted(&self) -> Result<()> {
        let Destination::Files { folder, .. } = &self.destination else { return Ok(()) };
        if matches!(self.job.target.mode, Mode::Version | Mode::Error) {
            return Ok(());
        }
        for run in self.ledger().committing()? {
            self.pass_committing(&run).await.context(format!("run {run}"))?;
        }
        if self.is_alone()? {
            return Ok(());
        }
        let relations: HashSet<&str> =
            self.job.relations.iter().map(|relation| relation.name.as_str()).collect();
        let names = || folder.held_names(&relations);
        for held in self.retry().run(Work::Request, LETTING_GO, names).await? {
            self.pass_holder(folder.as_ref(), &held).await.context(format!("run {}", held.run))?;
        }
        Ok(())
    }

    /// Whether no other run of this ledger is unfinished.
    fn is_alone(&self) -> Result<bool> {
        for owner in [Owner::Daemon, Owner::Command] {
            if self.ledger().unfinished(owner)?.iter().any(|run| run != self.id) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The phase of another run, while this process holds it; none if somebody works on it, or nobody knows it.
    fn take_dead(&self, run: &str) -> Result<Option<(RunLock, Phase)>> {
        if run == self.id || self.ledger().entry(run)?.is_none() {
            return Ok(None);
        }
        let Some(lock) = self.ledger().lock_run(run)? else { return Ok(None) };
        let entry = self.ledger().entry(run)?;
        Ok(entry.map(|entry| (lock, entry.phase)))
    }

    async fn pass_committing(&self, run: &str) -> Result<()> {
        match self.take_dead(run)? {
            Some((_lock, Phase::Committing)) => self.complete(run).await,
            _ => Ok(()),
        }
    }

    /// Nothing of a run that has not begun to publish is visible. It takes the names again if it is resumed.
    async fn pass_holder(&self, folder: &dyn Folder, held: &HeldName) -> Result<()> {
        let Some((_lock, Phase::Planning | Phase::Reading)) = self.take_dead(&held.run)? else {
            return Ok(());
        };
        self.retry().run(Work::Request, LETTING_GO, || folder.let_go(held)).await
    }

    /// Completes the commit of a dead run of the same job, if it is into one of these relations.
    async fn complete(&self, run: &str) -> Result<()> {
        let Some(commit) = self.ledger().commit::<Commit>(run)? else { return Ok(()) };
        let mut published = commit.manifest.relations.iter().map(|relation| &relation.name);
        let is_common =
            published.any(|name| self.job.relations.iter().any(|own| own.name == *name));
        if commit.manifest.job.target != self.job.target.url || !is_common {
            return Ok(());
        }
        if commit.manifest.job.name != self.job.name {
            let job = &commit.manifest.job.name;
            let said =
                format!("of job {job} was interrupted while it published into the same relation");
            return Err(Error::new(Class::Stale, said)
                .with_hint(format!("complete it with `longshore runs retry {run}`")));
        }
        tracing::warn!("completing run {run}, which was interrupted while it published");
        let completing = roll_forward(self.ledger(), self.commit_targets(), self.retry(), run);
        // The commit of this run contains this: a future of its own keeps its size in bounds.
        let completed = Box::pin(completing).await;
        let report = completed.map_err(CommitError::into_error)?;
        self.runner.finish(self.job, Outcome::Succeeded, &report)
    }
}
