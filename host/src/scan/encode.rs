//! What goes into a plugin: Arrow IPC.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::ipc::writer::StreamEncoder;

use super::decode::END_OF_STREAM;
use crate::error::{Error, Result};

/// Encodes one continuous stream.
pub struct IpcEncoder(StreamEncoder);

impl IpcEncoder {
    /// At the beginning of a stream.
    pub fn new(schema: &Schema) -> Result<Self> {
        StreamEncoder::try_new(schema).map(Self).map_err(unencodable)
    }

    /// The next stretch: before the first batch, the schema.
    pub fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<Vec<u8>>> {
        let buffers = self.0.encode(batch).map_err(unencodable)?;
        Ok(buffers.iter().map(|buffer| buffer.as_slice().to_vec()).collect())
    }
}

fn unencodable(error: arrow::error::ArrowError) -> Error {
    Error::data(format!("a batch cannot be handed to the plugin: {error}"))
}

/// A schema as an IPC schema message.
pub fn encode_schema(schema: &Schema) -> Result<Vec<u8>> {
    let encode = || {
        let buffers = StreamEncoder::try_new(schema)?.finish()?;
        Ok(buffers.iter().flat_map(|buffer| buffer.as_slice().to_vec()).collect::<Vec<u8>>())
    };
    let mut bytes =
        encode().map_err(|error: arrow::error::ArrowError| Error::internal(error.to_string()))?;
    bytes.truncate(bytes.len() - END_OF_STREAM.len());
    Ok(bytes)
}
