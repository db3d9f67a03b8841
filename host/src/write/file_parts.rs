//! Parts that are files: encoded as they come, in staging.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt;

use super::encoder::{Encoded, Encoder, open_encoder};
use super::part::{Attempt, Part};
use super::part_writer::{Parts, part_name};
use crate::config::target::Format;
use crate::error::Result;
use crate::memory::memory;
use crate::target::{Folder, Spot};

/// An encoder that holds less is left alone when memory is short: smaller row groups cost readers
/// more than they save.
const RELIEF_BYTES: usize = 1 << 20;

/// Where a relation's files go, and what they are.
#[derive(Debug)]
pub struct FileParts {
    /// The target.
    pub folder: Arc<dyn Folder>,
    /// The relation's place in it.
    pub spot: Spot,
    /// The files' format.
    pub format: Format,
}

impl FileParts {
    async fn create(
        &self,
        file: &str,
        schema: SchemaRef,
        sample: Option<&RecordBatch>,
    ) -> Result<Box<dyn Encoder>> {
        let output = self.folder.create_part(&self.spot, file).await?;
        open_encoder(&self.format, schema, sample, output)
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
            open.write(&batch)?;
            held.set(open.memory_bytes());
            if memory().is_short() && open.memory_bytes() > RELIEF_BYTES {
                open.relieve()?;
                held.set(open.memory_bytes());
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
    ) -> Result<Option<Part>> {
        let file = self.file_name(chunk, attempt);
        let written = self.encode(rows, chunk, &file).await;
        if written.is_err()
            && let Err(error) = self.folder.remove_part(&self.spot, &file, None).await
        {
            tracing::debug!("{error}");
        }
        written
    }

    /// A file without rows.
    async fn write_empty(&self, schema: SchemaRef) -> Result<Option<Part>> {
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

async fn finish(encoder: Box<dyn Encoder>, chunk: u64, rows: u64, file: String) -> Result<Part> {
    let Encoded { file: output, bytes, sha256 } = encoder.finish()?;
    let token = output.finish().await?;
    Ok(Part { chunk, file, rows, bytes, sha256, token })
}
