//! What a reader hands a chunk's batches to: counted, and no further ahead than memory allows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::error::Result as DfResult;
use longshore_model::memory::{Account, memory};
use tokio::sync::mpsc::Sender;

use super::left_out::PlacedLeftOut;
use super::slots::Lane;

/// Batches that wait between reading and what comes after it.
pub(super) const BATCHES_AHEAD: usize = 2;

/// Of batches that are larger, none waits: the next is read when this one is taken.
pub(super) const WAITING_BATCH_LIMIT_BYTES: usize = 4 << 20;

/// Takes the batches of one chunk.
pub struct BatchSender {
    lane: Arc<Lane>,
    batches: Sender<DfResult<RecordBatch>>,
    in_flight: Account,
    beside: Account,
}

impl BatchSender {
    /// A sender that counts in the lane.
    pub(super) fn new(lane: Arc<Lane>, batches: Sender<DfResult<RecordBatch>>) -> Self {
        Self { lane, batches, in_flight: memory().account(), beside: memory().account() }
    }

    /// Sends a batch of so many bytes; false when nobody wants it.
    pub(super) async fn send(&mut self, batch: RecordBatch, bytes: usize) -> bool {
        let waits = bytes <= WAITING_BATCH_LIMIT_BYTES;
        // This one, those that wait behind it, and the one that is worked on.
        self.in_flight.set(bytes * if waits { BATCHES_AHEAD + 2 } else { 2 });
        self.lane.count(batch.num_rows(), bytes);
        let is_wanted = self.batches.send(Ok(batch)).await.is_ok();
        if !waits {
            // All places are free again when it is taken.
            let _ = self.batches.reserve_many(self.batches.max_capacity()).await;
        }
        is_wanted
    }

    /// Counts rows that could not be read and are left out.
    pub(super) fn leave_out(&self, rows: PlacedLeftOut) {
        self.lane.leave_out(rows);
    }

    /// Notes what the reader itself holds, which is counted elsewhere.
    pub(super) fn note_held(&self, bytes: u64) {
        self.lane.beside(bytes);
    }

    /// Counts what the reader itself holds as in flight.
    pub(super) fn count_held(&mut self, bytes: u64) {
        self.beside.set(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
}
