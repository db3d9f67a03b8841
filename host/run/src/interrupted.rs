//! Runs that were interrupted in the way of this one: a run that was killed keeps the names of its relations, and may
//! have published some of its parts.

use longshore_engine::destination::Folder;
use longshore_model::config::target::Mode;
use longshore_model::error::{Class, Error, Result, ResultExt};

use super::commit::{Commit, CommitError, roll_forward};
use super::destination::Destination;
use super::runner::ActiveRun;
use crate::ledger::Owner;
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
        for owner in [Owner::Daemon, Owner::Command] {
            for run in self.ledger().unfinished(owner)? {
                if run != self.id {
                    self.pass(&run, folder.as_ref()).await.context(format!("run {run}"))?;
                }
            }
        }
        Ok(())
    }

    async fn pass(&self, run: &str, folder: &dyn Folder) -> Result<()> {
        // Whoever works on it goes on.
        let Some(_lock) = self.ledger().lock_run(run)? else { return Ok(()) };
        let Some(entry) = self.ledger().entry(run)? else { return Ok(()) };
        match entry.phase {
            Phase::Done(_) => Ok(()),
            Phase::Committing => self.complete(run).await,
            // Nothing is visible. It takes the names again if it is resumed.
            Phase::Planning | Phase::Reading => {
                for relation in &self.job.relations {
                    let let_go = || folder.let_go(run, &relation.name);
                    self.retry().run(Work::Request, LETTING_GO, let_go).await?;
                }
                Ok(())
            }
        }
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
