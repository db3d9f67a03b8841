//! A target that is one file: the chunks are read into the scratch folder of the run, at the same time and each of
//! them resumable, and are then written one after the other into the file.

use std::path::PathBuf;
use std::sync::Arc;

use longshore_engine::destination::staged_path;
use longshore_engine::write::{FileParts, join_files};
use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::part::Part;
use tokio::task::JoinSet;

use super::destination::Destination;
use super::manifest::RelationOutput;
use super::preparation::Preparation;
use super::run_end::RunEnd;
use super::runner::ActiveRun;

/// The name of the work in the log.
const WRITING: &str = "writing the file";

impl ActiveRun<'_> {
    /// Writes what was read into the target's one file, if it is one.
    pub(super) async fn join_into_file(
        &self,
        prepared: &Preparation,
        mut outputs: Vec<RelationOutput>,
    ) -> Result<Vec<RelationOutput>, RunEnd> {
        if self.job.target.file.is_none() {
            return Ok(outputs);
        }
        let mut writing = JoinSet::new();
        for (index, output) in outputs.iter_mut().enumerate() {
            tokio::select! {
                part = self.join(prepared, index, output, &mut writing) => {
                    output.parts = vec![part.context(prepared.targets[index].relation.clone())?];
                }
                end = self.stopped_before_reading() => {
                    // Nothing may still be writing when the run ends.
                    writing.shutdown().await;
                    return Err(end);
                }
            }
        }
        Ok(outputs)
    }

    async fn join(
        &self,
        prepared: &Preparation,
        index: usize,
        output: &RelationOutput,
        writing: &mut JoinSet<Result<Part>>,
    ) -> Result<Part> {
        let Destination::Files { folder, format, .. } = &self.destination else {
            return Err(Error::internal("a single file in a sink"));
        };
        let target = &prepared.targets[index];
        let parts = Arc::new(FileParts {
            folder: folder.clone(),
            target: target.clone(),
            format: format.clone(),
            partition_by: Vec::new(),
        });
        let file = |part: &Part| self.scratch.path().join(staged_path(target, &part.file));
        let files: Vec<PathBuf> = output.parts.iter().map(file).collect();
        let schema = prepared.plan.relations[index].written.clone();
        let write = || {
            let (parts, schema, files) = (parts.clone(), schema.clone(), files.clone());
            async move { join_files(&parts, schema, files).await }
        };
        self.retry().run_on(self.runner.compute, writing, WRITING, write).await
    }
}
