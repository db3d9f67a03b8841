//! Tasks: one partition of a plan each, or a whole plan. The ledger holds each attempt before it starts.

use std::path::Path;
use std::sync::Arc;

use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::prelude::SessionConfig;
use futures::TryStreamExt;
use longshore_engine::datafusion_fault::{SQL_MEMORY, from_datafusion};
use longshore_engine::scan::{Lane, Slots};
use longshore_engine::transform::{SqlTurn, task_context};
use longshore_engine::write::{Attempt, PartWriter, Written};
use longshore_model::error::Result;
use longshore_model::figures::figures;
use longshore_sandbox::tape::{TapeFolder, Tapes};
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::ledger::{Ledger, Task};
use crate::retry::{Retry, Work};

/// The log of the attempts at a task: in the ledger, and on tapes.
#[derive(Clone)]
pub(super) struct AttemptLog {
    pub(super) ledger: Ledger,
    pub(super) run: String,
    pub(super) task: Task,
    pub(super) retry: Retry,
    /// The relation's name.
    pub(super) relation: String,
    /// The folder in which failures are recorded, if they are.
    pub(super) tapes: Option<Arc<TapeFolder>>,
}

/// Runs one partition until it succeeds, fails for good, or has used up its retries. Gives what was
/// written, and how often it was retried.
pub(super) async fn run_partition(
    plan: Arc<dyn ExecutionPlan>,
    partition: usize,
    slots: Arc<Slots>,
    attempts: AttemptLog,
) -> (Result<Written>, u32) {
    let plan = &plan;
    retry(&slots, &attempts, |attempt, slots| async move {
        let slot = slots.take().await?;
        let _running = slots.start_attempt();
        let attempt = attempt.begin()?;
        let lane = Lane::with(slots.clone(), slot);
        let read = lane.read();
        let done =
            attempt.end(collect(plan, partition, task_context(attempt.configure(lane))?).await);
        done.inspect_err(|_| slots.take_off(&read))
    })
    .await
}

/// The same for a plan whose partitions cannot be made alone. Where its rows do not fit into memory, it is tried
/// again with joins that spill.
pub(super) async fn run_whole(
    writer: PartWriter,
    scratch: &Path,
    slots: Arc<Slots>,
    attempts: AttemptLog,
) -> (Result<Written>, u32) {
    let writer = &Mutex::new(writer);
    retry(&slots, &attempts, |attempt, slots| async move {
        let plan = Arc::new(writer.lock().clone());
        let plan = reset_plan_states(plan).map_err(from_datafusion)?;
        let turn = SqlTurn::of_plan(&plan, scratch).await?;
        let _running = slots.start_attempt();
        let attempt = attempt.begin()?;
        let lane = Lane::new(slots.clone());
        let read = lane.read();
        let context = turn.task_context(attempt.configure(lane))?;
        let partitions = 0..plan.properties().partitioning.partition_count();
        let running = partitions.map(|partition| collect(&plan, partition, context.clone()));
        let done = futures::future::try_join_all(running).await.and_then(merged);
        if is_out_of_memory(&done) {
            let mut writer = writer.lock();
            if let Some(spilling) = writer.with_sort_joins()? {
                *writer = spilling;
            }
        }
        attempt.end(done).inspect_err(|_| slots.take_off(&read))
    })
    .await
}

fn is_out_of_memory(done: &Result<Written>) -> bool {
    done.as_ref().is_err_and(|error| error.code() == Some(SQL_MEMORY))
}

/// An attempt that is about to start.
struct NextAttempt<'a>(&'a AttemptLog);

/// An attempt that has started.
struct RunningAttempt<'a> {
    attempts: &'a AttemptLog,
    number: u32,
    tapes: Option<Arc<Tapes>>,
}

impl<'a> NextAttempt<'a> {
    fn begin(self) -> Result<RunningAttempt<'a>> {
        let AttemptLog { ledger, run, task, relation, tapes, .. } = self.0;
        let number = ledger.attempt(run, *task)?;
        tracing::debug!(run, relation, chunk = task.chunk, attempt = number, "an attempt begins");
        let tapes = tapes.as_ref().map(|tapes| tapes.attempt(relation, task.chunk, number).into());
        Ok(RunningAttempt { attempts: self.0, number, tapes })
    }
}

impl RunningAttempt<'_> {
    /// Has the nodes of a plan find their lane, their attempt and its tapes.
    fn configure(&self, lane: Lane) -> impl FnOnce(SessionConfig) -> SessionConfig {
        let (attempt, tapes) = (Arc::new(Attempt(self.number)), self.tapes.clone());
        |config| {
            let config = config.with_extension(Arc::new(lane)).with_extension(attempt);
            match tapes {
                Some(tapes) => config.with_extension(tapes),
                None => config,
            }
        }
    }

    fn end(&self, done: Result<Written>) -> Result<Written> {
        let AttemptLog { ledger, run, task, relation, .. } = self.attempts;
        match &done {
            Ok(written) => {
                let rows: u64 = written.parts.iter().map(|part| part.rows).sum();
                let bytes: u64 = written.parts.iter().map(|part| part.bytes).sum();
                let (chunk, attempt) = (task.chunk, self.number);
                tracing::debug!(run, relation, chunk, attempt, rows, bytes, "a chunk is written");
                ledger.done(run, *task, self.number, written)?;
                figures().attempts_succeeded.add(1);
                figures().rows_written.add(rows);
                figures().bytes_written.add(bytes);
            }
            Err(error) => {
                figures().attempts_failed.count(error.class());
                if let Some(tapes) = &self.tapes {
                    tapes.keep(error);
                }
                ledger.failed(run, *task, self.number, error)?;
            }
        }
        done
    }
}

async fn retry<'a, F: Future<Output = Result<Written>> + 'a>(
    slots: &'a Arc<Slots>,
    attempts: &'a AttemptLog,
    run: impl Fn(NextAttempt<'a>, &'a Arc<Slots>) -> F,
) -> (Result<Written>, u32) {
    let mut retries = attempts.retry.of(Work::Chunk);
    loop {
        let error = match run(NextAttempt(attempts), slots).await {
            Ok(written) => return (Ok(written), retries.count()),
            Err(error) => error,
        };
        if slots.is_closed() {
            return (Err(error), retries.count());
        }
        let Some(wait) = retries.next(&error) else { return (Err(error), retries.count()) };
        tracing::warn!("{error}: trying again in {} ms", wait.as_millis());
        sleep(wait).await;
    }
}

async fn collect(
    plan: &Arc<dyn ExecutionPlan>,
    partition: usize,
    context: Arc<TaskContext>,
) -> Result<Written> {
    let rows: Vec<_> = plan
        .execute(partition, context)
        .map_err(from_datafusion)?
        .try_collect()
        .await
        .map_err(from_datafusion)?;
    rows.iter().map(Written::from_rows).collect::<Result<Vec<_>>>().and_then(merged)
}

/// What was written of several chunks, in their order.
fn merged(each: Vec<Written>) -> Result<Written> {
    let mut all = Written::default();
    each.into_iter().try_for_each(|written| all.merge(written))?;
    Ok(all)
}
