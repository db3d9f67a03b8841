//! CSV: what its columns are called, which types they have, and its rows.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use longshore_values::{
    Exactness, MAX_EXACT_INTEGER, MomentUnit, Zone, read_boolean, read_date, read_f64,
    read_integer, read_moment,
};
use object_store::path::Path as Key;

use super::column::{Column, Reading};
use super::lines::{Marks, Splitter};
use super::look::{Looked, ending};
use super::records::{Fault, Records, Value};
use super::schema::sampled;
use super::text::{BATCH_ROWS, BadRow, Decode, utf8};
use crate::config::files::{BadRows, Files};
use crate::error::{Error, Result};

/// What to do about text in another encoding.
const UTF8_HINT: &str = "convert the file to UTF-8, as with iconv";

/// How one file is written.
#[derive(Clone, Debug)]
pub(super) struct Style {
    pub(super) marks: Marks,
    pub(super) header: bool,
    nulls: Vec<String>,
    /// Whether a NULL may stand within quotes.
    quoted_nulls: bool,
}

impl Style {
    pub(super) fn of(files: &Files, key: &Key) -> Self {
        let csv = &files.csv;
        let by_ending = if ending(key).0 == Some("tsv") { b'\t' } else { b',' };
        let marks = Marks {
            delimiter: csv.delimiter.unwrap_or(by_ending),
            quote: csv.quote,
            escape: csv.escape,
            comment: csv.comment,
        };
        let (nulls, quoted_nulls) = (csv.nulls.clone(), csv.quoted_nulls);
        Self { marks, header: csv.header, nulls, quoted_nulls }
    }

    fn is_null(&self, value: &Value<'_>) -> bool {
        (!value.is_quoted || self.quoted_nulls) && self.nulls.iter().any(|null| *null == value.text)
    }
}

/// Names for columns without any.
pub(super) fn numbered(columns: usize) -> Vec<String> {
    (1..=columns).map(|number| format!("column_{number}")).collect()
}

/// The names in a text's first record.
pub(super) fn header(style: &Style, text: &[u8]) -> Result<Vec<String>> {
    let record = first_record(style.marks, text);
    if record.is_empty() {
        return Ok(Vec::new());
    }
    let text = utf8(&text[record])
        .ok_or_else(|| Error::data("a column's name is not UTF-8").with_hint(UTF8_HINT))?;
    let mut records = Records::new(style.marks, text);
    let mut names: Vec<String> = Vec::new();
    while let Some(value) = records.next_value().map_err(|fault| fault.told("the first line"))? {
        let name = value.text.into_owned();
        if names.contains(&name) {
            return Err(Error::data(format!("two columns are called `{name}`"))
                .with_hint("rename one, or set `csv: { header: false }` and skip the first row"));
        }
        names.push(name);
    }
    Ok(names)
}

/// How many bytes the first record takes, with the lines before it that are no records.
pub(super) fn header_length(marks: Marks, text: &[u8]) -> usize {
    first_record(marks, text).end
}

fn first_record(marks: Marks, text: &[u8]) -> std::ops::Range<usize> {
    let records = Splitter::new(Some(marks)).records(text);
    let is_record = |range: &std::ops::Range<usize>| {
        let record = &text[range.start..range.end];
        let is_comment = marks.comment.is_some() && record.first().copied() == marks.comment;
        !is_comment && !record.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
    };
    records.into_iter().find(is_record).unwrap_or(text.len()..text.len())
}

/// The columns of a text, and how many of its rows were looked at.
pub(super) fn sample(style: &Style, files: &Files, text: &[u8]) -> Result<(Fields, usize)> {
    let mut names = if style.header { header(style, text)? } else { Vec::new() };
    let start = if style.header { header_length(style.marks, text) } else { 0 };
    let mut guesses = vec![Guess::default(); names.len()];
    let (mut rows, mut line) = (0, 1 + count_lines(&text[..start]));
    for record in Splitter::new(Some(style.marks)).records(&text[start..]) {
        if rows == files.sample_rows {
            break;
        }
        let bytes = &text[start + record.start..start + record.end];
        let place = format!("line {line}");
        line += count_lines(bytes);
        let record = utf8(bytes)
            .ok_or_else(|| Error::data(format!("{place} is not UTF-8")).with_hint(UTF8_HINT))?;
        let mut records = Records::new(style.marks, record);
        if records.skip_to_record(names.len() == 1).is_none() {
            continue;
        }
        let mut values = Vec::new();
        while let Some(value) = records.next_value().map_err(|fault| fault.told(&place))? {
            values.push(value);
        }
        if names.is_empty() {
            names = numbered(values.len());
            guesses = vec![Guess::default(); names.len()];
        }
        rows += 1;
        match (values.len() == names.len(), files.bad_rows) {
            (true, _) => {}
            (false, BadRows::Skip) => continue,
            (false, BadRows::Fail) => {
                return Err(Fault::Values(values.len(), names.len()).told(&place));
            }
        }
        for (value, guess) in values.iter().zip(&mut guesses) {
            if !style.is_null(value) {
                guess.take(value);
            }
        }
    }
    let fields =
        names.into_iter().zip(guesses).map(|(name, guess)| Field::new(name, guess.data_type, true));
    Ok((fields.collect(), rows))
}

fn count_lines(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text).count()
}

/// What a column's type may be, from what was seen of it.
#[derive(Clone, Debug)]
struct Guess {
    data_type: DataType,
    /// There was a whole number that no double holds.
    has_large_integers: bool,
}

impl Default for Guess {
    fn default() -> Self {
        Self { data_type: DataType::Null, has_large_integers: false }
    }
}

impl Guess {
    fn take(&mut self, value: &Value<'_>) {
        if self.data_type == DataType::Utf8 {
            return;
        }
        let seen = inferred(&value.text);
        if seen == DataType::Int64 {
            let number = read_integer(value.text.as_bytes()).unwrap_or_default();
            self.has_large_integers |= number.unsigned_abs() > MAX_EXACT_INTEGER.unsigned_abs();
        }
        self.data_type = sampled(&self.data_type, &seen).unwrap_or(DataType::Utf8);
        if self.data_type == DataType::Float64 && self.has_large_integers {
            self.data_type = DataType::Utf8;
        }
    }
}

/// The type that a value looks like: only where the value comes back as it was written.
fn inferred(text: &str) -> DataType {
    let bytes = text.as_bytes();
    let moment = |unit, zone| read_moment(bytes, unit, zone).is_some();
    let utc = || Some("UTC".into());
    if read_integer(bytes).is_some() {
        return DataType::Int64;
    }
    if read_f64(bytes, Exactness::Spelling).is_some() {
        return DataType::Float64;
    }
    if read_boolean(bytes).is_some() {
        return DataType::Boolean;
    }
    if read_date(bytes).is_some_and(|days| i32::try_from(days).is_ok()) {
        return DataType::Date32;
    }
    for unit in [TimeUnit::Microsecond, TimeUnit::Nanosecond] {
        let precision = match unit {
            TimeUnit::Nanosecond => MomentUnit::Nanosecond,
            _ => MomentUnit::Microsecond,
        };
        if moment(precision, Zone::None) {
            return DataType::Timestamp(unit, None);
        }
        if moment(precision, Zone::Offset(0)) {
            return DataType::Timestamp(unit, utc());
        }
    }
    DataType::Utf8
}

/// Decodes one file's records.
pub(super) struct CsvDecoder {
    style: Style,
    /// The columns that are wanted, and how they are read.
    schema: SchemaRef,
    readings: Vec<Reading>,
    columns: Vec<Column>,
    /// For each of a record's values, its place among the wanted columns.
    places: Vec<Option<usize>>,
    rows: usize,
}

impl CsvDecoder {
    /// A decoder of a file with these columns; it gives those that are wanted.
    pub(super) fn new(
        style: Style,
        names: Vec<String>,
        files: &Files,
        looked: &Looked,
        wanted: &SchemaRef,
    ) -> Result<Self> {
        let (mut fields, mut places): (Vec<FieldRef>, _) = (Vec::new(), Vec::new());
        for name in names {
            let known = looked.file_fields().iter().find(|field| *field.name() == name);
            let field = known.ok_or_else(|| {
                Error::data(format!("the column `{name}` is in none of the files of the sample"))
                    .with_hint(format!("name its type: `source.columns: {{ {name}: string }}`"))
            })?;
            let is_wanted = wanted.index_of(&name).is_ok();
            places.push(is_wanted.then_some(fields.len()));
            if is_wanted {
                fields.push(field.clone());
            }
        }
        let readings: Vec<Reading> =
            fields.iter().map(|field| files.reading(field.name(), Reading::Spelling)).collect();
        let schema = Arc::new(Schema::new(fields));
        let columns = columns(&schema, &readings)?;
        Ok(Self { style, schema, readings, columns, places, rows: 0 })
    }

    /// Takes the record that comes next.
    fn take(&mut self, records: &mut Records<'_>) -> Result<(), BadRow> {
        let mut count = 0;
        while let Some(value) = records.next_value().map_err(BadRow::from)? {
            let place = self.places.get(count).copied().flatten();
            count += 1;
            let Some(place) = place else { continue };
            let column = &mut self.columns[place];
            if self.style.is_null(&value) {
                column.append_null();
            } else if !column.append(&value.text) {
                return Err(BadRow::value(self.schema.field(place), &value.text));
            }
        }
        match count == self.places.len() {
            true => Ok(()),
            false => Err(Fault::Values(count, self.places.len()).into()),
        }
    }

    fn batch(&mut self) -> Result<RecordBatch, BadRow> {
        let mut arrays = Vec::with_capacity(self.columns.len());
        for (place, column) in self.columns.iter_mut().enumerate() {
            let array = column.finish();
            arrays.push(array.map_err(|text| BadRow::value(self.schema.field(place), &text))?);
        }
        let options =
            RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
            .map_err(|error| BadRow::internal(&error))
    }

    fn all(&mut self, block: &[u8]) -> Result<Vec<RecordBatch>, BadRow> {
        let text = utf8(block).ok_or_else(BadRow::not_utf8)?;
        let mut records = Records::new(self.style.marks, text);
        let mut batches = Vec::new();
        while records.skip_to_record(self.places.len() == 1).is_some() {
            self.take(&mut records)?;
            self.rows += 1;
            if self.rows == BATCH_ROWS {
                batches.push(self.batch()?);
            }
        }
        if self.rows > 0 {
            batches.push(self.batch()?);
        }
        Ok(batches)
    }
}

fn columns(schema: &SchemaRef, readings: &[Reading]) -> Result<Vec<Column>> {
    let fields = schema.fields().iter().zip(readings);
    fields.map(|(field, reading)| Column::new(field.data_type(), *reading)).collect()
}

impl Decode for CsvDecoder {
    fn decode(&mut self, block: &[u8]) -> Result<Vec<RecordBatch>, BadRow> {
        let decoded = self.all(block);
        if decoded.is_err() {
            self.columns =
                columns(&self.schema, &self.readings).map_err(|e| BadRow::internal(&e))?;
            self.rows = 0;
        }
        decoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_comes_back_as_it_was_is_taken_for_more_than_text() {
        use DataType::*;
        let time = |unit, zone: Option<&str>| Timestamp(unit, zone.map(Into::into));
        let cases = [
            ("42", Int64),
            ("-1", Int64),
            ("007", Utf8),
            ("+1", Utf8),
            ("-0", Utf8),
            ("9223372036854775808", Utf8),
            ("1.5", Float64),
            ("1.10", Utf8),
            ("-1e9", Float64),
            ("1e16", Float64),
            (".", Utf8),
            (".5", Utf8),
            ("1e999", Utf8),
            ("nan", Utf8),
            ("NaN", Utf8),
            ("true", Boolean),
            ("TRUE", Utf8),
            ("yes", Utf8),
            ("2026-11-20", Date32),
            ("2026-13-20", Utf8),
            ("2026-11-20 10:00:00", time(TimeUnit::Microsecond, None)),
            ("2026-11-20T10:00:00.1234567", time(TimeUnit::Nanosecond, None)),
            ("2026-11-20T10:00:00.1234567891", Utf8),
            ("2026-11-20T10:00:00Z", time(TimeUnit::Microsecond, Some("UTC"))),
            ("2026-11-20 10:00:00+02:00", time(TimeUnit::Microsecond, Some("UTC"))),
            ("20:00", Utf8),
            ("1-2", Utf8),
            (" 1", Utf8),
        ]; // fmt: skip
        for (text, expected) in cases {
            assert_eq!(inferred(text), expected, "{text}");
        }
    }
}
