//! Stopping a run: what it does when it is drained, interrupted or cancelled, here or by another process.

use std::convert::Infallible;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{interval, sleep};

use super::relation_tasks::RelationTasks;
use super::run_end::RunEnd;
use super::runner::ActiveRun;
use crate::phase::{Phase, Stop, StopAction};

/// How often a run looks whether another process asked to cancel it.
const CANCEL_LOOK_MILLIS: u64 = 500;

impl ActiveRun<'_> {
    /// Waits, unless the run is asked to stop.
    pub(super) async fn pause(&self, wait: Duration) -> Result<(), RunEnd> {
        tokio::select! {
            () = sleep(wait) => Ok(()),
            end = self.stopped_before_reading() => Err(end),
        }
    }

    /// Resolves when the run is asked to stop, and reads nothing.
    pub(super) async fn stopped_before_reading(&self) -> RunEnd {
        let action = Phase::Planning.on_stop(self.control.stopped().await);
        RunEnd::after_stop(action, self.control.exit_code())
    }

    /// Resolves when the run is asked to stop, and its attempts have ended or may be cut off.
    pub(super) async fn stopped(&self, tasks: &[RelationTasks]) -> RunEnd {
        let mut action = Phase::Reading.on_stop(self.control.stopped().await);
        if action == StopAction::FinishAttempts {
            tasks.iter().for_each(|tasks| tasks.progress.slots.close());
            let drained = join_all(tasks.iter().map(|tasks| tasks.progress.slots.drained()));
            tokio::select! {
                _ = drained => {}
                stop = self.control.stopped_at_once() => {
                    if stop == Stop::Interrupt {
                        tracing::warn!("run {}: some chunks did not end in time", self.id);
                    }
                    action = Phase::Reading.on_stop(stop);
                }
            }
        }
        RunEnd::after_stop(action, self.control.exit_code())
    }

    /// Cancels the run when another process sets its flag in the ledger.
    pub(super) async fn watch_cancel_flag(&self) -> Infallible {
        let mut looks = interval(Duration::from_millis(CANCEL_LOOK_MILLIS));
        loop {
            looks.tick().await;
            match self.ledger().is_cancel_requested(self.id) {
                Ok(true) => self.control.cancel(None),
                Ok(false) => {}
                Err(error) => tracing::warn!("{error}"),
            }
        }
    }
}
