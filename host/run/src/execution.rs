//! The execution of a run's tasks: several relations at a time, and all chunks of each, which wait for
//! their place. Chunks that have used up their retries are tried again after the rest of their
//! relation.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::format::counted;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::manifest::RelationOutput;
use super::relation_tasks::{RelationTasks, TaskResult};
use super::run_end::RunEnd;
use crate::ledger::Ledger;
use crate::retry::{Retries, Retry, Work};

/// The tasks of a run.
pub(super) struct Execution<'a> {
    run: &'a str,
    relations: &'a [RelationTasks],
    ledger: &'a Ledger,
    compute: &'a Handle,
    states: Vec<RelationState>,
    /// Relations that have not started.
    waiting: VecDeque<usize>,
    running: JoinSet<TaskResult>,
}

/// The progress of a relation.
struct RelationState {
    output: RelationOutput,
    /// Tasks that are done.
    done: usize,
    running: usize,
    /// Chunks that have used up their retries.
    exhausted: Vec<usize>,
    /// The retries of these chunks.
    retries: Retries,
}

impl<'a> Execution<'a> {
    pub(super) fn new(
        run: &'a str,
        relations: &'a [RelationTasks],
        ledger: &'a Ledger,
        retry: Retry,
        compute: &'a Handle,
    ) -> Self {
        let states = relations.iter().map(|tasks| RelationState {
            output: tasks.kept(),
            done: tasks.tasks() - tasks.left().len(),
            running: 0,
            exhausted: Vec::new(),
            retries: retry.of(Work::Relation),
        });
        let waiting = (0..relations.len()).filter(|index| !relations[*index].left().is_empty());
        Self {
            run,
            relations,
            ledger,
            compute,
            states: states.collect(),
            waiting: waiting.collect(),
            running: JoinSet::new(),
        }
    }

    /// Runs what is left to do, until it is done, has failed, or `stop` says why the run ends.
    pub(super) async fn run(
        mut self,
        parallel_relations: usize,
        stop: impl Future<Output = RunEnd>,
    ) -> Result<Vec<RelationOutput>, RunEnd> {
        for _ in 0..parallel_relations {
            self.start_next();
        }
        let mut stop = pin!(stop);
        let end = loop {
            let joined = tokio::select! {
                joined = self.running.join_next() => joined,
                end = &mut stop => break end,
            };
            let recorded = match joined {
                None if self.is_whole() => return Ok(self.complete().await?),
                None => break stop.await,
                Some(Ok(done)) => self.record(done),
                Some(Err(error)) => Err(Error::internal(format!("a task failed: {error}"))),
            };
            if let Err(error) = recorded {
                break error.into();
            }
        };
        // Nothing of the run may still be writing when its staging goes.
        self.running.shutdown().await;
        Err(end)
    }

    fn start_next(&mut self) {
        let Some(relation) = self.waiting.pop_front() else { return };
        self.spawn(relation, self.relations[relation].left(), Duration::ZERO);
    }

    fn spawn(&mut self, relation: usize, chunks: Vec<usize>, wait: Duration) {
        self.states[relation].running = chunks.len();
        for chunk in chunks {
            let work = self.relations[relation].task(relation, chunk);
            let work = async move {
                sleep(wait).await;
                work.await
            };
            self.running.spawn_on(work, self.compute);
        }
    }

    /// Records the result of a task, and starts what follows it.
    fn record(&mut self, done: TaskResult) -> Result<()> {
        let relation = &mut self.states[done.relation];
        let progress = &self.relations[done.relation].progress;
        relation.running -= 1;
        match done.result.context(progress.name.clone()) {
            Ok(written) => {
                relation.output.add(done.chunk, written);
                relation.output.retries += done.retries;
                relation.done += 1;
                let tasks = &self.relations[done.relation];
                tasks.check_left_out(&relation.output).context(progress.name.clone())?;
            }
            // The run drains: what fails now is done when it resumes.
            Err(error) if progress.slots.is_closed() => tracing::debug!("{error}"),
            Err(error) if relation.retries.allows(&error) => {
                tracing::warn!("{error}: its retries are spent; the rest of the relation goes on");
                relation.output.retries += done.retries + 1;
                relation.exhausted.push(done.chunk);
            }
            Err(error) => return Err(error),
        }
        if relation.running > 0 || progress.slots.is_closed() {
            return Ok(());
        }
        if relation.exhausted.is_empty() {
            self.start_next();
            return Ok(());
        }
        self.retry_exhausted(done.relation)
    }

    /// The relation's own retry: these chunks are tried as if for the first time.
    fn retry_exhausted(&mut self, index: usize) -> Result<()> {
        let relation = &mut self.states[index];
        let chunks = std::mem::take(&mut relation.exhausted);
        let wait = relation.retries.start();
        let text = format!(
            "{}: the retries of {} were spent, begun once more",
            self.relations[index].progress.name,
            counted(chunks.len() as u64, "chunk"),
        );
        tracing::warn!("run {}: {text} in {} ms", self.run, wait.as_millis());
        self.ledger.event(self.run, &text)?;
        self.spawn(index, chunks, wait);
        Ok(())
    }

    /// Whether every task of every relation is done. Nothing else is ever published.
    fn is_whole(&self) -> bool {
        let mut each = self.relations.iter().zip(&self.states);
        each.all(|(tasks, relation)| relation.done == tasks.tasks())
    }

    async fn complete(self) -> Result<Vec<RelationOutput>> {
        let mut outputs: Vec<RelationOutput> = self.states.into_iter().map(|r| r.output).collect();
        for (tasks, output) in self.relations.iter().zip(&mut outputs) {
            tasks.check_left_out(output).context(tasks.progress.name.clone())?;
            tasks.complete(output).await?;
        }
        Ok(outputs)
    }
}
