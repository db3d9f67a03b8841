//! Tasks: one partition of a plan each, or a whole plan. The ledger holds each attempt before it starts.

use std::sync::Arc;

use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use futures::TryStreamExt;
use longshore_engine::datafusion_fault::from_datafusion;
use longshore_engine::scan::{Lane, Slots};
use longshore_engine::transform::task_context;
use longshore_engine::write::{Attempt, Written};
use longshore_model::error::Result;
use longshore_model::figures::figures;
use longshore_sandbox::tape::{TapeFolder, Tapes};
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
        let done = attempt.end(collect(plan, partition, attempt.context(lane)?).await);
        done.inspect_err(|_| slots.take_off(&read))
    })
    .await
}

/// The same for a plan whose partitions cannot be made alone.
pub(super) async fn run_whole(
    plan: Arc<dyn ExecutionPlan>,
    slots: Arc<Slots>,
    attempts: AttemptLog,
) -> (Result<Written>, u32) {
    let plan = &plan;
    retry(&slots, &attempts, |attempt, slots| async move {
        let _running = slots.start_attempt();
        let attempt = attempt.begin()?;
        let plan = reset_plan_states(plan.clone()).map_err(from_datafusion)?;
        let lane = Lane::new(slots.clone());
        let read = lane.read();
        let context = attempt.context(lane)?;
        let partitions = 0..plan.properties().partitioning.partition_count();
        let running = partitions.map(|partition| collect(&plan, partition, context.clone()));
        let done = futures::future::try_join_all(running).await.and_then(merged);
        attempt.end(done).inspect_err(|_| slots.take_off(&read))
    })
    .await
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
    /// The context in which the nodes of a plan find their lane, their attempt and its tapes.
    fn context(&self, lane: Lane) -> Result<Arc<TaskContext>> {
        task_context(|config| {
            let attempt = Arc::new(Attempt(self.number));
            let config = config.with_extension(Arc::new(lane)).with_extension(attempt);
            match &self.tapes {
                Some(tapes) => config.with_extension(tapes.clone()),
                None => config,
            }
        })
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
