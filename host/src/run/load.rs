//! A relation on its way to the target: its tasks, and what came of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::physical_plan::ExecutionPlan;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::manifest::Finished;
use super::progress::RelationProgress;
use super::task::{Journal, RetryPolicy, run_partition, run_whole};
use crate::config::Job;
use crate::error::Result;
use crate::ledger::{Ledger, Task, TaskProgress};
use crate::plan::{RelationPlan, RunPlan};
use crate::scan::Slots;
use crate::target::{Spot, Target};
use crate::write::{Destination, Part, PartWriter};

/// What a task gives: its relation, and its parts and retries.
pub(super) type Done = (usize, Result<(Vec<Part>, u32)>);

/// A relation's tasks.
pub(super) struct Load {
    index: usize,
    writer: PartWriter,
    chunkwise: bool,
    journal: Journal,
    /// Tasks that were done before an interruption, and their parts.
    kept: HashMap<usize, Vec<Part>>,
    pub(super) progress: Arc<RelationProgress>,
}

/// What loads are made of.
pub(super) struct Loading<'a> {
    pub(super) run: &'a str,
    pub(super) job: &'a Job,
    pub(super) plan: &'a RunPlan,
    pub(super) target: &'a Arc<dyn Target>,
    pub(super) spots: &'a [Spot],
    pub(super) ledger: &'a Ledger,
    pub(super) retry: RetryPolicy,
    pub(super) tasks: HashMap<Task, TaskProgress>,
}

impl Loading<'_> {
    pub(super) fn loads(mut self) -> Vec<Load> {
        let places = Arc::new(Semaphore::new(self.plan.parallel));
        let relations = self.plan.relations.iter().enumerate();
        relations.map(|(index, relation)| self.load(index, relation, &places)).collect()
    }

    fn load(&mut self, index: usize, relation: &RelationPlan, places: &Arc<Semaphore>) -> Load {
        let kept: HashMap<usize, Vec<Part>> = self
            .tasks
            .iter_mut()
            .filter(|(task, _)| task.relation == index)
            .filter_map(|(task, progress)| Some((task.chunk, progress.parts.take()?)))
            .collect();
        let destination = Destination {
            target: self.target.clone(),
            spot: self.spots[index].clone(),
            format: self.job.target.format.clone(),
        };
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
        Load {
            index,
            writer: PartWriter::new(relation.physical.clone(), Arc::new(destination)),
            chunkwise: relation.chunkwise,
            journal: Journal {
                ledger: self.ledger.clone(),
                run: self.run.to_owned(),
                task: Task { relation: index, chunk: 0 },
                retry: self.retry,
            },
            kept,
            progress: Arc::new(progress),
        }
    }
}

impl Load {
    fn partitions(&self) -> usize {
        match self.chunkwise {
            true => self.writer.properties().partitioning.partition_count(),
            false => 1,
        }
    }

    /// Tasks that are left to do.
    pub(super) fn left(&self) -> usize {
        self.partitions() - self.kept.len()
    }

    /// The parts that are there already.
    pub(super) fn begun(&self) -> Finished {
        let schema = self.writer.children()[0].schema();
        Finished { parts: self.kept.values().flatten().cloned().collect(), retries: 0, schema }
    }

    /// Sorts the parts, and gives a relation without rows its empty one.
    pub(super) async fn complete(&self, finished: &mut Finished) -> Result<()> {
        if finished.parts.is_empty() {
            finished.parts.push(self.writer.write_empty().await?);
        }
        finished.parts.sort_by_key(|part| part.chunk);
        Ok(())
    }

    pub(super) fn spawn(&self, tasks: &mut JoinSet<Done>, compute: &Handle) {
        let plan: Arc<dyn ExecutionPlan> = Arc::new(self.writer.clone());
        for chunk in (0..self.partitions()).filter(|chunk| !self.kept.contains_key(chunk)) {
            let task = Task { relation: self.index, chunk };
            let journal = Journal { task, ..self.journal.clone() };
            let (plan, progress) = (plan.clone(), self.progress.clone());
            let (index, chunkwise) = (self.index, self.chunkwise);
            let work = async move {
                let slots = progress.slots.clone();
                let done = match chunkwise {
                    true => run_partition(plan, chunk, slots, journal).await,
                    false => run_whole(plan, slots, journal).await,
                };
                match chunkwise {
                    true => progress.done.fetch_add(1, Ordering::Relaxed),
                    false => progress.done.swap(progress.chunks, Ordering::Relaxed),
                };
                (index, done)
            };
            tasks.spawn_on(work, compute);
        }
    }
}
