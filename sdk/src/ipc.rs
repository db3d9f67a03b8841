//! Arrow IPC streams, as batches cross between plugin and host.

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamEncoder;
use arrow_schema::{Schema, SchemaRef};

use crate::{Error, Result};

/// A schema as one encapsulated IPC message, as it begins a stream.
pub fn encode_schema(schema: &Schema) -> Result<Vec<u8>> {
    let mut bytes = concat(&StreamEncoder::try_new(schema)?.finish()?);
    bytes.truncate(bytes.len() - END_OF_STREAM_BYTES);
    Ok(bytes)
}

/// Reads what [`encode_schema`] wrote.
pub fn decode_schema(bytes: Vec<u8>) -> Result<SchemaRef> {
    let mut decoder = Decoder::new();
    decoder.push(vec![bytes, END_OF_STREAM.to_vec()])?;
    decoder.schema().ok_or_else(|| Error::internal("no schema message in the host's bytes"))
}

const END_OF_STREAM: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
const END_OF_STREAM_BYTES: usize = END_OF_STREAM.len();

/// Writes one continuous stream.
pub struct Encoder(StreamEncoder);

impl Encoder {
    /// A stream of batches of this schema.
    pub fn new(schema: &Schema) -> Result<Self> {
        Ok(Self(StreamEncoder::try_new(schema)?))
    }

    /// The batch's messages, before the first one the schema's: one piece, which the host reads
    /// in place.
    pub fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<Vec<u8>>> {
        Ok(vec![concat(&self.0.encode(batch)?)])
    }

    /// The end of the stream, with the schema if there was no batch.
    pub fn finish(self) -> Result<Vec<Vec<u8>>> {
        Ok(vec![concat(&self.0.finish()?)])
    }
}

fn concat(buffers: &[Buffer]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(buffers.iter().map(Buffer::len).sum());
    buffers.iter().for_each(|buffer| bytes.extend_from_slice(buffer));
    bytes
}

/// Reads one continuous stream.
#[derive(Default)]
pub struct Decoder(StreamDecoder);

impl Decoder {
    /// At the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next stretch; gives the batches that it completes.
    pub fn push(&mut self, pieces: Vec<Vec<u8>>) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        for piece in pieces {
            let mut buffer = Buffer::from_vec(piece);
            while !buffer.is_empty() {
                batches.extend(self.0.decode(&mut buffer)?);
            }
        }
        Ok(batches)
    }

    /// The stream's schema, once a message after it has begun to arrive.
    pub fn schema(&self) -> Option<SchemaRef> {
        self.0.schema()
    }
}
