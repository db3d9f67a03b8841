//! What a load computes in: a share of the memory budget, beyond which it spills into the run's scratch folder.

use std::path::Path;
use std::sync::Arc;

use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::prelude::SessionConfig;
use longshore_model::config::settings::cores;
use longshore_model::error::Result;
use longshore_model::memory::{Account, Share, memory};
use parking_lot::Mutex;

use crate::datafusion_fault::from_datafusion;
use crate::spill::spilling_runtime;

/// What each of several sorts needs at least.
const LEAST_STREAM_BYTES: u64 = 12 << 20;

/// Sorts of each stream at the same time: of what was read, and of what is there.
const SORTS_OF_STREAM: u64 = 2;

/// The bytes of the pool for each row of a batch: with little memory, batches are small.
const POOL_BYTES_OF_ROW: u64 = 64 << 10;

/// The rows of a batch.
const BATCH_ROWS: std::ops::RangeInclusive<u64> = 256..=8192;

/// A load takes one part in so many of its pool for the rows that it looks others up in.
const LOOKUP_SHARE: u64 = 3;

/// A load's memory and disk.
pub(super) struct Session {
    pub(super) context: Arc<TaskContext>,
    /// How many streams are read at the same time.
    pub(super) parallel: usize,
    /// The most bytes of rows that are held to look others up in.
    pub(super) lookup_bytes: u64,
    /// The pool, in the process's budget.
    _held: Mutex<Account>,
}

impl Session {
    /// A session that spills into this folder.
    pub(super) fn new(scratch: &Path, parallel: usize) -> Result<Self> {
        let pool_bytes = Share::Load.bytes();
        let pool = Arc::new(FairSpillPool::new(pool_bytes as usize));
        let runtime = spilling_runtime(pool, scratch).map_err(from_datafusion)?;
        let parallel = parallel.min(cores()).min((pool_bytes / LEAST_STREAM_BYTES) as usize).max(1);
        // A sort merges what it holds before it spills: half of the pool is for the keys that it compares then.
        let reservation = (pool_bytes / 2 / (parallel as u64 * SORTS_OF_STREAM)) as usize;
        // A partition reads its own files, and in their order: what is found out of a file rests on it.
        let rows = (pool_bytes / POOL_BYTES_OF_ROW).clamp(*BATCH_ROWS.start(), *BATCH_ROWS.end());
        let config = SessionConfig::new()
            .with_batch_size(rows as usize)
            .with_sort_spill_reservation_bytes(reservation)
            .set_bool("datafusion.execution.enable_file_stream_work_stealing", false);
        let context = TaskContext::default().with_session_config(config).with_runtime(runtime);
        let mut held = memory().account();
        held.set(pool_bytes as usize);
        Ok(Self {
            context: Arc::new(context),
            parallel,
            lookup_bytes: pool_bytes / LOOKUP_SHARE,
            _held: Mutex::new(held),
        })
    }
}
