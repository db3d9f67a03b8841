//! What is written as text is what is read from it.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use longshore_model::config::files::{DeclaredType, FileFormat, Files};
use longshore_model::config::target::{CsvStyle, Format, TextCodec};
use parking_lot::Mutex;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{WHOLE, files, read};
use crate::destination::PartFile;
use crate::write::open_encoder;

/// A file in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[async_trait]
impl PartFile for Memory {
    async fn finish(self: Box<Self>) -> longshore_model::error::Result<String> {
        Ok(String::new())
    }
}

fn written(format: &Format, batch: &RecordBatch) -> Vec<u8> {
    let memory = Memory::default();
    let file = Box::new(memory.clone());
    let mut encoder = open_encoder(format, batch.schema(), Some(batch), file).unwrap();
    encoder.write(batch).unwrap();
    encoder.finish().unwrap();
    std::mem::take(&mut *memory.0.lock())
}

const TEXTS: [&str; 24] = [
    "",
    "a",
    "NA",
    "null",
    "\\N",
    "\"",
    "\"\"",
    "'",
    ",",
    ";",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\u{feff}",
    "\u{feff}a",
    "#",
    "\\",
    "\0",
    " ",
    "é☃",
    "\u{2028}",
    "\u{1f600}",
    "1",
]; // fmt: skip

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(select(TEXTS.to_vec()), 0..4).prop_map(|texts| texts.concat())
}

fn of<A: From<Vec<Option<T>>> + Array + 'static, T: std::fmt::Debug + Clone + 'static>(
    values: impl Strategy<Value = T> + 'static,
    rows: usize,
) -> BoxedStrategy<ArrayRef> {
    let column = prop::collection::vec(option::weighted(0.7, values), rows);
    column.prop_map(|values| Arc::new(A::from(values)) as ArrayRef).boxed()
}

/// A column of some type that a job can declare.
fn column(rows: usize) -> impl Strategy<Value = ArrayRef> {
    let number = any::<f64>().prop_map(|n| if n.is_nan() { f64::NAN } else { n });
    let small = any::<f32>().prop_map(|n| if n.is_nan() { f32::NAN } else { n });
    let bytes = prop::collection::vec(any::<u8>(), 0..4);
    let decimals = of::<Decimal128Array, _>(-(10_i128.pow(20))..10_i128.pow(20), rows);
    let moments = of::<TimestampMicrosecondArray, _>(any::<i64>(), rows);
    let utc = |array: ArrayRef| {
        let array = array.as_primitive::<arrow::datatypes::TimestampMicrosecondType>().clone();
        Arc::new(array.with_timezone("UTC")) as ArrayRef
    };
    let decimal = |array: ArrayRef| {
        let array = array.as_primitive::<arrow::datatypes::Decimal128Type>().clone();
        Arc::new(array.with_precision_and_scale(38, 6).unwrap()) as ArrayRef
    };
    prop_oneof![
        4 => of::<StringArray, _>(text(), rows),
        1 => of::<Int64Array, _>(any::<i64>(), rows),
        1 => of::<Int8Array, _>(any::<i8>(), rows),
        1 => of::<Float64Array, _>(number, rows),
        1 => of::<Float32Array, _>(small, rows),
        1 => of::<BooleanArray, _>(any::<bool>(), rows),
        1 => of::<Date32Array, _>(any::<i32>(), rows),
        1 => moments.clone(),
        1 => moments.prop_map(utc),
        1 => of::<TimestampNanosecondArray, _>(any::<i64>(), rows),
        1 => decimals.prop_map(decimal),
        1 => prop::collection::vec(option::of(bytes), rows)
            .prop_map(|values| Arc::new(values.into_iter().collect::<BinaryArray>()) as ArrayRef),
    ]
}

fn columns() -> impl Strategy<Value = Vec<(String, ArrayRef)>> {
    (1..6_usize)
        .prop_flat_map(|rows| prop::collection::vec((text(), column(rows)), 1..4))
        .prop_filter("names come once", |columns| {
            let names = columns.iter().map(|(name, _)| name);
            names.collect::<std::collections::BTreeSet<_>>().len() == columns.len()
        })
}

fn nullable(columns: Vec<(String, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
        .unwrap()
}

/// The files, with the types of a schema, as a job declares them.
fn declared(mut files: Files, schema: &SchemaRef) -> Files {
    for field in schema.fields() {
        let one = DeclaredType { data_type: field.data_type().clone(), lenient: false };
        files.columns.insert(field.name().clone(), one);
    }
    files
}

/// What comes back, in the order of the columns.
fn read_back(
    files: Files,
    name: &str,
    text: &[u8],
    batch: &RecordBatch,
) -> Result<RecordBatch, TestCaseError> {
    let files = declared(files, &batch.schema());
    let shown = String::from_utf8_lossy(text).into_owned();
    let table = read(&files, name, text, WHOLE);
    let read = table.map_err(|error| TestCaseError::fail(format!("{error}: {shown:?}")))?.batch();
    let schema = batch.schema();
    let place = |name: &String| read.schema().index_of(name).unwrap();
    let places: Vec<usize> = schema.fields().iter().map(|field| place(field.name())).collect();
    Ok(read.project(&places).unwrap())
}

proptest! {
    #[test]
    fn csv_that_is_written_is_read_back(
        mut columns in columns(), header in any::<bool>(), delimiter in select(vec![b',', b';', b'\t']),
        quote in select(vec![b'"', b'\'']), null in select(vec!["", "NA", "\\N"]),
    ) {
        if !header {
            for (place, (name, _)) in columns.iter_mut().enumerate() {
                *name = format!("column_{}", place + 1);
            }
        }
        let batch = nullable(columns);
        // Without a name or a value there is no column: such a file is refused.
        let is_empty = batch.num_columns() == 1 && batch.column(0).null_count() == batch.num_rows();
        prop_assume!(header || !is_empty || !null.is_empty());
        let style = CsvStyle { delimiter, quote, header, null: null.into() };
        let text = written(&Format::Csv(style, TextCodec::None), &batch);
        let mut files = files(FileFormat::Csv);
        files.csv.header = header;
        (files.csv.delimiter, files.csv.quote) = (Some(delimiter), Some(quote));
        files.csv.nulls = vec![null.into()];
        prop_assert_eq!(read_back(files, "t.csv", &text, &batch)?, batch);
    }

    #[test]
    fn json_that_is_written_is_read_back(columns in columns()) {
        let batch = nullable(columns);
        let text = written(&Format::Json(TextCodec::None), &batch);
        prop_assert_eq!(read_back(files(FileFormat::Json), "t.json", &text, &batch)?, batch);
    }
}
