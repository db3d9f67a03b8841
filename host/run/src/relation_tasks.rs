//! The tasks of a relation: one for each chunk, or one for all of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::SchemaRef;
use longshore_engine::check::{CheckedParts, Keep};
use longshore_engine::plan::{RelationPlan, RunPlan};
use longshore_engine::scan::Slots;
use longshore_engine::write::{Parts, WriteResult};
use longshore_model::config::target::Mode;
use longshore_model::error::{Error, Result};
use longshore_model::figures::figures;
use longshore_model::format::counted;
use longshore_model::part::RelationTarget;
use longshore_sandbox::tape::TapeFolder;
use tokio::sync::Semaphore;

use super::cluster::ClusterRun;
use super::destination::Destination;
use super::manifest::RelationOutput;
use super::progress::RelationProgress;
use super::relation_writer::RelationWriter;
use super::scratch::Scratch;
use super::task::{AttemptLog, run_here, run_on_cluster};
use crate::ledger::{Ledger, Task, TaskProgress};
use crate::retry::Retry;

/// The result of a task.
pub(super) struct TaskResult {
    pub(super) relation: usize,
    pub(super) chunk: usize,
    /// Its parts, and what its checks found.
    pub(super) result: Result<WriteResult>,
    /// How often it was retried.
    pub(super) retries: u32,
}

/// A relation's tasks.
pub(super) struct RelationTasks {
    writer: Arc<RelationWriter>,
    /// What carries them out, if not this process.
    cluster: Option<Arc<dyn ClusterRun>>,
    /// The columns of its rows.
    schema: SchemaRef,
    /// Whether nothing stands for it where it has no rows: an earlier run made what they are added to.
    adds_nothing: bool,
    attempts: AttemptLog,
    /// Where its rows spill.
    scratch: Scratch,
    /// What was written by tasks that were done before an interruption.
    kept: HashMap<usize, WriteResult>,
    /// The most of its rows that may be left out, if there is a limit.
    left_out_limit: Option<u64>,
    pub(super) progress: Arc<RelationProgress>,
}

/// Builds the tasks of all relations of a run.
pub(super) struct RelationTasksBuilder<'a> {
    pub(super) run: &'a str,
    pub(super) plan: &'a RunPlan,
    pub(super) destination: &'a Destination,
    pub(super) targets: &'a [RelationTarget],
    pub(super) ledger: &'a Ledger,
    pub(super) retry: Retry,
    /// The folder in which failures are recorded, if they are.
    pub(super) tapes: Option<Arc<TapeFolder>>,
    pub(super) tasks: HashMap<Task, TaskProgress>,
    /// Where rows lie that are needed again.
    pub(super) scratch: Scratch,
    /// The cluster that reads and writes rows, if one does.
    pub(super) cluster: Option<Arc<dyn ClusterRun>>,
    /// The most rows of a relation that may be left out, if there is a limit.
    pub(super) left_out_limit: Option<u64>,
}

impl RelationTasksBuilder<'_> {
    pub(super) fn build(mut self) -> Vec<RelationTasks> {
        let places = Arc::new(Semaphore::new(self.plan.parallel));
        let relations = self.plan.relations.iter().enumerate();
        relations.map(|(index, relation)| self.relation(index, relation, &places)).collect()
    }

    fn relation(
        &mut self,
        index: usize,
        relation: &RelationPlan,
        places: &Arc<Semaphore>,
    ) -> RelationTasks {
        let kept: HashMap<usize, WriteResult> = self
            .tasks
            .iter_mut()
            .filter(|(task, _)| task.relation == index)
            .filter_map(|(task, progress)| Some((task.chunk, progress.written.take()?)))
            .collect();
        let parts =
            relation_parts(self.destination, &self.scratch, index, relation, &self.targets[index]);
        // A relation that is made as a whole has all its chunks in one task.
        let is_counted = relation.chunkwise || kept.is_empty();
        let done = if is_counted { kept.len() } else { relation.chunks() } as u64;
        let progress = RelationProgress {
            name: relation.relation.name.clone(),
            chunks: relation.chunks() as u64,
            estimated_rows: relation.rows,
            done: AtomicU64::new(done),
            slots: Arc::new(Slots::new(
                places.clone(),
                self.plan.parallel_chunks,
                relation.columns.len(),
            )),
        };
        figures().chunks_kept.add(done);
        let kept_rows =
            kept.values().flat_map(|written| &written.parts).map(|part| part.rows).sum();
        progress.slots.rows.store(kept_rows, Ordering::Relaxed);
        RelationTasks {
            writer: Arc::new(RelationWriter::new(relation, parts)),
            cluster: self.cluster.clone(),
            schema: relation.written.clone(),
            adds_nothing: self.targets[index].mode == Mode::Append
                && relation.windows().iter().any(|window| window.before.is_some()),
            attempts: AttemptLog {
                ledger: self.ledger.clone(),
                run: self.run.to_owned(),
                task: Task { relation: index, chunk: 0 },
                retry: self.retry,
                relation: relation.relation.name.clone(),
                tapes: self.tapes.clone(),
            },
            scratch: self.scratch.clone(),
            kept,
            left_out_limit: self.left_out_limit,
            progress: Arc::new(progress),
        }
    }
}

/// What takes a relation's rows; they are checked on their way, if there is anything to check.
pub(super) fn relation_parts(
    destination: &Destination,
    scratch: &Scratch,
    index: usize,
    relation: &RelationPlan,
    target: &RelationTarget,
) -> Arc<dyn Parts> {
    let parts = destination.parts(target);
    if relation.checks.is_empty() && relation.kept.is_empty() {
        return parts;
    }
    let keep = (!relation.kept.is_empty()).then(|| Keep {
        folder: scratch.path().to_owned(),
        prefix: index.to_string(),
        columns: relation.kept.clone(),
    });
    let checks = relation.checks.clone();
    let quarantine = if checks.has_quarantine() { destination.quarantine(target) } else { None };
    Arc::new(CheckedParts { parts, checks, quarantine, keep })
}

impl RelationTasks {
    /// The number of its tasks.
    pub(super) fn tasks(&self) -> usize {
        self.writer.tasks()
    }

    /// The chunks that are left to do. Where chunks cannot be made alone, the first stands for all.
    pub(super) fn left(&self) -> Vec<usize> {
        (0..self.tasks()).filter(|chunk| !self.kept.contains_key(chunk)).collect()
    }

    /// The parts that were there already.
    pub(super) fn kept(&self) -> RelationOutput {
        let mut output = RelationOutput::new(self.schema.clone());
        for (chunk, written) in &self.kept {
            output.add(*chunk, written.clone());
        }
        output
    }

    /// An error where more rows are left out than may be.
    pub(super) fn check_left_out(&self, output: &RelationOutput) -> Result<()> {
        let Some(limit) = self.left_out_limit else { return Ok(()) };
        if output.left_out_rows() <= limit {
            return Ok(());
        }
        let (left_out, most) = (output.left_out(), counted(limit, "row"));
        Err(Error::data(format!("more than {most} cannot be read: {left_out}"))
            .with_hint(format!("correct them, or raise `source.bad_rows: {{ skip: {limit} }}`")))
    }

    /// Sorts the parts, and gives a relation without rows its empty one.
    pub(super) async fn complete(&self, finished: &mut RelationOutput) -> Result<()> {
        if finished.parts.is_empty() && !self.adds_nothing {
            finished.parts.extend(self.writer.write_empty().await?);
        }
        finished.parts.sort_by_key(|part| part.chunk);
        Ok(())
    }

    /// One of its tasks.
    pub(super) fn task(
        &self,
        relation: usize,
        chunk: usize,
    ) -> impl Future<Output = TaskResult> + Send + 'static {
        let (writer, cluster) = (self.writer.clone(), self.cluster.clone());
        let attempts = AttemptLog { task: Task { relation, chunk }, ..self.attempts.clone() };
        let (progress, scratch) = (self.progress.clone(), self.scratch.clone());
        async move {
            let slots = &progress.slots;
            let (result, retries) = match cluster {
                Some(cluster) => run_on_cluster(&*cluster, &writer, slots, &attempts).await,
                None => run_here(&writer, scratch.path(), slots, &attempts).await,
            };
            let chunks = if writer.is_chunkwise() { 1 } else { progress.chunks };
            if result.is_ok() {
                progress.done.fetch_add(chunks, Ordering::Relaxed);
                figures().chunks_done.add(chunks);
            } else {
                figures().chunks_failed.add(chunks);
            }
            TaskResult { relation, chunk, result, retries }
        }
    }
}
