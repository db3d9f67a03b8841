//! Arrow IPC streams, as batches cross between plugin and host.

use std::sync::Arc;

use arrow_array::builder::GenericByteBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{BinaryType, ByteArrayType, ByteViewType, Utf8Type};
use arrow_array::{Array, ArrayRef, GenericByteViewArray, RecordBatch, RecordBatchOptions};
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_schema_from_ipc_buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamEncoder;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};

use crate::{Error, Result};

/// A schema as one encapsulated IPC message, as it begins a stream; views as what they are of.
pub fn encode_schema(schema: &Schema) -> Result<Vec<u8>> {
    let mut bytes = concat(&StreamEncoder::try_new(&plain_schema(schema))?.finish()?);
    bytes.truncate(bytes.len() - END_OF_STREAM_BYTES);
    Ok(bytes)
}

/// Reads what [`encode_schema`] wrote.
pub fn decode_schema(bytes: Vec<u8>) -> Result<SchemaRef> {
    Ok(Arc::new(try_schema_from_ipc_buffer(&bytes)?))
}

/// A mark, and that nothing follows.
const END_OF_STREAM_BYTES: usize = 8;

/// Writes one continuous stream. Views of text and bytes, which the host does not take, are written out.
pub struct Encoder {
    encoder: StreamEncoder,
    /// What the host sees, where there are views.
    plain: Option<SchemaRef>,
}

impl Encoder {
    /// A stream of batches of this schema.
    pub fn new(schema: &Schema) -> Result<Self> {
        let plain = plain_schema(schema);
        let encoder = StreamEncoder::try_new(&plain)?;
        Ok(Self { encoder, plain: (plain != *schema).then(|| Arc::new(plain)) })
    }

    /// The batch's messages, before the first one the schema's: one piece, which the host reads
    /// in place.
    pub fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<Vec<u8>>> {
        let Some(plain) = &self.plain else {
            return Ok(vec![concat(&self.encoder.encode(batch)?)]);
        };
        let columns: Vec<ArrayRef> = batch.columns().iter().map(written_out).collect();
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(plain.clone(), columns, &rows)?;
        Ok(vec![concat(&self.encoder.encode(&batch)?)])
    }

    /// The end of the stream, with the schema if there was no batch.
    pub fn finish(self) -> Result<Vec<Vec<u8>>> {
        Ok(vec![concat(&self.encoder.finish()?)])
    }
}

fn plain_schema(schema: &Schema) -> Schema {
    let plain = |field: &FieldRef| {
        let plain = match field.data_type() {
            DataType::Utf8View => DataType::Utf8,
            DataType::BinaryView => DataType::Binary,
            _ => return field.clone(),
        };
        Arc::new(Field::clone(field).with_data_type(plain))
    };
    let fields: Vec<FieldRef> = schema.fields().iter().map(plain).collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

fn written_out(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View => written::<_, Utf8Type>(column.as_string_view()),
        DataType::BinaryView => written::<_, BinaryType>(column.as_binary_view()),
        _ => column.clone(),
    }
}

fn written<V, T>(views: &GenericByteViewArray<V>) -> ArrayRef
where
    V: ByteViewType + ?Sized,
    T: ByteArrayType<Offset = i32>,
    V::Native: AsRef<T::Native>,
{
    let mut builder = GenericByteBuilder::<T>::with_capacity(views.len(), views.total_bytes_len());
    views.iter().for_each(|value| builder.append_option(value));
    Arc::new(builder.finish())
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

    /// Takes the next stretch, which ends with a whole message; gives its batches.
    pub fn push(&mut self, pieces: Vec<Vec<u8>>) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        for piece in pieces {
            let mut buffer = Buffer::from_vec(piece);
            while !buffer.is_empty() {
                batches.extend(self.0.decode(&mut buffer)?);
            }
        }
        batches.extend(self.bare_batch()?);
        Ok(batches)
    }

    /// A batch without a body, if the stretch ends with one. The decoder looks at it only when something
    /// follows; one byte of a mark does, which a whole batch does not take.
    fn bare_batch(&mut self) -> Result<Option<RecordBatch>> {
        if self.0.finish().is_ok() {
            return Ok(None);
        }
        let mut mark = Buffer::from(&[0xff_u8]);
        match self.0.decode(&mut mark)? {
            Some(batch) => Ok(Some(batch)),
            None => Err(Error::internal("the host's stream ends within a message")),
        }
    }

    /// The stream's schema, once a message after it has begun to arrive.
    pub fn schema(&self) -> Option<SchemaRef> {
        self.0.schema()
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{BinaryViewArray, Int64Array, StringViewArray};

    use super::*;

    #[test]
    fn rows_without_columns_are_given_at_once() {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let batch = RecordBatch::try_from_iter([("id", ids)]).unwrap().project(&[]).unwrap();
        let mut encoder = Encoder::new(&batch.schema()).unwrap();
        let mut decoder = Decoder::new();
        for _ in 0..2 {
            let batches = decoder.push(encoder.encode(&batch).unwrap()).unwrap();
            assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [3]);
        }
        assert_eq!(decoder.push(encoder.finish().unwrap()).unwrap(), []);
    }

    #[test]
    fn views_are_written_out() {
        let long = "longer than what fits into a view itself";
        let texts = StringViewArray::from(vec![Some("a"), None, Some(long)]);
        let bytes = BinaryViewArray::from(vec![Some(b"b".as_slice()), None, Some(b"")]);
        let columns: [(&str, ArrayRef); 2] = [("t", Arc::new(texts)), ("b", Arc::new(bytes))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut encoder = Encoder::new(&batch.schema()).unwrap();
        let mut decoder = Decoder::new();
        let mut batches = decoder.push(encoder.encode(&batch.slice(1, 2)).unwrap()).unwrap();
        batches.extend(decoder.push(encoder.finish().unwrap()).unwrap());
        let texts: Vec<_> = batches[0].column(0).as_string::<i32>().iter().collect();
        assert_eq!(texts, [None, Some(long)]);
        assert_eq!(batches[0].column(1).as_binary::<i32>().value(1), b"");
        let schema = decode_schema(encode_schema(&batch.schema()).unwrap()).unwrap();
        assert_eq!(schema.field(0).data_type(), &DataType::Utf8);
    }
}
