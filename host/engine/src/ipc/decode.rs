//! What a plugin sends is hostile until validated: Arrow IPC with every check on, within limits,
//! its panics caught.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

use arrow::array::{Array, AsArray, RecordBatch, make_array};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use arrow::ipc::reader::StreamDecoder;
use longshore_model::error::{Error, Result};
use longshore_model::grant::shown;

use super::frames::{BATCH_LIMIT_BYTES, Frames};
use crate::sound_values::sound;

/// The most columns of a schema.
pub const BATCH_COLUMN_LIMIT: usize = 10_000;

/// The deepest nesting of a column's type.
pub const NESTING_LIMIT: usize = 32;

pub(super) const END_OF_STREAM: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// Decodes one plugin's continuous stream; all batches must be of the expected schema.
pub struct IpcDecoder {
    decoder: StreamDecoder,
    frames: Frames,
    expected: SchemaRef,
    checked: bool,
    pending_bytes: usize,
}

impl IpcDecoder {
    /// At the beginning of a stream.
    pub fn new(expected: SchemaRef) -> Self {
        let (decoder, frames) = (StreamDecoder::new(), Frames::default());
        Self { decoder, frames, expected, checked: false, pending_bytes: 0 }
    }

    /// Takes the next stretch; gives the batches that it completes.
    pub fn push(&mut self, pieces: Vec<Vec<u8>>) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        for piece in pieces {
            self.pending_bytes += piece.len();
            let mut buffer = Buffer::from_vec(piece);
            while !buffer.is_empty() {
                // Checked before the bytes are: some limits guard the check itself.
                if self.pending_bytes > BATCH_LIMIT_BYTES {
                    return Err(hostile(format!(
                        "more than {BATCH_LIMIT_BYTES} bytes to one batch"
                    )));
                }
                let ready = self.frames.next(&buffer).map_err(hostile)?;
                let mut part = buffer.slice_with_length(0, ready);
                buffer.advance(ready);
                while !part.is_empty() {
                    if let Some(batch) = self.decode(&mut part)? {
                        self.pending_bytes = part.len() + buffer.len();
                        batches.push(self.accept(batch)?);
                    }
                }
                if self.frames.end_with_bare_batch() {
                    let batch = self.decode_bare_batch()?;
                    self.pending_bytes = buffer.len();
                    batches.push(self.accept(batch)?);
                }
                self.check_schema()?;
            }
        }
        Ok(batches)
    }

    /// The stream must have a schema, and must end between two messages.
    pub fn finish(&mut self) -> Result<()> {
        let cut = || hostile("its stream ends within a message".into());
        if self.decoder.schema().is_none() {
            // The decoder looks at a message without a body, as a schema is, only when something follows it.
            // One byte tells: a schema that lacks nothing does not take it.
            let (first, rest) = END_OF_STREAM.split_at(1);
            self.decode(&mut Buffer::from(first))?;
            self.decoder.schema().ok_or_else(cut)?;
            self.decode(&mut Buffer::from(rest))?;
        }
        self.decoder.finish().map_err(|_| cut())
    }

    /// The batch at the end of what was decoded. The decoder looks at a message without a body only when
    /// something follows it, and does not take it if that completes a batch.
    fn decode_bare_batch(&mut self) -> Result<RecordBatch> {
        let batch = self.decode(&mut Buffer::from(&END_OF_STREAM[..1]))?;
        batch.ok_or_else(|| hostile("a batch without a body".into()))
    }

    fn decode(&mut self, buffer: &mut Buffer) -> Result<Option<RecordBatch>> {
        let decoder = &mut self.decoder;
        catch_panic(|| decoder.decode(buffer))
            .ok_or_else(|| hostile("malformed Arrow data (the decoder panicked)".into()))?
            .map_err(|error| hostile(error.to_string()))
    }

    fn accept(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        self.check_schema()?;
        let written = || batch.columns().iter().map(|column| written_bytes(column)).sum::<usize>();
        if self.frames.has_dictionaries() && written() > BATCH_LIMIT_BYTES {
            return Err(hostile(format!("more than {BATCH_LIMIT_BYTES} bytes to one batch")));
        }
        let batch = sound(batch).map_err(|unsound| hostile(unsound.to_string()))?;
        batch.with_schema(self.expected.clone()).map_err(|error| hostile(error.to_string()))
    }

    /// As soon as there is one: no batch of another is even decoded.
    fn check_schema(&mut self) -> Result<()> {
        let Some(sent) = self.decoder.schema().filter(|_| !self.checked) else { return Ok(()) };
        let expected = &self.expected;
        let alike = sent.fields().len() == expected.fields().len()
            && sent.fields().iter().zip(expected.fields()).all(|(sent, expected)| {
                sent.name() == expected.name() && sent.data_type() == expected.data_type()
            });
        if !alike {
            return Err(hostile(format!(
                "its columns are not those that it described: {}",
                brief(&sent)
            )));
        }
        self.checked = true;
        Ok(())
    }
}

thread_local! {
    /// Whether this thread decodes: then a panic is a plugin's fault, and not told as ours.
    static DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Arrow's reader has panicked on hostile bytes: nothing, then.
pub fn catch_panic<T>(decode: impl FnOnce() -> T) -> Option<T> {
    DECODING.set(true);
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    DECODING.set(false);
    decoded.ok()
}

/// Has panics that are caught here not be told: the error that comes of them is.
pub fn silence_caught_panics() {
    let tell = take_hook();
    set_hook(Box::new(move |panic| {
        if DECODING.get() { tracing::debug!("decoding: {panic}") } else { tell(panic) }
    }));
}

fn brief(schema: &Schema) -> String {
    const SHOWN: usize = 8;
    let columns: Vec<String> = schema
        .fields()
        .iter()
        .take(SHOWN)
        .map(|field| format!("{} {}", field.name(), field.data_type()))
        .collect();
    columns.join(", ")
}

/// The cause may hold the plugin's own words, such as the names of columns.
fn hostile(cause: String) -> Error {
    Error::internal(format!("the plugin sent bad data: {}", shown(&cause)))
        .with_hint("this is a fault of the plugin: report it to its author")
}

/// What the values of dictionaries come to when each row has its own: one long text may stand for
/// many rows. Everything else is as long as it arrived.
fn written_bytes(column: &dyn Array) -> usize {
    let Some(dictionary) = column.as_any_dictionary_opt() else {
        let children = column.to_data();
        let children = children.child_data().iter();
        return children.map(|child| written_bytes(&make_array(child.clone()))).sum();
    };
    let values = dictionary.values();
    let most = values.get_buffer_memory_size().saturating_mul(column.len());
    if values.is_empty() || most <= BATCH_LIMIT_BYTES {
        return most;
    }
    let size = |at| values.slice(at, 1).to_data().get_slice_memory_size().unwrap_or(usize::MAX);
    let sizes: Vec<usize> = (0..values.len()).map(size).collect();
    let keys = dictionary.normalized_keys();
    keys.into_iter().map(|key| sizes[key]).fold(0, usize::saturating_add)
}

/// Reads an IPC schema message, within the limits.
pub fn decode_schema(bytes: Vec<u8>) -> Result<SchemaRef> {
    let mut decoder = StreamDecoder::new();
    let decoded = catch_panic(|| {
        for piece in [bytes, END_OF_STREAM.to_vec()] {
            let mut buffer = Buffer::from_vec(piece);
            while !buffer.is_empty() {
                decoder.decode(&mut buffer)?;
            }
        }
        Ok(decoder.schema())
    });
    let schema = decoded
        .ok_or_else(|| hostile("a malformed schema (the decoder panicked)".into()))?
        .map_err(|error: arrow::error::ArrowError| hostile(format!("a malformed schema: {error}")))?
        .ok_or_else(|| hostile("no schema".into()))?;
    if schema.fields().len() > BATCH_COLUMN_LIMIT {
        return Err(hostile(format!("more than {BATCH_COLUMN_LIMIT} columns")));
    }
    let is_view = |field: &&FieldRef| has_views(field.data_type());
    if let Some(field) = schema.fields().iter().find(is_view) {
        return Err(hostile(format!(
            "`{}` is {}: of views, few bytes can be more than can be checked",
            field.name(),
            field.data_type()
        )));
    }
    match schema.fields().iter().find(|field| depth(field.data_type()) > NESTING_LIMIT) {
        Some(field) => {
            Err(hostile(format!("`{}` is nested deeper than {NESTING_LIMIT}", field.name())))
        }
        None => Ok(schema),
    }
}

/// Whether rows may share what they hold, however long it is. Never called on what is nested deeper
/// than flatbuffers are read.
fn has_views(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8View
        | DataType::BinaryView
        | DataType::ListView(_)
        | DataType::LargeListView(_) => true,
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _)
        | DataType::RunEndEncoded(_, field) => has_views(field.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_views(field.data_type())),
        DataType::Union(fields, _) => fields.iter().any(|(_, field)| has_views(field.data_type())),
        DataType::Dictionary(_, value) => has_views(value),
        _ => false,
    }
}

fn depth(data_type: &DataType) -> usize {
    let inner = match data_type {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _)
        | DataType::RunEndEncoded(_, field) => depth(field.data_type()),
        DataType::Struct(fields) => fields.iter().map(|f| depth(f.data_type())).max().unwrap_or(0),
        DataType::Union(fields, _) => {
            fields.iter().map(|(_, f)| depth(f.data_type())).max().unwrap_or(0)
        }
        DataType::Dictionary(_, value) => depth(value),
        _ => return 1,
    };
    inner + 1
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, RecordBatchOptions, StringArray};
    use arrow::datatypes::Field;
    use arrow::ipc::writer::StreamEncoder;
    use proptest::prelude::*;

    use super::super::encode_schema;
    use super::*;

    fn stream() -> (SchemaRef, Vec<u8>) {
        let batch = RecordBatch::try_from_iter([
            ("id", Arc::new(Int64Array::from(vec![1, 2, 3])) as _),
            ("name", Arc::new(StringArray::from(vec![Some("a"), None, Some("ccc")])) as _),
        ])
        .unwrap();
        let mut encoder = StreamEncoder::try_new(&batch.schema()).unwrap();
        let mut buffers = encoder.encode(&batch).unwrap();
        buffers.extend(encoder.finish().unwrap());
        (batch.schema(), buffers.iter().flat_map(|b| b.as_slice().to_vec()).collect())
    }

    fn decode(schema: SchemaRef, pieces: Vec<Vec<u8>>) -> Result<usize> {
        let mut decoder = IpcDecoder::new(schema);
        let batches = decoder.push(pieces)?;
        decoder.finish()?;
        Ok(batches.iter().map(RecordBatch::num_rows).sum())
    }

    #[test]
    fn a_stream_decodes_wherever_it_is_cut() {
        let (schema, bytes) = stream();
        for size in [1, 7, 8, 64, bytes.len()] {
            let pieces = bytes.chunks(size).map(<[u8]>::to_vec).collect();
            assert_eq!(decode(schema.clone(), pieces).unwrap(), 3, "in pieces of {size}");
        }
    }

    #[test]
    fn the_end_marker_may_be_left_out_and_nothing_else() {
        let (schema, bytes) = stream();
        let whole = bytes.len() - END_OF_STREAM.len();
        assert_eq!(decode(schema.clone(), vec![bytes[..whole].to_vec()]).unwrap(), 3);
        for lost in 1..=16 {
            let cut = bytes[..whole - lost].to_vec();
            assert!(decode(schema.clone(), vec![cut]).is_err(), "{lost} bytes less");
        }
        // A batch of rows without columns has no body at all.
        let rows = RecordBatchOptions::new().with_row_count(Some(7));
        let none = Arc::new(Schema::empty());
        let batch = RecordBatch::try_new_with_options(none.clone(), vec![], &rows).unwrap();
        let buffers = StreamEncoder::try_new(&none).unwrap().encode(&batch).unwrap();
        let bytes: Vec<u8> = buffers.iter().flat_map(|b| b.as_slice().to_vec()).collect();
        assert_eq!(decode(none, vec![bytes]).unwrap(), 7);
    }

    #[test]
    fn a_batch_is_given_as_soon_as_it_is_whole() {
        let rows = |count| RecordBatchOptions::new().with_row_count(Some(count));
        let none = Arc::new(Schema::empty());
        let mut encoder = StreamEncoder::try_new(&none).unwrap();
        let mut decoder = IpcDecoder::new(none.clone());
        for count in [7, 0, 9] {
            let batch =
                RecordBatch::try_new_with_options(none.clone(), vec![], &rows(count)).unwrap();
            let pieces = encoder.encode(&batch).unwrap().iter().map(|b| b.to_vec()).collect();
            let given: Vec<usize> =
                decoder.push(pieces).unwrap().iter().map(RecordBatch::num_rows).collect();
            assert_eq!(given, [count]);
        }
        decoder.finish().unwrap();
    }

    #[test]
    fn a_schema_survives_the_way() {
        let (schema, _) = stream();
        assert_eq!(decode_schema(encode_schema(&schema).unwrap()).unwrap(), schema);
    }

    #[test]
    fn another_schema_than_described_is_refused() {
        let (_, bytes) = stream();
        let other = Arc::new(Schema::new(vec![Field::new("id", DataType::Int32, false)]));
        let error = decode(other, vec![bytes]).unwrap_err();
        assert!(error.to_string().contains("not those that it described"), "{error}");
    }

    proptest! {
        #[test]
        fn damaged_streams_are_errors_and_never_panics(at in 0_usize..600, value: u8, cut in 0_usize..600) {
            let (schema, mut bytes) = stream();
            let at = at % bytes.len();
            bytes[at] = value;
            bytes.truncate(bytes.len() - cut.min(bytes.len()));
            // Whatever comes out is bounded and checked; that it comes back at all is the promise.
            let _ = decode(schema, vec![bytes]);
        }
    }
}
