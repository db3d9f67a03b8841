//! A run's tasks under way: so many relations at a time, and of each all chunks, which wait for a
//! place to be read in. Chunks whose retries are spent are begun once more when the rest of their
//! relation is through.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::format::counted;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::manifest::Finished;
use super::relation_tasks::{RelationTasks, TaskResult};
use super::stopped::Stopped;
use crate::ledger::Ledger;
use crate::retry::{Retries, Retry, Work};

/// The tasks of a run.
pub(super) struct Execution<'a> {
    run: &'a str,
    loads: &'a [RelationTasks],
    ledger: &'a Ledger,
    compute: &'a Handle,
    relations: Vec<Relation>,
    /// Relations that are not begun.
    waiting: VecDeque<usize>,
    tasks: JoinSet<TaskResult>,
}

/// A relation on its way.
struct Relation {
    finished: Finished,
    /// Tasks that are done.
    done: usize,
    under_way: usize,
    /// Chunks whose retries are spent.
    spent: Vec<usize>,
    /// The retries of its spent chunks.
    retries: Retries,
}

impl<'a> Execution<'a> {
    pub(super) fn new(
        run: &'a str,
        loads: &'a [RelationTasks],
        ledger: &'a Ledger,
        retry: Retry,
        compute: &'a Handle,
    ) -> Self {
        let relations = loads.iter().map(|load| Relation {
            finished: load.begun(),
            done: load.tasks() - load.left().len(),
            under_way: 0,
            spent: Vec::new(),
            retries: retry.of(Work::Relation),
        });
        let waiting = (0..loads.len()).filter(|index| !loads[*index].left().is_empty());
        Self {
            run,
            loads,
            ledger,
            compute,
            relations: relations.collect(),
            waiting: waiting.collect(),
            tasks: JoinSet::new(),
        }
    }

    /// Runs all that is left to do, until it is done, has failed, or is stopped.
    pub(super) async fn run(
        mut self,
        parallel_relations: usize,
        stopping: impl Future<Output = Stopped>,
    ) -> Result<Vec<Finished>, Stopped> {
        for _ in 0..parallel_relations {
            self.begin_next();
        }
        let mut stopping = pin!(stopping);
        let stopped = loop {
            let joined = tokio::select! {
                joined = self.tasks.join_next() => joined,
                stopped = &mut stopping => break stopped,
            };
            let taken = match joined {
                None if self.is_whole() => return Ok(self.complete().await?),
                None => break stopping.await,
                Some(Ok(done)) => self.take(done),
                Some(Err(error)) => Err(Error::internal(format!("a task failed: {error}"))),
            };
            if let Err(error) = taken {
                break error.into();
            }
        };
        // Nothing of the run may still be writing when its staging goes.
        self.tasks.shutdown().await;
        Err(stopped)
    }

    fn begin_next(&mut self) {
        let Some(relation) = self.waiting.pop_front() else { return };
        self.spawn(relation, self.loads[relation].left(), Duration::ZERO);
    }

    fn spawn(&mut self, relation: usize, chunks: Vec<usize>, wait: Duration) {
        self.relations[relation].under_way = chunks.len();
        for chunk in chunks {
            let work = self.loads[relation].task(relation, chunk);
            let work = async move {
                sleep(wait).await;
                work.await
            };
            self.tasks.spawn_on(work, self.compute);
        }
    }

    /// What came of a task.
    fn take(&mut self, done: TaskResult) -> Result<()> {
        let relation = &mut self.relations[done.relation];
        let progress = &self.loads[done.relation].progress;
        relation.under_way -= 1;
        match done.result.context(progress.name.clone()) {
            Ok(parts) => {
                relation.finished.parts.extend(parts);
                relation.finished.retries += done.retries;
                relation.done += 1;
            }
            // Nobody is let in any more: what fails now is done the next time.
            Err(error) if progress.slots.is_closed() => tracing::debug!("{error}"),
            Err(error) if relation.retries.allows(&error) => {
                tracing::warn!("{error}: its retries are spent; the rest of the relation goes on");
                relation.finished.retries += done.retries + 1;
                relation.spent.push(done.chunk);
            }
            Err(error) => return Err(error),
        }
        if relation.under_way > 0 || progress.slots.is_closed() {
            return Ok(());
        }
        match relation.spent.is_empty() {
            true => self.begin_next(),
            false => self.begin_again(done.relation)?,
        }
        Ok(())
    }

    /// The relation's own retry: its spent chunks are tried as if for the first time.
    fn begin_again(&mut self, index: usize) -> Result<()> {
        let relation = &mut self.relations[index];
        let chunks = std::mem::take(&mut relation.spent);
        let wait = relation.retries.start();
        let text = format!(
            "{}: the retries of {} were spent, begun once more",
            self.loads[index].progress.name,
            counted(chunks.len() as u64, "chunk"),
        );
        tracing::warn!("run {}: {text} in {} ms", self.run, wait.as_millis());
        self.ledger.event(self.run, &text)?;
        self.spawn(index, chunks, wait);
        Ok(())
    }

    /// Whether nothing is left to do. Whatever ended, only what is whole is published.
    fn is_whole(&self) -> bool {
        let mut each = self.loads.iter().zip(&self.relations);
        each.all(|(load, relation)| relation.done == load.tasks())
    }

    async fn complete(self) -> Result<Vec<Finished>> {
        let mut finished: Vec<Finished> = self.relations.into_iter().map(|r| r.finished).collect();
        for (load, finished) in self.loads.iter().zip(&mut finished) {
            load.complete(finished).await?;
        }
        Ok(finished)
    }
}
