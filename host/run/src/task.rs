//! Tasks: one partition of a plan each, or a whole plan. The ledger holds each attempt before it starts.

use std::path::Path;
use std::sync::Arc;

use datafusion::prelude::SessionConfig;
use longshore_engine::scan::{Lane, ReadCounter, Slots};
use longshore_engine::write::{Attempt, WriteResult};
use longshore_model::error::Result;
use longshore_model::figures::figures;
use longshore_sandbox::tape::{TapeFolder, Tapes};
use tokio::time::sleep;

use super::cluster::{AttemptNews, AttemptOrder, ClusterRun};
use super::relation_writer::{RelationWriter, merged};
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

/// Carries a task out until it succeeds, fails for good, or has used up its retries. Gives what was written, and how
/// often it was retried.
pub(super) async fn run_here(
    writer: &RelationWriter,
    scratch: &Path,
    slots: &Arc<Slots>,
    attempts: &AttemptLog,
) -> (Result<WriteResult>, u32) {
    retry(slots, attempts, |attempt| async move {
        let admitted = writer.admit(slots, scratch).await?;
        let _running = slots.start_attempt();
        let attempt = attempt.begin()?;
        let (read, chunk) = (ReadCounter::default(), attempts.task.chunk);
        let configure = attempt.configure();
        let done = writer.execute(admitted, chunk, slots, &read, configure).await;
        attempt.end(done).inspect_err(|_| slots.take_off(&read))
    })
    .await
}

/// The same on a cluster: this process only waits.
pub(super) async fn run_on_cluster(
    cluster: &dyn ClusterRun,
    writer: &RelationWriter,
    slots: &Arc<Slots>,
    attempts: &AttemptLog,
) -> (Result<WriteResult>, u32) {
    retry(slots, attempts, |attempt| async move {
        let _place = slots.take_elsewhere().await?;
        let _running = slots.start_attempt();
        let attempt = attempt.begin()?;
        let Task { relation, chunk } = attempts.task;
        let is_frugal = writer.is_frugal();
        let order = AttemptOrder { relation, chunk, attempt: attempt.number, is_frugal };
        let whole = if writer.is_chunkwise() { None } else { Some(writer.plan()?) };
        let lane = Lane::new(slots.clone());
        let hear = |news| match news {
            AttemptNews::Begun(executor) => attempt.is_begun_by(&executor),
            AttemptNews::Read(amount) => lane.add_read(amount),
        };
        let done = cluster.attempt(order, whole, &hear).await.and_then(merged);
        writer.learn(&done);
        attempt.end(done).inspect_err(|_| slots.take_off(&lane.read()))
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
    /// Has the nodes of a plan find their attempt and its tapes.
    fn configure(&self) -> impl FnOnce(SessionConfig) -> SessionConfig {
        let (attempt, tapes) = (Arc::new(Attempt(self.number)), self.tapes.clone());
        |config| {
            let config = config.with_extension(attempt);
            match tapes {
                Some(tapes) => config.with_extension(tapes),
                None => config,
            }
        }
    }

    /// Who carries it out is for people to see: the attempt goes on where that cannot be recorded.
    fn is_begun_by(&self, executor: &str) {
        let AttemptLog { ledger, run, task, .. } = self.attempts;
        if let Err(error) = ledger.begun_by(run, *task, self.number, executor) {
            tracing::warn!("{error}");
        }
    }

    fn end(&self, done: Result<WriteResult>) -> Result<WriteResult> {
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
                figures().rows_left_out.add(written.left_out.rows);
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

async fn retry<'a, F: Future<Output = Result<WriteResult>> + 'a>(
    slots: &Slots,
    attempts: &'a AttemptLog,
    run: impl Fn(NextAttempt<'a>) -> F,
) -> (Result<WriteResult>, u32) {
    let mut retries = attempts.retry.of(Work::Chunk);
    loop {
        let error = match run(NextAttempt(attempts)).await {
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
