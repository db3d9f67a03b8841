//! How many chunks are read at the same time: one limit for the run, one for each relation, and the
//! process's memory. A run that drains gives no more places, and waits for the attempts that have one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use longshore_model::error::{Error, Result};
use longshore_model::figures::figures;
use longshore_model::memory::{Admission, memory};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::left_out::PlacedLeftOut;
use super::read_amount::{ReadAmount, ReadCounter};

/// How long the other chunks of a relation wait for the first one's first batch, which tells what they will hold.
const FIRST_BATCH_WAIT_MILLIS: u64 = 1_000;

/// A chunk holds its batches as they are read, as they are worked on, as they are encoded and written.
const COPIES_OF_A_BATCH: u64 = 4;

/// The places of one relation in a run, and a count of what came through them.
#[derive(Debug)]
pub struct Slots {
    run: Arc<Semaphore>,
    relation: Arc<Semaphore>,
    columns: usize,
    /// Goes ahead alone; closed when a batch has come.
    first: Arc<Semaphore>,
    /// The most that one of its chunks held.
    largest_bytes: AtomicU64,
    /// The attempts that are running.
    attempts: TaskTracker,
    /// Rows read so far, but those of attempts that failed.
    pub rows: AtomicU64,
    /// Bytes of batches read so far, retries included.
    pub bytes: AtomicU64,
}

/// A place to read a chunk in.
#[derive(Debug)]
pub struct Slot {
    _relation: OwnedSemaphorePermit,
    _run: OwnedSemaphorePermit,
    _first: Option<OwnedSemaphorePermit>,
    _memory: Option<Admission>,
}

impl Slots {
    /// Places for one relation of so many columns within a run's.
    pub fn new(run: Arc<Semaphore>, chunks: usize, columns: usize) -> Self {
        Self {
            run,
            columns,
            first: Arc::new(Semaphore::new(1)),
            largest_bytes: AtomicU64::new(0),
            relation: Arc::new(Semaphore::new(chunks)),
            attempts: TaskTracker::new(),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// Waits for a place; it is free again when it is dropped.
    pub async fn take(&self) -> Result<Slot> {
        let place = self.take_elsewhere().await?;
        let first = self.first().await;
        let largest_bytes = self.largest_bytes.load(Ordering::Relaxed);
        let admission = memory().admit(self.columns, largest_bytes).await;
        Ok(Slot { _first: first, _memory: Some(admission), ..place })
    }

    /// Waits for a place to have a chunk read by another process, whose memory is not this one's.
    pub async fn take_elsewhere(&self) -> Result<Slot> {
        let closed = |_| Error::internal("the run takes no more chunks");
        let relation = self.relation.clone().acquire_owned().await.map_err(closed)?;
        let run = self.run.clone().acquire_owned().await.map_err(closed)?;
        Ok(Slot { _relation: relation, _run: run, _first: None, _memory: None })
    }

    /// For the first chunk, a permit at once; for the others none, when a batch has come or they have waited
    /// enough.
    async fn first(&self) -> Option<OwnedSemaphorePermit> {
        let wait = Duration::from_millis(FIRST_BATCH_WAIT_MILLIS);
        let Ok(first) = timeout(wait, self.first.clone().acquire_owned()).await else {
            self.first.close();
            return None;
        };
        first.ok()
    }

    /// A chunk holds a batch of so many bytes, and so many beside it.
    fn learn(&self, batch_bytes: u64, beside_bytes: u64) {
        let held = beside_bytes + COPIES_OF_A_BATCH * batch_bytes;
        self.largest_bytes.fetch_max(held, Ordering::Relaxed);
        self.first.close();
    }

    /// Gives no more places.
    pub fn close(&self) {
        self.run.close();
        self.relation.close();
        self.attempts.close();
    }

    /// Whether places are given no more.
    pub fn is_closed(&self) -> bool {
        self.run.is_closed()
    }

    /// Counts an attempt as running until the token is dropped.
    pub fn start_attempt(&self) -> TaskTrackerToken {
        self.attempts.token()
    }

    /// Whether an attempt is running.
    pub fn is_busy(&self) -> bool {
        !self.attempts.is_empty()
    }

    /// Waits until no attempt is running. Close it first: until then others may start.
    pub async fn drained(&self) {
        self.attempts.wait().await;
    }

    /// Takes off what a failed attempt has read.
    pub fn take_off(&self, read: &ReadCounter) {
        self.rows.fetch_sub(read.take().rows, Ordering::Relaxed);
    }
}

/// What an attempt hands to the scans of its plan: the relation's places, and perhaps one that it
/// has already.
#[derive(Debug)]
pub struct Lane {
    pub(super) slots: Arc<Slots>,
    held: Mutex<Option<Slot>>,
    read: ReadCounter,
    /// What the reader holds beside its batches.
    beside_bytes: AtomicU64,
}

impl Lane {
    /// For a plan that reads one chunk, in this place.
    pub fn with(slots: Arc<Slots>, slot: Slot) -> Self {
        Self { held: Mutex::new(Some(slot)), ..Self::new(slots) }
    }

    /// For a plan that takes a place for each chunk that it reads.
    pub fn new(slots: Arc<Slots>) -> Self {
        let (held, read, beside_bytes) = Default::default();
        Self { slots, held, read, beside_bytes }
    }

    /// The same, which counts what is read here.
    pub fn counting(self, read: ReadCounter) -> Self {
        Self { read, ..self }
    }

    /// Counts what has been read: here, or by another process.
    pub fn add_read(&self, read: ReadAmount) {
        self.read.add(read);
        self.slots.rows.fetch_add(read.rows, Ordering::Relaxed);
        self.slots.bytes.fetch_add(read.bytes, Ordering::Relaxed);
        figures().rows_read.add(read.rows);
        figures().bytes_read.add(read.bytes);
    }

    /// The counter of what is read through it.
    pub fn read(&self) -> ReadCounter {
        self.read.clone()
    }

    pub(super) fn count(&self, rows: usize, bytes: usize) {
        self.add_read(ReadAmount { rows: rows as u64, bytes: bytes as u64 });
        self.slots.learn(bytes as u64, self.beside_bytes.load(Ordering::Relaxed));
    }

    /// Counts rows that were left out.
    pub(super) fn leave_out(&self, rows: PlacedLeftOut) {
        self.read.leave_out(rows);
    }

    /// The reader holds so many bytes beside its batches.
    pub(super) fn beside(&self, bytes: u64) {
        self.beside_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) async fn take(&self) -> Result<Slot> {
        let held = self.held.lock().take();
        match held {
            Some(slot) => Ok(slot),
            None => self.slots.take().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_an_attempt_that_failed_are_taken_off() {
        let slots = Arc::new(Slots::new(Arc::new(Semaphore::new(1)), 1, 1));
        let (good, bad) = (Lane::new(slots.clone()), Lane::new(slots.clone()));
        good.count(5, 50);
        bad.count(7, 70);
        slots.take_off(&bad.read());
        slots.take_off(&bad.read());
        assert_eq!(slots.rows.load(Ordering::Relaxed), 5);
    }

    #[tokio::test]
    async fn a_drain_waits_for_the_attempts_that_are_running() {
        let slots = Slots::new(Arc::new(Semaphore::new(2)), 2, 1);
        let attempts = [slots.start_attempt(), slots.start_attempt()];
        slots.close();
        assert!(slots.is_closed() && slots.take().await.is_err());
        for attempt in attempts {
            let waiting = timeout(Duration::from_millis(1), slots.drained()).await;
            assert!(waiting.is_err());
            drop(attempt);
        }
        slots.drained().await;
    }
}
