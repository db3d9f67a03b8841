//! A run that is under way.

use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;

use longshore_model::error::{Error, Result};
use longshore_run::ledger::Ledger;
use longshore_run::{Progress, RunControl, RunReport};
use tokio::sync::{oneshot, watch};

use crate::events::{Events, tell};
use crate::threads::{UnderWay, threads};
use crate::work::{RunChannels, RunResult, Task};

/// A run that is under way on Longshore's own threads. Await it for its report.
///
/// A run that is dropped is cancelled: nothing of it is published, and what it left is removed, on the same threads,
/// while the caller goes on. [`wait_until_idle`](crate::wait_until_idle) waits for that, before a process ends. A run
/// that publishes already completes that.
#[must_use = "a run that is dropped is cancelled"]
pub struct Run {
    handle: CancelOnDrop,
    recorded: watch::Receiver<Option<(Ledger, String)>>,
    progress: watch::Receiver<Option<Arc<Progress>>>,
    ended: oneshot::Receiver<Result<RunResult>>,
    delivered: oneshot::Receiver<Result<u64>>,
}

/// Stops a run from elsewhere. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CancelHandle(RunControl);

impl CancelHandle {
    /// Stops the run, and removes what it left. A run that publishes already completes that.
    pub fn cancel(&self) {
        self.0.cancel(None);
    }

    /// Stops the run, and keeps what it has read: another run with the same run key goes on with it.
    pub fn interrupt(&self) {
        self.0.interrupt();
    }
}

struct CancelOnDrop(CancelHandle);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Run {
    /// Begins what `prepare` gives; both happen on Longshore's own threads.
    #[doc(hidden)]
    pub fn begin(prepare: impl FnOnce() -> Result<Task> + Send + 'static) -> Self {
        let control = RunControl::default();
        let (recorded, recorded_of) = watch::channel(None);
        let (progress, progress_of) = watch::channel(None);
        let (ended, ended_of) = oneshot::channel();
        let (delivered, delivered_of) = oneshot::channel();
        let telling = RunChannels { recorded, progress, ended };
        let run = Self {
            handle: CancelOnDrop(CancelHandle(control.clone())),
            recorded: recorded_of,
            progress: progress_of,
            ended: ended_of,
            delivered: delivered_of,
        };
        let threads = match threads() {
            Ok(threads) => threads,
            Err(error) => {
                let _ = telling.ended.send(Err(error));
                return run;
            }
        };
        let under_way = UnderWay::begin();
        // A thread of its own: plans take time, and connections are served by the others.
        threads.io.spawn_blocking(move || {
            let _under_way = under_way;
            match prepare() {
                Ok(task) => {
                    let _ = delivered.send(threads.io.block_on(task.carry_out(telling, control)));
                }
                Err(error) => {
                    let _ = telling.ended.send(Err(error));
                }
            }
        });
        run
    }

    /// What stops the run from elsewhere.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.handle.0.clone()
    }

    /// What happens to the run, from its beginning; the stream ends with the run. Whoever reads it slowly misses
    /// nothing but progress in between.
    pub fn events(&self) -> Events {
        tell(self.recorded.clone(), self.progress.clone())
    }

    /// The report of the run, also of one that failed or was cancelled: its `error` says why. An error means that the
    /// run has not begun.
    pub async fn report(mut self) -> Result<RunReport> {
        let ended = self.ended().await?;
        self.tell_others().await;
        Ok(ended.report)
    }

    /// The run's control.
    #[doc(hidden)]
    pub fn control(&self) -> &RunControl {
        &self.handle.0.0
    }

    /// How far the run is; there is another for each plan.
    #[doc(hidden)]
    pub fn progress(&self) -> watch::Receiver<Option<Arc<Progress>>> {
        self.progress.clone()
    }

    /// The end of the run, before others are told of it. To be awaited once.
    #[doc(hidden)]
    pub async fn ended(&mut self) -> Result<RunResult> {
        (&mut self.ended).await.unwrap_or_else(|_| Err(panicked()))
    }

    /// Resolves when others have been told of the run, with how many messages wait. To be awaited once.
    #[doc(hidden)]
    pub async fn delivered(&mut self) -> Result<u64> {
        (&mut self.delivered).await.unwrap_or(Ok(0))
    }

    async fn tell_others(&mut self) {
        match self.delivered().await {
            Ok(0) => {}
            Ok(left) => tracing::warn!("{left} messages that tell of runs are not delivered yet"),
            Err(error) => tracing::warn!("{error}"),
        }
    }

    async fn finish(mut self) -> Result<RunReport> {
        let RunResult { report, result } = self.ended().await?;
        self.tell_others().await;
        result.map(|()| report)
    }
}

impl IntoFuture for Run {
    type Output = Result<RunReport>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.finish())
    }
}

/// The error of work that gave no answer.
pub(crate) fn panicked() -> Error {
    Error::internal("the program panicked").with_hint("this is a fault of Longshore: report it")
}
