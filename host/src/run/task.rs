//! Tasks: one partition of a plan each, tried again when the error is one that can pass. Each
//! attempt is in the ledger before it begins.

use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use futures::TryStreamExt;

use crate::error::Result;
use crate::ledger::{Ledger, Task};
use crate::scan::{Lane, Slots};
use crate::transform::task_context;
use crate::write::{Attempt, Part};

/// How often a chunk (or a relation that is made as a whole) is tried again, unless the operator
/// says.
pub const RETRY_LIMIT: u32 = 5;

/// The wait before the first retry, unless the operator says; it doubles with each, and up to half
/// of it is added at random.
pub const RETRY_BACKOFF_MILLIS: u64 = 500;

/// The longest wait before a retry.
pub const RETRY_BACKOFF_LIMIT_MILLIS: u64 = 60_000;

/// How often, and after what waits, something is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Retries of one task.
    pub limit: u32,
    /// The wait before the first.
    pub backoff_millis: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { limit: RETRY_LIMIT, backoff_millis: RETRY_BACKOFF_MILLIS }
    }
}

impl RetryPolicy {
    /// The wait before the next attempt, after so many.
    pub(super) fn wait(&self, retries: u32) -> Duration {
        let doubled = self.backoff_millis.saturating_mul(1 << retries.min(20));
        let base = doubled.clamp(1, RETRY_BACKOFF_LIMIT_MILLIS);
        let mut random = [0; 8];
        // Without randomness, all wait alike: slower, not wrong.
        let _ = getrandom::fill(&mut random);
        Duration::from_millis(base + u64::from_le_bytes(random) % (base / 2 + 1))
    }
}

/// What an attempt is written down in, and under what.
#[derive(Clone)]
pub(super) struct Journal {
    pub(super) ledger: Ledger,
    pub(super) run: String,
    pub(super) task: Task,
    pub(super) retry: RetryPolicy,
}

/// Runs one partition until it succeeds, fails for good, or the retries are spent. Gives its parts
/// and how often it was tried again.
pub(super) async fn run_partition(
    plan: Arc<dyn ExecutionPlan>,
    partition: usize,
    slots: Arc<Slots>,
    journal: Journal,
) -> Result<(Vec<Part>, u32)> {
    let plan = &plan;
    retrying(&slots, &journal, |attempt, slots| async move {
        let slot = slots.take().await?;
        let _work = slots.work();
        let attempt = attempt.begin()?;
        let lane = Lane::with(slots.clone(), slot);
        attempt.end(collect(plan, partition, context(lane, attempt.number)?).await)
    })
    .await
}

/// Runs a plan whose partitions cannot be made alone.
pub(super) async fn run_whole(
    plan: Arc<dyn ExecutionPlan>,
    slots: Arc<Slots>,
    journal: Journal,
) -> Result<(Vec<Part>, u32)> {
    let plan = &plan;
    retrying(&slots, &journal, |attempt, slots| async move {
        let _work = slots.work();
        let attempt = attempt.begin()?;
        let plan = reset_plan_states(plan.clone())?;
        let context = context(Lane::new(slots.clone()), attempt.number)?;
        let partitions = 0..plan.properties().partitioning.partition_count();
        let running = partitions.map(|partition| collect(&plan, partition, context.clone()));
        attempt.end(futures::future::try_join_all(running).await.map(|parts| parts.concat()))
    })
    .await
}

/// An attempt that is about to begin.
struct Next<'a>(&'a Journal);

/// An attempt that has begun.
struct Begun<'a> {
    journal: &'a Journal,
    number: u32,
}

impl<'a> Next<'a> {
    fn begin(self) -> Result<Begun<'a>> {
        let Journal { ledger, run, task, .. } = self.0;
        Ok(Begun { journal: self.0, number: ledger.attempt(run, *task)? })
    }
}

impl Begun<'_> {
    fn end(&self, done: Result<Vec<Part>>) -> Result<Vec<Part>> {
        let Journal { ledger, run, task, .. } = self.journal;
        match &done {
            Ok(parts) => ledger.done(run, *task, self.number, parts)?,
            Err(error) => ledger.failed(run, *task, self.number, error)?,
        }
        done
    }
}

async fn retrying<'a, F: Future<Output = Result<Vec<Part>>> + 'a>(
    slots: &'a Arc<Slots>,
    journal: &'a Journal,
    run: impl Fn(Next<'a>, &'a Arc<Slots>) -> F,
) -> Result<(Vec<Part>, u32)> {
    let mut retries = 0;
    loop {
        match run(Next(journal), slots).await {
            Ok(parts) => return Ok((parts, retries)),
            Err(error)
                if error.class().is_transient()
                    && retries < journal.retry.limit
                    && !slots.is_closed() =>
            {
                let wait = journal.retry.wait(retries);
                tracing::warn!("{error}: trying again in {} ms", wait.as_millis());
                tokio::time::sleep(wait).await;
                retries += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn collect(
    plan: &Arc<dyn ExecutionPlan>,
    partition: usize,
    context: Arc<TaskContext>,
) -> Result<Vec<Part>> {
    let rows: Vec<_> = plan.execute(partition, context)?.try_collect().await?;
    let parts: Vec<Vec<Part>> = rows.iter().map(Part::from_rows).collect::<Result<_>>()?;
    Ok(parts.concat())
}

fn context(lane: Lane, attempt: u32) -> Result<Arc<TaskContext>> {
    task_context(|config| {
        config.with_extension(Arc::new(lane)).with_extension(Arc::new(Attempt(attempt)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end_at_their_limit() {
        let policy = RetryPolicy { limit: 9, backoff_millis: 500 };
        for (retries, base) in [(0, 500), (1, 1_000), (3, 4_000), (19, 60_000), (99, 60_000)] {
            let wait = policy.wait(retries).as_millis();
            assert!((base..=base + base / 2).contains(&wait), "{retries}: {wait}");
        }
    }
}
