//! The audit log: what was changed or refused. Refusals are written a moment later and together, so that many of
//! them keep no run waiting.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use longshore_run::ledger::{Ledger, NewAuditEntry};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::sleep;

use crate::log_error::log_error;

/// Refusals that wait to be written. What comes when so many wait is counted.
const WAITING_LIMIT: usize = 1_000;

/// How often they are written.
const WRITE_MILLIS: u64 = 500;

/// The audit log of the API.
pub(super) struct AuditLog {
    refusals: Sender<NewAuditEntry>,
    uncounted: AtomicU64,
}

impl AuditLog {
    /// A log, and what writes it: run that.
    pub(super) fn new() -> (Self, Receiver<NewAuditEntry>) {
        let (refusals, receiver) = channel(WAITING_LIMIT);
        (Self { refusals, uncounted: AtomicU64::default() }, receiver)
    }

    /// Notes a refusal.
    pub(super) fn refused(&self, entry: NewAuditEntry) {
        if self.refusals.try_send(entry).is_err() {
            self.uncounted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Refusals that were not noted since the last call.
    fn take_uncounted(&self) -> u64 {
        self.uncounted.swap(0, Ordering::Relaxed)
    }

    /// Writes what is refused, for ever.
    pub(super) async fn write(&self, ledger: Ledger, mut refusals: Receiver<NewAuditEntry>) {
        let mut entries = Vec::new();
        while refusals.recv_many(&mut entries, WAITING_LIMIT).await > 0 {
            let more = self.take_uncounted();
            if more > 0 {
                tracing::warn!("the API refused {more} requests that the audit log does not hold");
            }
            let (ledger, batch) = (ledger.clone(), std::mem::take(&mut entries));
            let written = tokio::task::spawn_blocking(move || ledger.audit(&batch)).await;
            if let Ok(written) = written {
                log_error(written);
            }
            sleep(Duration::from_millis(WRITE_MILLIS)).await;
        }
    }
}
