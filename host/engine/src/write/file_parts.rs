//! Parts that are files: encoded as they come, in staging.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt;
use longshore_model::error::Result;
use longshore_model::memory::memory;
use longshore_model::part::Part;
use longshore_sandbox::tape::Tapes;

use super::part_file::{FileParts, MIN_FLUSH_BYTES, finish, guarded};
use super::part_rows::WriteResult;
use super::part_writer::Attempt;
use super::part_writer::{Parts, part_name};
use super::partitioned_writer::PartitionedWriter;
use super::partitioning::Partitioning;
use crate::batch::batch_bytes;
use crate::datafusion_fault::from_datafusion;

/// Rows that are encoded at a time: in between others have their turn, and a run can be stopped.
/// Parquet's writer also needs it: it calls itself for each row group of a batch.
const ENCODED_ROWS: usize = 1 << 16;

/// The same for large rows: what is encoded of them is written out before the next are.
const ENCODED_BYTES: usize = 8 << 20;

impl FileParts {
    /// Rows told apart, a file or more for each folder.
    async fn write_apart(
        &self,
        mut rows: SendableRecordBatchStream,
        by: Partitioning,
        stem: String,
        chunk: u64,
    ) -> Result<Vec<Part>> {
        let mut apart = PartitionedWriter::new(self, by, stem, chunk);
        let writing = async {
            while let Some(batch) = rows.next().await {
                let batch = batch.map_err(from_datafusion)?;
                for slice in slices(&batch) {
                    apart.write(&slice).await?;
                    tokio::task::yield_now().await;
                }
            }
            Ok(())
        };
        let (apart, error) = match writing.await {
            Ok(()) => match apart.finish().await {
                Ok(parts) => return Ok(parts),
                Err(failed) => failed,
            },
            Err(error) => (apart, error),
        };
        apart.discard().await;
        Err(error)
    }

    pub(super) fn file_name(&self, chunk: u64, attempt: Attempt) -> String {
        format!("{}.{}", part_name(&self.target.run, chunk, attempt), self.format.ending())
    }

    /// Removes a file that is not finished.
    pub(super) async fn keep_or_remove<T>(&self, file: &str, written: Result<T>) -> Result<T> {
        if written.is_err()
            && let Err(error) = self.folder.remove_part(&self.target, file, None).await
        {
            tracing::debug!("{error}");
        }
        written
    }

    async fn encode(
        &self,
        mut rows: SendableRecordBatchStream,
        chunk: u64,
        file: &str,
    ) -> Result<Option<Part>> {
        let mut encoder = None;
        let mut count = 0;
        let mut held = memory().account();
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(from_datafusion)?;
            if batch.num_rows() == 0 {
                continue;
            }
            let open = match &mut encoder {
                Some(open) => open,
                None => encoder.insert(self.create(file, rows.schema(), Some(&batch)).await?),
            };
            for slice in slices(&batch) {
                guarded(|| open.write(&slice))?;
                held.set(open.memory_bytes());
                if memory().is_over_budget() && open.memory_bytes() > MIN_FLUSH_BYTES {
                    guarded(|| open.flush_buffered())?;
                    held.set(open.memory_bytes());
                }
                tokio::task::yield_now().await;
            }
            count += batch.num_rows() as u64;
        }
        match encoder {
            Some(encoder) => finish(encoder, chunk, count, file.to_owned()).await.map(Some),
            None => Ok(None),
        }
    }
}

#[async_trait]
impl Parts for FileParts {
    async fn write(
        &self,
        rows: SendableRecordBatchStream,
        chunk: u64,
        attempt: Attempt,
        _: Option<&Tapes>,
    ) -> Result<WriteResult> {
        if let Some(by) = Partitioning::of(&self.partition_by, &rows.schema())? {
            let stem = part_name(&self.target.run, chunk, attempt);
            return self.write_apart(rows, by, stem, chunk).await.map(WriteResult::from);
        }
        let file = self.file_name(chunk, attempt);
        let written = self.encode(rows, chunk, &file).await;
        let part = self.keep_or_remove(&file, written).await?;
        Ok(part.into_iter().collect::<Vec<_>>().into())
    }

    /// A file without rows; no value names a folder for it.
    async fn write_empty(&self, schema: SchemaRef) -> Result<Option<Part>> {
        if !self.partition_by.is_empty() {
            return Ok(None);
        }
        let file = self.file_name(0, Attempt(0));
        let encoder = self.create(&file, schema, None).await?;
        finish(encoder, 0, 0, file).await.map(Some)
    }

    fn format(&self) -> &'static str {
        self.format.name()
    }

    fn relation(&self) -> &str {
        &self.target.relation
    }
}

/// A batch, cut by rows and by bytes, as if its rows were all as large.
fn slices(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> {
    let rows = batch.num_rows();
    let pieces = batch_bytes(batch).div_ceil(ENCODED_BYTES).max(1);
    let step = rows.div_ceil(pieces).clamp(1, ENCODED_ROWS);
    (0..rows).step_by(step).map(move |at| batch.slice(at, step.min(rows - at)))
}
