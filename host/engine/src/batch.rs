//! The memory that batches take.

use arrow::array::RecordBatch;
use datafusion::common::utils::memory::get_record_batch_memory_size;

/// What a batch really holds: columns that came in one piece share it.
pub fn batch_bytes(batch: &RecordBatch) -> usize {
    get_record_batch_memory_size(batch)
}
