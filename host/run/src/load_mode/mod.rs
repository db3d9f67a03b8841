//! Load modes: what happens to the files that a relation has in the target, when its rows are read and before they
//! are published. The stage finds out which files the new parts take the place of, and makes those parts where the
//! mode joins rows. The commit adds the parts and removes these files.

mod layout;
mod replace_partitions;

use std::sync::Arc;
use std::time::Duration;

use longshore_engine::destination::LOCK_WAIT_SECS;
use longshore_engine::load_mode::{LoadResult, LoadStage, merge, scd2, snapshot};
use longshore_engine::write::FileParts;
use longshore_model::config::load::Load;
use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::part::RelationTarget;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::commit::Commit;
use super::destination::Destination;
use super::load_record::LoadRecord;
use super::manifest::RelationOutput;
use super::preparation::Preparation;
use super::run_end::RunEnd;
use super::runner::ActiveRun;
use crate::retry::Work;

/// Names of requests in the log.
const LOADING: &str = "looking what is there";
const JOINING: &str = "joining rows with those that are there";

/// How often it is looked whether another run's commit is over.
const COMMIT_LOOK_MILLIS: u64 = 250;

impl ActiveRun<'_> {
    /// Holds the names of all relations that are published beside what is there: what is seen there from now on stays
    /// until the commit. In the order of the names, so that no two runs wait for each other.
    pub(super) async fn hold_names(&self, targets: &[RelationTarget]) -> Result<()> {
        let mode = self.job.target.mode;
        let Destination::Files { folder, .. } = &self.destination else {
            return if mode.is_load() { self.wait_for_commits(targets).await } else { Ok(()) };
        };
        if !mode.adds_beside() {
            return Ok(());
        }
        self.pass_interrupted().await?;
        if mode.reads_first() {
            // What an attempt that was cut off has left there.
            self.target().discard(self.id).await?;
        }
        let mut targets: Vec<&RelationTarget> = targets.iter().collect();
        targets.sort_by(|a, b| a.name.cmp(&b.name));
        for target in targets {
            self.retry().run(Work::Request, LOADING, || folder.lock(target)).await?;
        }
        Ok(())
    }

    /// Waits until no other run has a commit into the relations of a sink that is not over: it would be carried out
    /// after this one's, and bring older rows back.
    async fn wait_for_commits(&self, targets: &[RelationTarget]) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(LOCK_WAIT_SECS);
        let mut told = None;
        while let Some((run, relation)) = self.commit_under_way(targets)? {
            if told.replace(run.clone()).as_ref() != Some(&run) {
                tracing::warn!("{relation}: waiting for run {run}, whose commit is not over");
            }
            if Instant::now() > until {
                let at = self.target().url(&relation);
                return Err(Error::resource(format!(
                    "{at}: run {run} has not finished its commit"
                ))
                .with_hint(format!("`longshore runs retry {run}` finishes it")));
            }
            tokio::time::sleep(Duration::from_millis(COMMIT_LOOK_MILLIS)).await;
        }
        Ok(())
    }

    /// Another run that commits into one of these relations, and the relation.
    fn commit_under_way(&self, targets: &[RelationTarget]) -> Result<Option<(String, String)>> {
        for run in self.ledger().committing()? {
            let Some(commit) = self.ledger().commit::<Commit>(&run)?.filter(|_| run != self.id)
            else {
                continue;
            };
            if commit.manifest.job.target != self.job.target.url {
                continue;
            }
            let mut published = commit.manifest.relations.iter().map(|relation| &relation.name);
            let common = published.find(|name| targets.iter().any(|own| own.relation == **name));
            if let Some(name) = common {
                return Ok(Some((run, name.clone())));
            }
        }
        Ok(None)
    }

    /// Loads what was read, in the way that the job's mode says.
    pub(super) async fn load(
        &self,
        prepared: &Preparation,
        mut outputs: Vec<RelationOutput>,
    ) -> Result<Vec<RelationOutput>, RunEnd> {
        if !self.job.target.mode.is_load() {
            return Ok(outputs);
        }
        if let Destination::Sink(_) = &self.destination {
            // It joins them itself, in its commit.
            for (index, output) in outputs.iter_mut().enumerate() {
                self.tell_if_empty(&prepared.targets[index], output)?;
                output.schema = prepared.plan.relations[index].loaded.clone();
            }
            return Ok(outputs);
        }
        let mut loading = JoinSet::new();
        tokio::select! {
            loaded = self.load_all(prepared, &mut outputs, &mut loading) => loaded?,
            end = self.stopped_before_reading() => {
                // Nothing may still be writing when the run ends.
                loading.shutdown().await;
                return Err(end);
            }
        }
        Ok(outputs)
    }

    async fn load_all(
        &self,
        prepared: &Preparation,
        outputs: &mut [RelationOutput],
        loading: &mut JoinSet<Result<LoadResult>>,
    ) -> Result<()> {
        for (index, output) in outputs.iter_mut().enumerate() {
            let target = &prepared.targets[index];
            let loaded = self.load_relation(prepared, index, output, loading).await;
            let loaded = loaded.context(target.relation.clone())?;
            output.load = Some(LoadRecord::new(target.mode, &loaded));
            output.replaced = loaded.replaced.into_iter().map(|file| file.path).collect();
            output.parts = loaded.parts;
            output.schema = prepared.plan.relations[index].loaded.clone();
        }
        Ok(())
    }

    async fn load_relation(
        &self,
        prepared: &Preparation,
        index: usize,
        output: &RelationOutput,
        loading: &mut JoinSet<Result<LoadResult>>,
    ) -> Result<LoadResult> {
        let target = &prepared.targets[index];
        self.tell_if_empty(target, output)?;
        let Destination::Files { folder, .. } = &self.destination else {
            return Err(Error::internal("a load mode without files"));
        };
        let Some(load) = &prepared.plan.relations[index].relation.load else {
            let find = || replace_partitions::replaced(folder.as_ref(), target, &output.parts);
            let replaced = self.retry().run(Work::Request, LOADING, find).await?;
            return Ok(LoadResult {
                parts: output.parts.clone(),
                replaced,
                ..LoadResult::default()
            });
        };
        let stage = self.stage(prepared, index, output)?;
        let began = self.created;
        let join = || {
            let (stage, load) = (stage.clone(), load.clone());
            async move {
                match &load {
                    Load::Merge(how) => merge(&stage, how).await,
                    Load::Snapshot(by) => snapshot(&stage, by).await,
                    Load::Scd2(how) => scd2(&stage, how, began).await,
                }
            }
        };
        self.retry().run_on(self.runner.compute, loading, JOINING, join).await
    }

    fn tell_if_empty(&self, target: &RelationTarget, output: &RelationOutput) -> Result<()> {
        if output.parts.iter().any(|part| part.rows > 0) {
            return Ok(());
        }
        let text = format!("{}: the source has no rows: nothing changes", target.relation);
        tracing::warn!("{text}");
        self.ledger().event(self.id, &text)
    }

    fn stage(
        &self,
        prepared: &Preparation,
        index: usize,
        output: &RelationOutput,
    ) -> Result<LoadStage> {
        let Destination::Files { folder, format, partition_by, scratch: Some(scratch), .. } =
            &self.destination
        else {
            return Err(Error::internal("a load mode without a scratch folder"));
        };
        let parts = FileParts {
            folder: folder.clone(),
            target: prepared.targets[index].clone(),
            format: format.clone(),
            partition_by: partition_by.clone(),
        };
        Ok(LoadStage {
            parts: Arc::new(parts),
            schema: prepared.plan.relations[index].written.clone(),
            loaded: prepared.plan.relations[index].loaded.clone(),
            rows: scratch.clone(),
            read: output.parts.clone(),
            scratch: self.scratch.path().to_owned(),
            parallel: prepared.plan.parallel,
            io: Handle::current(),
        })
    }
}
