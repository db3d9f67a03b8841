//! Arrow IPC streams: honest ones, and all kinds of others.

use std::sync::Arc;

use arrow_ipc::CompressionType;
use arrow_ipc::writer::{IpcWriteOptions, StreamEncoder, StreamWriter};
use longshore_sdk::array::{
    ArrayRef, Decimal128Array, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
};
use longshore_sdk::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use longshore_sdk::ipc::{Encoder, encode_schema};
use longshore_sdk::schema::{DataType, Field, Schema, SchemaRef};

use crate::{ESCAPES, mark};

mod swollen;

/// Rows of an honest batch.
const ROWS: usize = 100;

/// Batches of an honest chunk.
pub const BATCHES: usize = 10;

/// What one call hands over.
pub type Pieces = Vec<Vec<u8>>;

/// A stream, call by call.
pub type Stream = Box<dyn Iterator<Item = Pieces>>;

/// The stream of an abuse; every other word gets an honest one.
pub fn of(abuse: &str) -> Stream {
    match abuse {
        "stream-schema" => one(batch("other", Arc::new(Int64Array::from(vec![1])))),
        "stream-type" => one(batch("text", Arc::new(Int64Array::from(vec![1])))),
        "stream-utf8" => one(lying(b"\xff\xfe", vec![0, 2], 1)),
        "stream-rows" => one(lying(b"ok", vec![0, 2], 1 << 20)),
        "stream-offsets" => with_offsets([0, 1 << 30]),
        "stream-offsets-back" => with_offsets([0x1000, 0x2002]),
        "stream-offsets-negative" => with_offsets([-0x1000, 0x2002]),
        "stream-validity" => one(short_validity()),
        "stream-dictionary" => one(dictionary()),
        "stream-decimal" => one(decimal()),
        "stream-schema-twice" => Box::new(stream(&honest()).into_iter().cycle()),
        "stream-garbage" => Box::new(std::iter::repeat_n(vec![b"garbage!".repeat(100)], 5)),
        "stream-empty" => Box::new(std::iter::empty()),
        "stream-cut" => cut(),
        "stream-length" => Box::new(std::iter::once(vec![claims(i32::MAX)])),
        "stream-length-negative" => Box::new(std::iter::once(vec![claims(-1)])),
        "stream-flipped" => flipped(),
        "stream-endless" => Box::new(rows().cycle_after_schema()),
        "stream-no-rows" => no_rows(),
        "stream-name-escapes" => named(ESCAPES),
        "stream-name-huge" => named(&"x".repeat(16 << 20)),
        "stream-compressed" => compressed(),
        _ => match swollen::of(abuse) {
            Some(batch) => swollen::stream(&batch),
            None => Box::new(rows()),
        },
    }
}

/// The schema that a plugin says its stream has.
pub fn schema(abuse: &str) -> Vec<u8> {
    let schema = swollen::of(abuse).map_or_else(described, |batch| batch.schema());
    // Not by the SDK's hand, which sends no views.
    let mut stream = Vec::new();
    StreamWriter::try_new(&mut stream, &schema).expect("a schema");
    stream
}

/// A schema of so many columns.
pub fn wide_schema(columns: usize) -> Vec<u8> {
    let fields = (0..columns).map(|n| Field::new(format!("c{n}"), DataType::Utf8, true));
    encode_schema(&Schema::new(fields.collect::<Vec<_>>())).expect("a wide schema")
}

/// A schema of one column, nested so deep.
pub fn deep_schema(levels: usize) -> Vec<u8> {
    let deep = (0..levels)
        .fold(DataType::Utf8, |inner, _| DataType::List(Arc::new(Field::new("item", inner, true))));
    encode_schema(&Schema::new(vec![Field::new("text", deep, true)])).expect("a deep schema")
}

fn described() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8, true)]))
}

fn honest() -> RecordBatch {
    batch("text", Arc::new(StringArray::from(vec![mark::version(); ROWS])))
}

fn batch(name: &str, column: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter([(name, column)]).expect("a batch")
}

/// An honest stream.
fn rows() -> Rows {
    Rows { encoder: Some(Encoder::new(&described()).expect("an encoder")), left: BATCHES }
}

struct Rows {
    encoder: Option<Encoder>,
    left: usize,
}

impl Rows {
    /// The same, but it never ends.
    fn cycle_after_schema(mut self) -> impl Iterator<Item = Pieces> {
        std::iter::from_fn(move || {
            self.left = BATCHES;
            self.next()
        })
    }
}

impl Iterator for Rows {
    type Item = Pieces;

    fn next(&mut self) -> Option<Pieces> {
        if self.left == 0 {
            return self.encoder.take()?.finish().ok();
        }
        self.left -= 1;
        self.encoder.as_mut()?.encode(&honest()).ok()
    }
}

/// A whole stream of one batch.
fn stream(batch: &RecordBatch) -> Vec<Pieces> {
    let mut encoder = StreamEncoder::try_new(&batch.schema()).expect("an encoder");
    let pieces = |buffers: Vec<Buffer>| buffers.iter().map(|buffer| buffer.to_vec()).collect();
    let first = pieces(encoder.encode(batch).expect("encodes"));
    vec![first, pieces(encoder.finish().expect("ends"))]
}

fn one(batch: RecordBatch) -> Stream {
    Box::new(stream(&batch).into_iter())
}

/// Texts with such offsets, in a batch that claims so many rows.
fn lying(text: &[u8], offsets: Vec<i32>, rows: usize) -> RecordBatch {
    // SAFETY: none; lying is what this is for, and it is the host that must not believe it.
    let offsets = unsafe { OffsetBuffer::new_unchecked(ScalarBuffer::from(offsets)) };
    // SAFETY: as above.
    let text = unsafe { StringArray::new_unchecked(offsets, Buffer::from(text), None) };
    // SAFETY: as above.
    unsafe { RecordBatch::new_unchecked(described(), vec![Arc::new(text)], rows) }
}

/// An honest stream whose first and last offset were written over.
fn with_offsets(lies: [i32; 2]) -> Stream {
    let bytes = |offsets: [i32; 2]| offsets.map(i32::to_le_bytes).concat();
    let honest = batch("text", Arc::new(StringArray::from(vec!["x".repeat(0x2002)])));
    let mut whole: Vec<u8> = stream(&honest).concat().concat();
    let place = whole.windows(8).position(|eight| eight == bytes([0, 0x2002]));
    let place = place.expect("the offsets are in the stream");
    whole[place..place + 8].copy_from_slice(&bytes(lies));
    Box::new(std::iter::once(vec![whole]))
}

/// Says that more values are missing than there are.
fn short_validity() -> RecordBatch {
    let validity = NullBuffer::new_null(1);
    let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0, 1]));
    // SAFETY: none; see `lying`.
    let text = unsafe { StringArray::new_unchecked(offsets, Buffer::from(b"x"), Some(validity)) };
    // SAFETY: as above.
    unsafe { RecordBatch::new_unchecked(described(), vec![Arc::new(text)], 100_000) }
}

/// Keys beyond the dictionary, for a column that is none.
fn dictionary() -> RecordBatch {
    let values: ArrayRef = Arc::new(StringArray::from(vec!["only"]));
    // SAFETY: none; see `lying`.
    let column =
        unsafe { DictionaryArray::new_unchecked(Int32Array::from(vec![0, 7, -1]), values) };
    batch("text", Arc::new(column))
}

fn decimal() -> RecordBatch {
    batch("text", Arc::new(Decimal128Array::from(vec![i128::MAX])))
}

/// A message that claims such a length.
fn claims(length: i32) -> Vec<u8> {
    [&[0xff; 4][..], &length.to_le_bytes(), &[0; 64]].concat()
}

/// A stream of one column of this name.
pub fn named(name: &str) -> Stream {
    one(batch(name, Arc::new(Int64Array::from(vec![1]))))
}

/// What the contract refuses. It lies too: compiled for 32 bits, Arrow writes lengths of half the
/// width, so that each seems to go on with the bytes after it and is beyond all memory.
fn compressed() -> Stream {
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME));
    let options = options.expect("the codec is built in");
    let batch = honest();
    let writer = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options);
    let mut writer = writer.expect("a writer");
    writer.write(&batch).expect("encodes");
    Box::new(std::iter::once(vec![writer.into_inner().expect("ends")]))
}

/// Writes another number wherever one stands.
fn overwrite(bytes: &mut [u8], number: i64, other: i64) {
    let (number, other) = (number.to_le_bytes(), other.to_le_bytes());
    let places: Vec<usize> =
        (0..bytes.len() - 7).filter(|&at| bytes[at..at + 8] == number).collect();
    assert!(!places.is_empty(), "the number is in the stream");
    places.into_iter().for_each(|at| bytes[at..at + 8].copy_from_slice(&other));
}

/// Ends in the middle of a message.
fn cut() -> Stream {
    let whole: Vec<u8> = stream(&honest()).concat().concat();
    Box::new(std::iter::once(vec![whole[..whole.len() / 2].to_vec()]))
}

/// An honest stream with bits turned over, another one for each chunk.
fn flipped() -> Stream {
    let mut whole: Vec<u8> = stream(&honest()).concat().concat();
    let dice = longshore_sdk::host::random_bytes(64);
    for pair in dice.chunks(4) {
        let place = u32::from_le_bytes([pair[0], pair[1], pair[2], 0]) as usize % whole.len();
        whole[place] ^= pair[3] | 1;
    }
    Box::new(std::iter::once(vec![whole]))
}

/// Batches without rows, without end.
fn no_rows() -> Stream {
    let mut encoder = Encoder::new(&described()).expect("an encoder");
    let empty = honest().slice(0, 0);
    Box::new(std::iter::from_fn(move || encoder.encode(&empty).ok()))
}
