//! Parts that are files: encoded as they come, in staging.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt;

use super::apart::Apart;
use super::encoder::{Encoded, Encoder, open_encoder};
use super::part::{Attempt, Part};
use super::part_writer::{Parts, part_name};
use super::partitioning::Partitioning;
use crate::config::target::Format;
use crate::error::{Error, Result};
use crate::memory::{batch_bytes, memory};
use crate::scan::caught;
use crate::tape::Tapes;
use crate::target::{Folder, Spot};

/// An encoder that holds less is left alone when memory is short: smaller row groups cost readers
/// more than they save.
pub(super) const RELIEF_BYTES: usize = 1 << 20;

/// Rows that are encoded at a time: in between others have their turn, and a run can be stopped.
/// Parquet's writer also needs it: it calls itself for each row group of a batch.
const ENCODED_ROWS: usize = 1 << 16;

/// The same for large rows: what is encoded of them is written out before the next are.
const ENCODED_BYTES: usize = 8 << 20;

/// Where a relation's files go, and what they are.
#[derive(Debug)]
pub struct FileParts {
    /// The target.
    pub folder: Arc<dyn Folder>,
    /// The relation's place in it.
    pub spot: Spot,
    /// The files' format.
    pub format: Format,
    /// The columns whose values name folders; none: all files lie in one.
    pub partition_by: Vec<String>,
}

impl FileParts {
    pub(super) async fn create(
        &self,
        file: &str,
        schema: SchemaRef,
        sample: Option<&RecordBatch>,
    ) -> Result<Box<dyn Encoder>> {
        let output = self.folder.create_part(&self.spot, file).await?;
        guarded(|| open_encoder(&self.format, schema, sample, output))
    }

    /// Rows told apart, a file or more for each folder.
    async fn write_apart(
        &self,
        mut rows: SendableRecordBatchStream,
        by: Partitioning,
        stem: String,
        chunk: u64,
    ) -> Result<Vec<Part>> {
        let mut apart = Apart::new(self, by, stem, chunk);
        let writing = async {
            while let Some(batch) = rows.next().await {
                let batch = batch?;
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

    fn file_name(&self, chunk: u64, attempt: Attempt) -> String {
        format!("{}.{}", part_name(&self.spot.run, chunk, attempt), self.format.ending())
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
            let batch = batch?;
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
                if memory().is_short() && open.memory_bytes() > RELIEF_BYTES {
                    guarded(|| open.relieve())?;
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
    /// A file that is not finished is removed.
    async fn write(
        &self,
        rows: SendableRecordBatchStream,
        chunk: u64,
        attempt: Attempt,
        _: Option<&Tapes>,
    ) -> Result<Vec<Part>> {
        if let Some(by) = Partitioning::of(&self.partition_by, &rows.schema())? {
            let stem = part_name(&self.spot.run, chunk, attempt);
            return self.write_apart(rows, by, stem, chunk).await;
        }
        let file = self.file_name(chunk, attempt);
        let written = self.encode(rows, chunk, &file).await;
        if written.is_err()
            && let Err(error) = self.folder.remove_part(&self.spot, &file, None).await
        {
            tracing::debug!("{error}");
        }
        Ok(written?.into_iter().collect())
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
        &self.spot.relation
    }
}

/// A batch, cut by rows and by bytes, as if its rows were all as large.
fn slices(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> {
    let rows = batch.num_rows();
    let pieces = batch_bytes(batch).div_ceil(ENCODED_BYTES).max(1);
    let step = rows.div_ceil(pieces).clamp(1, ENCODED_ROWS);
    (0..rows).step_by(step).map(move |at| batch.slice(at, step.min(rows - at)))
}

pub(super) async fn finish(
    encoder: Box<dyn Encoder>,
    chunk: u64,
    rows: u64,
    file: String,
) -> Result<Part> {
    let Encoded { file: output, bytes, sha256 } = guarded(|| encoder.finish())?;
    let token = output.finish().await?;
    Ok(Part { chunk, file, rows, bytes, sha256, token })
}

/// Encoders give up, in a panic, on types that they know nothing of.
pub(super) fn guarded<T>(encode: impl FnOnce() -> Result<T>) -> Result<T> {
    caught(encode).unwrap_or_else(|| {
        Err(Error::data("the format cannot hold it: its encoder gave up")
            .with_hint("cast the column to another type in an `sql` step"))
    })
}
