//! Parts that a sink takes: rows cross the sandbox as they come.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt;
use longshore_model::error::{Result, ResultExt};
use longshore_model::memory::memory;
use longshore_model::part::{Part, RelationTarget};
use longshore_sandbox::OpenWriter;
use longshore_sandbox::tape::Tapes;

use super::part_rows::WriteResult;
use super::part_writer::Attempt;
use super::part_writer::{Parts, part_name};
use crate::datafusion_fault::from_datafusion;
use crate::destination::SinkTarget;
use crate::ipc::IpcEncoder;

/// A relation's place in a sink.
#[derive(Debug)]
pub struct SinkParts {
    /// The target.
    pub sink: Arc<SinkTarget>,
    /// The relation's place in it.
    pub target: RelationTarget,
}

/// A chunk on its way.
struct OpenChunk {
    writer: OpenWriter,
    encoder: IpcEncoder,
    rows: u64,
    bytes: u64,
}

#[async_trait]
impl Parts for SinkParts {
    async fn write(
        &self,
        mut rows: SendableRecordBatchStream,
        chunk: u64,
        attempt: Attempt,
        tapes: Option<&Tapes>,
    ) -> Result<WriteResult> {
        let mut writing = None;
        let mut held = memory().account();
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(from_datafusion)?;
            if batch.num_rows() == 0 {
                continue;
            }
            let OpenChunk { writer, encoder, rows, bytes } = match &mut writing {
                Some(writing) => writing,
                None => writing.insert(OpenChunk {
                    writer: self.sink.write(&self.target, chunk, attempt.0, tapes).await?,
                    encoder: IpcEncoder::new(&batch.schema())?,
                    rows: 0,
                    bytes: 0,
                }),
            };
            let pieces = encoder.encode(&batch)?;
            let size: usize = pieces.iter().map(Vec::len).sum();
            held.set(size);
            writer.write(&pieces).await.context(self.sink.name())?;
            *rows += batch.num_rows() as u64;
            *bytes += size as u64;
        }
        let Some(OpenChunk { writer, rows, bytes, .. }) = writing else {
            return Ok(WriteResult::default());
        };
        let token = self.sink.finish(writer, tapes).await?;
        let file = part_name(&self.target.run, chunk, attempt);
        Ok(vec![Part { chunk, file, rows, bytes, checksum: None, token }].into())
    }

    /// A sink was told the schema when the load began.
    async fn write_empty(&self, _: SchemaRef) -> Result<Option<Part>> {
        Ok(None)
    }

    fn format(&self) -> &'static str {
        "sink"
    }

    fn relation(&self) -> &str {
        &self.target.relation
    }
}
