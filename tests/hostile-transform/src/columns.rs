//! What a transform says of its columns, and gives of them: the input's `text` passes through, and `more` is
//! computed, unless it lies.

use std::iter;
use std::sync::Arc;

use longshore_hostile_kit::streams::{BATCHES, Stream};
use longshore_sdk::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use longshore_sdk::ipc::{Encoder, encode_schema};
use longshore_sdk::schema::{DataType, Field, Schema};
use longshore_sdk::{ColumnMapping, ColumnSource};

/// Rows of a batch of the input.
const ROWS: usize = 100;

/// The beginning of the names of these abuses.
const NAME: &str = "columns-";

const MORE: &str = "more";

/// Which columns it says that it reads and computes.
pub fn mapping(abuse: &str) -> Option<ColumnMapping> {
    let abuse = abuse.strip_prefix(NAME)?;
    let (text, computed) = (ColumnSource::Input(0), ColumnSource::Computed);
    Some(match abuse {
        "read-far" => ColumnMapping { reads: vec![9], output: vec![text, computed] },
        "read-twice" => ColumnMapping { reads: vec![0, 0], output: vec![text, computed] },
        "read-huge" => ColumnMapping { reads: vec![0; 50 << 20], output: vec![text, computed] },
        "far" => ColumnMapping { reads: vec![0], output: vec![ColumnSource::Input(7), computed] },
        "many" => ColumnMapping { reads: vec![0], output: vec![text, computed, computed] },
        "none" => ColumnMapping { reads: Vec::new(), output: Vec::new() },
        _ => ColumnMapping { reads: vec![0], output: vec![text, computed] },
    })
}

/// The schema of the output.
pub fn schema(abuse: &str) -> Option<Vec<u8>> {
    let text = match abuse.strip_prefix(NAME)? {
        "other-type" => Field::new("text", DataType::Int64, true),
        "without-nulls" => Field::new("text", DataType::Utf8, false),
        "same-name" => Field::new(MORE, DataType::Utf8, true),
        _ => Field::new("text", DataType::Utf8, true),
    };
    let schema = Schema::new(vec![text, Field::new(MORE, DataType::Utf8, true)]);
    Some(encode_schema(&schema).expect("a schema"))
}

/// What it gives for each batch of the input.
pub fn stream(abuse: &str) -> Option<Stream> {
    Some(match abuse.strip_prefix(NAME)? {
        "rows-fewer" => stream_of(&texts(&[MORE], ROWS / 2), BATCHES),
        "rows-more" => stream_of(&texts(&[MORE], ROWS + 1), BATCHES),
        "rows-after" => stream_of(&texts(&[MORE], ROWS), BATCHES + 1),
        "give-passed" => stream_of(&texts(&["text", MORE], ROWS), BATCHES),
        "give-none" => stream_of(&texts(&[MORE], ROWS).project(&[]).expect("none"), BATCHES),
        "give-other-type" => stream_of(&numbers(), BATCHES),
        _ => stream_of(&texts(&[MORE], ROWS), BATCHES),
    })
}

fn stream_of(batch: &RecordBatch, times: usize) -> Stream {
    let mut encoder = Some(Encoder::new(&batch.schema()).expect("an encoder"));
    let mut batches = iter::repeat_n(batch.clone(), times);
    Box::new(iter::from_fn(move || match batches.next() {
        Some(batch) => encoder.as_mut()?.encode(&batch).ok(),
        None => encoder.take()?.finish().ok(),
    }))
}

fn texts(names: &[&str], rows: usize) -> RecordBatch {
    let column = || Arc::new(StringArray::from(vec!["x"; rows])) as ArrayRef;
    let fields = names.iter().map(|name| Field::new(*name, DataType::Utf8, true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = names.iter().map(|_| column()).collect();
    RecordBatch::try_new(schema, columns).expect("a batch")
}

fn numbers() -> RecordBatch {
    let numbers = Arc::new(Int64Array::from(vec![1; ROWS])) as ArrayRef;
    RecordBatch::try_from_iter([(MORE, numbers)]).expect("a batch")
}
