//! What a plugin may give while one chunk is read.

use arrow::array::RecordBatch;
use longshore_model::error::{Error, Result};
use longshore_model::limits::Limits;

use crate::batch::batch_bytes;

/// Counts what a reader gives of one chunk: it must give rows, and not without end.
pub struct ReadLimits<'a> {
    limits: &'a Limits,
    rows: u64,
    bytes: u64,
    empty_calls: u64,
}

impl<'a> ReadLimits<'a> {
    /// Nothing is read yet.
    pub fn new(limits: &'a Limits) -> Self {
        Self { limits, rows: 0, bytes: 0, empty_calls: 0 }
    }

    /// Counts a call; an error if too many gave no row.
    pub fn call(&mut self) -> Result<()> {
        self.empty_calls += 1;
        if self.empty_calls > self.limits.empty_calls {
            return Err(endless(format!("no row in {} calls", self.limits.empty_calls)));
        }
        Ok(())
    }

    /// Counts a batch, and gives what it holds, in bytes; an error if the chunk grows too large.
    pub fn batch(&mut self, batch: &RecordBatch) -> Result<usize> {
        if batch.num_rows() > 0 {
            self.empty_calls = 0;
        }
        self.rows += batch.num_rows() as u64;
        let bytes = batch_bytes(batch);
        self.bytes += bytes as u64;
        let Limits { chunk_rows, chunk_mib, .. } = self.limits;
        if self.rows > *chunk_rows {
            return Err(endless(format!("more than {chunk_rows} rows in one chunk")));
        }
        if self.bytes >> 20 > *chunk_mib {
            return Err(endless(format!("more than {chunk_mib} MiB in one chunk")));
        }
        Ok(bytes)
    }
}

fn endless(what: String) -> Error {
    Error::internal(format!("the plugin gave {what}"))
        .with_hint("report it to its author; `[limits]` in longshore.toml sets the limit")
}
