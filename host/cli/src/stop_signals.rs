//! Signals that ask the program to stop: SIGINT and SIGTERM.

use longshore_model::error::{Error, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a process that a signal ended has as its exit code: 128 and the signal.
pub(crate) const SIGINT_EXIT_CODE: u8 = 130;
pub(crate) const SIGTERM_EXIT_CODE: u8 = 143;

/// The signals that arrive from the moment on in which this is made: none ends the process any more.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Listens. Call it on a runtime, and before anything is written that a stop must remove.
    pub fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(|error| Error::io("waiting for signals", error));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// The next signal, as the exit code that shells expect of it.
    pub async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => SIGTERM_EXIT_CODE,
            _ = self.interrupt.recv() => SIGINT_EXIT_CODE,
        }
    }
}
