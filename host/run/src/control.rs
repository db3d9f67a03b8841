//! The handle that stops runs from outside: drains, interrupts or cancels them.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use crate::phase::Stop;

/// Stops one run, or all runs of a process. A request cannot be withdrawn, only a stronger one added.
/// What a run does then is in [`crate::phase`].
#[derive(Clone, Debug, Default)]
pub struct RunControl {
    drain: CancellationToken,
    interrupt: CancellationToken,
    cancel: CancellationToken,
    exit_code: Arc<OnceLock<u8>>,
}

impl RunControl {
    /// Finish the chunks that are being read, start no more, and stay resumable. The caller
    /// [interrupts](Self::interrupt) what does not finish in time.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Stop at once, and stay resumable.
    pub fn interrupt(&self) {
        self.interrupt.cancel();
    }

    /// The same, by a signal: the process will end with this exit code.
    pub fn interrupt_by_signal(&self, exit_code: u8) {
        // The first signal counts.
        let _ = self.exit_code.set(exit_code);
        self.interrupt();
    }

    /// Stop at once, and leave nothing. The process will end with this exit code, if a signal asked for
    /// it.
    pub fn cancel(&self, exit_code: Option<u8>) {
        if let Some(exit_code) = exit_code {
            // The first signal counts.
            let _ = self.exit_code.set(exit_code);
        }
        self.cancel.cancel();
    }

    /// A handle for one run of several: what stops all of them stops it, and it can be cancelled alone.
    pub(crate) fn of_run(&self) -> Self {
        Self { cancel: self.cancel.child_token(), ..self.clone() }
    }

    /// The exit code that belongs to the signal that stopped the run.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        self.exit_code.get().copied()
    }

    /// Resolves when a stop is requested; gives the strongest one.
    pub(crate) async fn stopped(&self) -> Stop {
        tokio::select! {
            biased;
            stop = self.stopped_at_once() => stop,
            () = self.drain.cancelled() => Stop::Drain,
        }
    }

    /// Resolves when a stop stronger than a drain is requested.
    pub(crate) async fn stopped_at_once(&self) -> Stop {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Stop::Cancel,
            () = self.interrupt.cancelled() => Stop::Interrupt,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn the_strongest_request_counts() {
        let control = RunControl::default();
        let stopped = || control.stopped().now_or_never();
        assert_eq!(stopped(), None);
        control.drain();
        assert_eq!(
            (stopped(), control.stopped_at_once().now_or_never()),
            (Some(Stop::Drain), None)
        );
        control.interrupt();
        assert_eq!(stopped(), Some(Stop::Interrupt));
        control.cancel(Some(143));
        control.cancel(Some(130));
        assert_eq!((stopped(), control.exit_code()), (Some(Stop::Cancel), Some(143)));
    }

    #[test]
    fn one_run_is_cancelled_alone_and_drained_with_the_others() {
        let all = RunControl::default();
        let (one, other) = (all.of_run(), all.of_run());
        one.cancel(None);
        assert_eq!(one.stopped().now_or_never(), Some(Stop::Cancel));
        assert_eq!(other.stopped().now_or_never(), None);
        all.drain();
        assert_eq!(other.stopped().now_or_never(), Some(Stop::Drain));
        all.cancel(None);
        assert_eq!(other.stopped().now_or_never(), Some(Stop::Cancel));
    }
}
