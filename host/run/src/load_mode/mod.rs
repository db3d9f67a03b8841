//! Load modes: what becomes of the files that a relation has in the target, when its rows are read and before they
//! are published. The stage finds out which files the new parts take the place of; the commit adds those parts and
//! removes these files.

mod layout;
mod replace_partitions;

use longshore_engine::destination::Folder;
use longshore_model::config::target::Mode;
use longshore_model::error::{Result, ResultExt};
use longshore_model::part::RelationTarget;

use super::destination::Destination;
use super::load_record::LoadRecord;
use super::manifest::RelationOutput;
use super::preparation::Preparation;
use super::run_end::RunEnd;
use super::runner::ActiveRun;
use crate::retry::Work;

/// What a request does, for the log.
const LOADING: &str = "looking what is there";

impl ActiveRun<'_> {
    /// Loads what was read, in the way that the job's mode says.
    pub(super) async fn load(
        &self,
        Preparation { targets, .. }: &Preparation,
        mut outputs: Vec<RelationOutput>,
    ) -> Result<Vec<RelationOutput>, RunEnd> {
        let Destination::Files { folder, .. } = &self.destination else { return Ok(outputs) };
        if !self.job.target.mode.is_load() {
            return Ok(outputs);
        }
        let load = async {
            self.lock(folder.as_ref(), targets).await?;
            for (target, output) in targets.iter().zip(&mut outputs) {
                let loaded = self.load_relation(folder.as_ref(), target, output).await;
                loaded.context(target.relation.clone())?;
            }
            Ok::<_, RunEnd>(())
        };
        tokio::select! {
            loaded = load => loaded?,
            end = self.stopped_before_reading() => return Err(end),
        }
        Ok(outputs)
    }

    /// Holds the names of all relations: what the stage sees there stays until the commit. In the order of the names,
    /// so that no two runs wait for each other.
    async fn lock(&self, folder: &dyn Folder, targets: &[RelationTarget]) -> Result<()> {
        let mut targets: Vec<&RelationTarget> = targets.iter().collect();
        targets.sort_by(|a, b| a.name.cmp(&b.name));
        for target in targets {
            self.retry().run(Work::Request, LOADING, || folder.lock(target)).await?;
        }
        Ok(())
    }

    async fn load_relation(
        &self,
        folder: &dyn Folder,
        target: &RelationTarget,
        output: &mut RelationOutput,
    ) -> Result<()> {
        if output.parts.iter().all(|part| part.rows == 0) {
            tracing::warn!("{}: the source has no rows: nothing changes", target.relation);
        }
        match target.mode {
            Mode::ReplacePartitions => {
                let find = || replace_partitions::replaced(folder, target, &output.parts);
                let replaced = self.retry().run(Work::Request, LOADING, find).await?;
                output.load = Some(LoadRecord::new(target.mode, &replaced));
                output.replaced = replaced.into_iter().map(|file| file.path).collect();
            }
            Mode::Version | Mode::Append | Mode::Replace | Mode::Error => {}
        }
        Ok(())
    }
}
