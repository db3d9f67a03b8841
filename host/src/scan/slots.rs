//! How many chunks are read at the same time: one limit for the run, one for each relation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};

/// The places of one relation in a run, and a count of what came through them.
#[derive(Debug)]
pub struct Slots {
    run: Arc<Semaphore>,
    relation: Arc<Semaphore>,
    /// Rows read so far, retries included.
    pub rows: AtomicU64,
    /// Bytes of batches read so far, retries included.
    pub bytes: AtomicU64,
}

impl Slots {
    /// Places for one relation within a run's.
    pub fn new(run: Arc<Semaphore>, chunks: usize) -> Self {
        Self {
            run,
            relation: Arc::new(Semaphore::new(chunks)),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// Waits for a place; it is free again when what is returned is dropped.
    pub(super) async fn take(&self) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let closed = |_| Error::internal("the run is over");
        let relation = self.relation.clone().acquire_owned().await.map_err(closed)?;
        let run = self.run.clone().acquire_owned().await.map_err(closed)?;
        Ok((relation, run))
    }

    pub(super) fn count(&self, rows: usize, bytes: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
