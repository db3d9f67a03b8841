//! Text: CSV and JSON lines. Nested values stand in CSV as JSON.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::json;
use arrow::json::writer::{LineDelimited, make_encoder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use longshore_model::config::target::{CsvStyle, TextCodec};
use longshore_model::error::{Error, Result, ResultExt};
use longshore_values::{JsonValues, json_options, text_column};

use super::checksum_writer::ChecksumWriter;
use super::compressed_writer::CompressedWriter;
use super::encoder::{EncodedFile, Encoder, arrow_fault, io_fault};

/// Text that is gathered before it goes into the file.
const GATHERED_BYTES: usize = 64 << 10;

/// Writes one file of separated values. A value that reads like NULL stands within quotes; NULL never
/// does.
pub(super) struct CsvEncoder {
    file: CompressedWriter,
    style: CsvStyle,
    gathered: Vec<u8>,
    /// Whether a record is a single value: nothing at all would be an empty line.
    is_single: bool,
}

/// What begins UTF-8 in some files, and is no value there.
const UTF8_MARK: char = '\u{feff}';

impl CsvEncoder {
    pub(super) fn new(
        schema: SchemaRef,
        style: &CsvStyle,
        squeeze: TextCodec,
        file: ChecksumWriter,
    ) -> Result<Self> {
        let file = CompressedWriter::new(squeeze, file).map_err(io_fault)?;
        let is_single = schema.fields().len() == 1;
        let mut encoder = Self { file, style: style.clone(), gathered: Vec::new(), is_single };
        // The names of the columns also where there are no rows.
        if style.header {
            for (place, field) in schema.fields().iter().enumerate() {
                encoder.put(place, field.name());
            }
            encoder.gathered.push(b'\n');
        }
        Ok(encoder)
    }

    /// A record's value.
    fn put(&mut self, place: usize, text: &str) {
        if place > 0 {
            self.gathered.push(self.style.delimiter);
        }
        let CsvStyle { delimiter, quote, null, .. } = &self.style;
        let is_special =
            |byte: u8| byte == *delimiter || byte == *quote || matches!(byte, b'\n' | b'\r');
        let reads_otherwise =
            text == null || text.starts_with(UTF8_MARK) || (self.is_single && text.is_empty());
        if !reads_otherwise && !text.bytes().any(is_special) {
            return self.gathered.extend_from_slice(text.as_bytes());
        }
        self.gathered.push(*quote);
        for byte in text.bytes() {
            if byte == *quote {
                self.gathered.push(byte);
            }
            self.gathered.push(byte);
        }
        self.gathered.push(*quote);
    }

    fn put_null(&mut self, place: usize) {
        if place > 0 {
            self.gathered.push(self.style.delimiter);
        }
        self.gathered.extend_from_slice(self.style.null.as_bytes());
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write_all(&self.gathered).map_err(io_fault)?;
        self.gathered.clear();
        Ok(())
    }
}

impl Encoder for CsvEncoder {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = as_texts(batch)?;
        let formatters = columns.iter().map(Formatter::of);
        let formatters = formatters.collect::<Result<Vec<_>, _>>().map_err(arrow_fault)?;
        // A column of type Null has no other.
        let nulls: Vec<_> = columns.iter().map(|column| column.logical_nulls()).collect();
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            for (place, (nulls, formatter)) in nulls.iter().zip(&formatters).enumerate() {
                if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                    self.put_null(place);
                    continue;
                }
                text.clear();
                if formatter.write(row, &mut text).is_err() {
                    let name = batch.schema_ref().field(place).name().clone();
                    let error = ArrowError::CsvError("a value has no text".into());
                    return Err(arrow_fault(error).with_context(format!("column `{name}`")));
                }
                self.put(place, &text);
            }
            self.gathered.push(b'\n');
            if self.gathered.len() >= GATHERED_BYTES {
                self.flush()?;
            }
        }
        self.flush()
    }

    fn memory_bytes(&self) -> usize {
        // What a compressor holds does not grow.
        0
    }

    fn finish(mut self: Box<Self>) -> Result<EncodedFile> {
        self.flush()?;
        Ok(EncodedFile::new(self.file.finish().map_err(io_fault)?))
    }
}

/// How a column's values are written.
enum Formatter<'a> {
    /// Of two shortest texts for a number, the one that the readers take: Arrow's writer takes the other one.
    Float(&'a Float32Array),
    Double(&'a Float64Array),
    Arrow(ArrayFormatter<'a>),
}

impl<'a> Formatter<'a> {
    fn of(column: &'a ArrayRef) -> Result<Self, ArrowError> {
        // An error is an error, and no text.
        const OPTIONS: FormatOptions<'static> = FormatOptions::new().with_display_error(false);
        Ok(match column.data_type() {
            DataType::Float32 => Self::Float(column.as_primitive()),
            DataType::Float64 => Self::Double(column.as_primitive()),
            _ => Self::Arrow(ArrayFormatter::try_new(column, &OPTIONS)?),
        })
    }

    fn write(&self, row: usize, text: &mut String) -> std::fmt::Result {
        match self {
            Self::Float(column) => write!(text, "{:?}", column.value(row)),
            Self::Double(column) => write!(text, "{:?}", column.value(row)),
            Self::Arrow(formatter) => write!(text, "{}", formatter.value(row)),
        }
    }
}

/// Columns whose text is not what Arrow writes, as texts.
fn as_texts(batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    let fields = batch.schema_ref().fields().iter();
    let text = |(field, column): (&_, &ArrayRef)| {
        let field: &arrow::datatypes::FieldRef = field;
        let text = text_column(field, column).map_err(arrow_fault);
        let text = text.context(format!("column `{}`", field.name()))?;
        Ok::<_, Error>(text.unwrap_or_else(|| column.clone()))
    };
    fields.zip(batch.columns()).map(text).collect()
}

/// The values of a batch, row by row, as CSV has them; NULL is none.
pub(crate) fn texts_of(batch: &RecordBatch) -> Result<Vec<Vec<Option<String>>>> {
    let columns = as_texts(batch)?;
    let formatters = columns.iter().map(Formatter::of);
    let formatters = formatters.collect::<Result<Vec<_>, _>>().map_err(arrow_fault)?;
    let nulls: Vec<_> = columns.iter().map(|column| column.logical_nulls()).collect();
    let value = |row: usize, place: usize| {
        let is_null = nulls[place].as_ref().is_some_and(|nulls| nulls.is_null(row));
        (!is_null).then(|| {
            let mut text = String::new();
            let written = formatters[place].write(row, &mut text);
            written.map_or_else(|_| "?".to_owned(), |()| text)
        })
    };
    let row = |row: usize| (0..columns.len()).map(|place| value(row, place)).collect();
    Ok((0..batch.num_rows()).map(row).collect())
}

/// An error of a batch, with the column that it is of.
fn blamed(batch: &RecordBatch, error: ArrowError) -> Error {
    let options = json_options();
    let fields = batch.schema_ref().fields().iter();
    let mut columns = fields.zip(batch.columns());
    let bad = columns.find(|(field, column)| make_encoder(field, column, &options).is_err());
    let error = arrow_fault(error);
    match bad {
        Some((field, _)) => error.with_context(format!("column `{}`", field.name())),
        None => error,
    }
}

/// Writes one file of JSON lines.
pub(super) struct JsonEncoder {
    writer: json::Writer<CompressedWriter, LineDelimited>,
}

impl JsonEncoder {
    pub(super) fn new(squeeze: TextCodec, file: ChecksumWriter) -> Result<Self> {
        let file = CompressedWriter::new(squeeze, file).map_err(io_fault)?;
        let builder = json::WriterBuilder::new().with_explicit_nulls(true);
        Ok(Self { writer: builder.with_encoder_factory(Arc::new(JsonValues)).build(file) })
    }
}

impl Encoder for JsonEncoder {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(|error| blamed(batch, error))
    }

    fn memory_bytes(&self) -> usize {
        0
    }

    fn finish(mut self: Box<Self>) -> Result<EncodedFile> {
        self.writer.finish().map_err(arrow_fault)?;
        Ok(EncodedFile::new(self.writer.into_inner().finish().map_err(io_fault)?))
    }
}
