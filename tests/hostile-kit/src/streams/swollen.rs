//! Batches that are valid, and more than anybody can write: few bytes that are many rows, or long
//! ones, and types that formats know nothing of.

use std::sync::Arc;

use longshore_sdk::array::builder::StringDictionaryBuilder;
use longshore_sdk::array::types::{Int32Type, Int64Type};
use longshore_sdk::array::{
    ArrayRef, FixedSizeBinaryArray, Int32Array, Int64Array, NullArray, RecordBatch,
    RecordBatchOptions, RunArray, StringArray, StringViewArray, UnionArray,
};
use longshore_sdk::buffer::{Buffer, NullBuffer};
use longshore_sdk::schema::{DataType, Field, Schema, UnionFields};

use super::{Stream, batch, overwrite};

/// Rows that a batch claims, and those that it has until it lies: addresses have 32 bits here.
const CLAIMED_ROWS: i64 = 1 << 40;
const ROWS: usize = 0x0123_4567;

/// Rows that repeat one long text, and its length: 100 GB in two megabytes.
const REPEATED_ROWS: usize = 100_000;
const TEXT_BYTES: usize = 1_000_000;

/// The batch of an abuse that is one of these.
pub(super) fn of(abuse: &str) -> Option<RecordBatch> {
    let column: ArrayRef = match abuse {
        "rows-without-columns" => return Some(without_columns()),
        "rows-null" => Arc::new(NullArray::new(ROWS)),
        "rows-runs" => Arc::new(runs()),
        "rows-dictionary" => dictionary(),
        "rows-views" => views(),
        "type-union" => union(),
        "type-width" => without_width(),
        _ => return None,
    };
    Some(batch("text", column))
}

/// A stream of such a batch, with its lie.
pub(super) fn stream(batch: &RecordBatch) -> Stream {
    let mut whole: Vec<u8> = super::stream(batch).concat().concat();
    if batch.num_rows() == ROWS {
        overwrite(&mut whole, ROWS as i64, CLAIMED_ROWS);
    }
    Box::new(std::iter::once(vec![whole]))
}

fn without_columns() -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(ROWS));
    let schema = Arc::new(Schema::empty());
    RecordBatch::try_new_with_options(schema, Vec::new(), &options).expect("rows without columns")
}

fn runs() -> RunArray<Int64Type> {
    let (ends, values) = (Int64Array::from(vec![ROWS as i64]), StringArray::from(vec!["x"]));
    RunArray::try_new(&ends, &values).expect("one run")
}

fn dictionary() -> ArrayRef {
    let mut builder = StringDictionaryBuilder::<Int32Type>::new();
    builder.append_n("x".repeat(TEXT_BYTES), REPEATED_ROWS).expect("one value");
    Arc::new(builder.finish())
}

fn views() -> ArrayRef {
    let text = Buffer::from("x".repeat(TEXT_BYTES).into_bytes());
    // Its length, how it begins, the buffer, where in it.
    let view = (u128::from(u32::from_le_bytes(*b"xxxx")) << 32) | TEXT_BYTES as u128;
    let views = vec![view; REPEATED_ROWS].into();
    // SAFETY: each view is of the whole text; checking that takes longer than the host allows.
    Arc::new(unsafe { StringViewArray::new_unchecked(views, vec![text], None) })
}

fn union() -> ArrayRef {
    let fields = vec![Field::new("number", DataType::Int32, true)];
    let fields = UnionFields::try_new(vec![0], fields).expect("one field");
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    Arc::new(UnionArray::try_new(fields, vec![0_i8].into(), None, vec![numbers]).expect("a union"))
}

fn without_width() -> ArrayRef {
    let (none, one) = (Buffer::from_vec(Vec::<u8>::new()), NullBuffer::new_valid(1));
    Arc::new(FixedSizeBinaryArray::try_new(0, none, Some(one)).expect("values without bytes"))
}
