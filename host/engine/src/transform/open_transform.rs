//! `OpenTransform`: a transform at work on one chunk, batches in and batches out.

use arrow::array::RecordBatch;
use longshore_model::error::Result;
use longshore_sandbox::{Transformer, Usage};

use super::schemas::TransformSchemas;
use crate::ipc::{IpcDecoder, IpcEncoder};

/// A transform at work on one chunk.
pub struct OpenTransform {
    transformer: Transformer,
    schemas: TransformSchemas,
    encoder: IpcEncoder,
    decoder: IpcDecoder,
}

impl OpenTransform {
    /// At the beginning of a chunk.
    pub fn new(transformer: Transformer, schemas: TransformSchemas) -> Result<Self> {
        let encoder = IpcEncoder::new(&schemas.sent)?;
        let decoder = IpcDecoder::new(schemas.computed.clone());
        Ok(Self { transformer, schemas, encoder, decoder })
    }

    /// Sends the columns that the transform reads; gives the batches of the output that follow.
    pub async fn process(&mut self, batch: &RecordBatch) -> Result<Vec<RecordBatch>> {
        let pieces = self.encoder.encode(&self.schemas.select(batch)?)?;
        let computed = self.decoder.push(self.transformer.process(&pieces).await?)?;
        self.schemas.assemble(batch, computed)
    }

    /// Gives what is left after the last batch.
    pub async fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        let mut last = self.decoder.push(self.transformer.finish().await?)?;
        self.decoder.finish()?;
        self.schemas.check_rows(0, &last)?;
        last.retain(|batch| batch.num_rows() > 0);
        Ok(last)
    }

    /// The resources that the instance has used.
    pub fn usage(&self) -> Usage {
        self.transformer.usage()
    }
}
