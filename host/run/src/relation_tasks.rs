//! A relation on its way to the target: its tasks, and what came of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::physical_plan::ExecutionPlan;
use longshore_engine::plan::{RelationPlan, RunPlan};
use longshore_engine::scan::Slots;
use longshore_engine::write::PartWriter;
use longshore_model::error::Result;
use longshore_model::part::{Part, Spot};
use longshore_sandbox::tape::TapeFolder;
use tokio::sync::Semaphore;

use super::destination::Destination;
use super::manifest::Finished;
use super::progress::RelationProgress;
use super::task::{AttemptLog, run_partition, run_whole};
use crate::ledger::{Ledger, Task, TaskProgress};
use crate::retry::Retry;

/// What came of a task.
pub(super) struct TaskResult {
    pub(super) relation: usize,
    pub(super) chunk: usize,
    /// Its parts.
    pub(super) result: Result<Vec<Part>>,
    /// How often it was retried.
    pub(super) retries: u32,
}

/// A relation's tasks.
pub(super) struct RelationTasks {
    writer: PartWriter,
    chunkwise: bool,
    attempts: AttemptLog,
    /// Tasks that were done before an interruption, and their parts.
    kept: HashMap<usize, Vec<Part>>,
    pub(super) progress: Arc<RelationProgress>,
}

/// What loads are made of.
pub(super) struct RelationTasksBuilder<'a> {
    pub(super) run: &'a str,
    pub(super) plan: &'a RunPlan,
    pub(super) destination: &'a Destination,
    pub(super) spots: &'a [Spot],
    pub(super) ledger: &'a Ledger,
    pub(super) retry: Retry,
    /// Where failures are recorded, if they are.
    pub(super) tapes: Option<Arc<TapeFolder>>,
    pub(super) tasks: HashMap<Task, TaskProgress>,
}

impl RelationTasksBuilder<'_> {
    pub(super) fn loads(mut self) -> Vec<RelationTasks> {
        let places = Arc::new(Semaphore::new(self.plan.parallel));
        let relations = self.plan.relations.iter().enumerate();
        relations.map(|(index, relation)| self.load(index, relation, &places)).collect()
    }

    fn load(
        &mut self,
        index: usize,
        relation: &RelationPlan,
        places: &Arc<Semaphore>,
    ) -> RelationTasks {
        let kept: HashMap<usize, Vec<Part>> = self
            .tasks
            .iter_mut()
            .filter(|(task, _)| task.relation == index)
            .filter_map(|(task, progress)| Some((task.chunk, progress.parts.take()?)))
            .collect();
        let parts = self.destination.parts(&self.spots[index]);
        let progress = RelationProgress {
            name: relation.relation.name.clone(),
            chunks: relation.chunks() as u64,
            estimated_rows: relation.rows,
            done: AtomicU64::new(kept.len() as u64),
            slots: Arc::new(Slots::new(
                places.clone(),
                self.plan.parallel_chunks,
                relation.columns.len(),
            )),
        };
        let kept_rows = kept.values().flatten().map(|part| part.rows).sum();
        progress.slots.rows.store(kept_rows, Ordering::Relaxed);
        RelationTasks {
            writer: PartWriter::new(relation.physical.clone(), parts),
            chunkwise: relation.chunkwise,
            attempts: AttemptLog {
                ledger: self.ledger.clone(),
                run: self.run.to_owned(),
                task: Task { relation: index, chunk: 0 },
                retry: self.retry,
                relation: relation.relation.name.clone(),
                tapes: self.tapes.clone(),
            },
            kept,
            progress: Arc::new(progress),
        }
    }
}

impl RelationTasks {
    /// How many tasks it has in all.
    pub(super) fn tasks(&self) -> usize {
        match self.chunkwise {
            true => self.writer.properties().partitioning.partition_count(),
            false => 1,
        }
    }

    /// The chunks that are left to do; where chunks cannot be made alone, the first is all of it.
    pub(super) fn left(&self) -> Vec<usize> {
        (0..self.tasks()).filter(|chunk| !self.kept.contains_key(chunk)).collect()
    }

    /// The parts that are there already.
    pub(super) fn begun(&self) -> Finished {
        let schema = self.writer.children()[0].schema();
        Finished { parts: self.kept.values().flatten().cloned().collect(), retries: 0, schema }
    }

    /// Sorts the parts, and gives a relation without rows its empty one.
    pub(super) async fn complete(&self, finished: &mut Finished) -> Result<()> {
        if finished.parts.is_empty() {
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
        let plan: Arc<dyn ExecutionPlan> = Arc::new(self.writer.clone());
        let attempts = AttemptLog { task: Task { relation, chunk }, ..self.attempts.clone() };
        let (progress, chunkwise) = (self.progress.clone(), self.chunkwise);
        async move {
            let slots = progress.slots.clone();
            let (result, retries) = match chunkwise {
                true => run_partition(plan, chunk, slots, attempts).await,
                false => run_whole(plan, slots, attempts).await,
            };
            match (&result, chunkwise) {
                (Err(_), _) => 0,
                (Ok(_), true) => progress.done.fetch_add(1, Ordering::Relaxed),
                (Ok(_), false) => progress.done.swap(progress.chunks, Ordering::Relaxed),
            };
            TaskResult { relation, chunk, result, retries }
        }
    }
}
