//! What goes into a plugin: Arrow IPC.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::ipc::writer::StreamEncoder;
use longshore_model::error::{Error, Result};

use super::decode::END_OF_STREAM;

/// Encodes one continuous stream.
pub struct IpcEncoder {
    encoder: StreamEncoder,
    /// What the plugin sees, where it is not what comes.
    plain: Option<SchemaRef>,
}

impl IpcEncoder {
    /// At the beginning of a stream.
    pub fn new(schema: &Schema) -> Result<Self> {
        let plain = plain_schema(schema);
        let encoder = StreamEncoder::try_new(&plain).map_err(unencodable)?;
        Ok(Self { encoder, plain: (plain != *schema).then(|| Arc::new(plain)) })
    }

    /// The next stretch: before the first batch, the schema.
    pub fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<Vec<u8>>> {
        let buffers = match &self.plain {
            None => self.encoder.encode(batch),
            Some(plain) => self.encoder.encode(&without_views(batch, plain)?),
        };
        let buffers = buffers.map_err(unencodable)?;
        Ok(buffers.iter().map(|buffer| buffer.as_slice().to_vec()).collect())
    }
}

/// Plugins neither get nor give views: few of their languages know them, and of few bytes they make
/// more than can be checked.
fn plain_schema(schema: &Schema) -> Schema {
    let fields: Vec<FieldRef> = schema.fields().iter().map(plain_field).collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

/// The field that a plugin sees.
pub(crate) fn plain_field(field: &FieldRef) -> FieldRef {
    match plain_type(field.data_type()) {
        plain if plain == *field.data_type() => field.clone(),
        plain => Arc::new(Field::clone(field).with_data_type(plain)),
    }
}

fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::ListView(field) | DataType::List(field) => DataType::List(plain_field(field)),
        DataType::LargeListView(field) | DataType::LargeList(field) => {
            DataType::LargeList(plain_field(field))
        }
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(plain_field(field), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain_field).collect()),
        DataType::Map(field, sorted) => DataType::Map(plain_field(field), *sorted),
        other => other.clone(),
    }
}

fn without_views(batch: &RecordBatch, plain: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns().iter().zip(plain.fields());
    let columns: Vec<ArrayRef> = columns
        .map(|(column, field)| {
            if column.data_type() == field.data_type() {
                Ok(column.clone())
            } else {
                cast(column, field.data_type())
            }
        })
        .collect::<Result<_, _>>()
        .map_err(unencodable)?;
    RecordBatch::try_new(plain.clone(), columns).map_err(unencodable)
}

fn unencodable(error: arrow::error::ArrowError) -> Error {
    Error::data(format!("a batch cannot be handed to the plugin: {error}"))
}

/// A schema as an IPC schema message.
pub fn encode_schema(schema: &Schema) -> Result<Vec<u8>> {
    let encode = || {
        let buffers = StreamEncoder::try_new(&plain_schema(schema))?.finish()?;
        Ok(buffers.iter().flat_map(|buffer| buffer.as_slice().to_vec()).collect::<Vec<u8>>())
    };
    let mut bytes =
        encode().map_err(|error: arrow::error::ArrowError| Error::internal(error.to_string()))?;
    bytes.truncate(bytes.len() - END_OF_STREAM.len());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, StringViewArray};

    use super::*;
    use crate::ipc::{IpcDecoder, decode_schema};

    #[test]
    fn a_plugin_gets_no_views() {
        let views: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), None]));
        let batch = RecordBatch::try_from_iter([("text", views)]).unwrap();
        let plain = decode_schema(encode_schema(&batch.schema()).unwrap()).unwrap();
        assert_eq!(plain.field(0).data_type(), &DataType::Utf8);
        let pieces = IpcEncoder::new(&batch.schema()).unwrap().encode(&batch).unwrap();
        let mut decoder = IpcDecoder::new(plain);
        let batches = decoder.push(pieces).unwrap();
        decoder.finish().unwrap();
        assert_eq!(batches[0].column(0).as_string::<i32>().value(0), "a");
    }
}
