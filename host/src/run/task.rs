//! Tasks: one partition of a plan each, tried again when the error is one that can pass.

use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use futures::TryStreamExt;

use crate::error::Result;
use crate::scan::Slots;
use crate::transform::task_context;
use crate::write::{Attempt, Part};

/// How often a chunk (or a relation that is made as a whole) is tried again.
pub const RETRY_LIMIT: u32 = 5;

/// The wait before the first retry; it doubles with each, and up to half of it is added at random.
pub const RETRY_BACKOFF_MILLIS: u64 = 500;

/// Runs one partition until it succeeds, fails for good, or the retries are spent. Gives its parts
/// and how often it was tried again.
pub(super) async fn run_partition(
    plan: Arc<dyn ExecutionPlan>,
    partition: usize,
    slots: Arc<Slots>,
) -> Result<(Vec<Part>, u32)> {
    retrying(|attempt| {
        let (plan, slots) = (plan.clone(), slots.clone());
        async move { collect(&plan, partition, context(slots, attempt)?).await }
    })
    .await
}

/// Runs a plan whose partitions cannot be made alone.
pub(super) async fn run_whole(
    plan: Arc<dyn ExecutionPlan>,
    slots: Arc<Slots>,
) -> Result<(Vec<Part>, u32)> {
    retrying(|attempt| {
        let (plan, slots) = (plan.clone(), slots.clone());
        async move {
            let plan = reset_plan_states(plan)?;
            let context = context(slots, attempt)?;
            let partitions = 0..plan.properties().partitioning.partition_count();
            let running = partitions.map(|partition| collect(&plan, partition, context.clone()));
            Ok(futures::future::try_join_all(running).await?.concat())
        }
    })
    .await
}

async fn retrying<F: Future<Output = Result<Vec<Part>>>>(
    run: impl Fn(Attempt) -> F,
) -> Result<(Vec<Part>, u32)> {
    let mut attempt = 0;
    loop {
        match run(Attempt(attempt)).await {
            Ok(parts) => return Ok((parts, attempt)),
            Err(error) if error.class().is_transient() && attempt < RETRY_LIMIT => {
                let wait = backoff(attempt);
                tracing::warn!("{error}: trying again in {} ms", wait.as_millis());
                tokio::time::sleep(wait).await;
                attempt += 1;
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

fn context(slots: Arc<Slots>, attempt: Attempt) -> Result<Arc<TaskContext>> {
    task_context(|config| config.with_extension(slots).with_extension(Arc::new(attempt)))
}

/// The wait before the next attempt.
pub(super) fn backoff(attempt: u32) -> Duration {
    let base = RETRY_BACKOFF_MILLIS << attempt;
    let mut random = [0; 8];
    // Without randomness, all wait alike: slower, not wrong.
    let _ = getrandom::fill(&mut random);
    Duration::from_millis(base + u64::from_le_bytes(random) % (base / 2))
}
