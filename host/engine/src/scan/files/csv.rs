//! CSV: what its columns are called, which types they have, and its rows.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use longshore_model::config::files::{BadRows, Files};
use longshore_model::error::{Error, Result};
use longshore_values::{
    Exactness, MAX_EXACT_INTEGER, MomentUnit, Zone, read_boolean, read_date, read_f64,
    read_integer, read_moment,
};
use object_store::path::Path as Key;

use super::column::{Column, Strictness};
use super::decode::{BATCH_ROWS, BadRow, Cell, Decode, Sample, utf8};
use super::file_info::{FilesInfo, ending};
use super::lines::{Marks, Splitter};
use super::records::{Fault, Records, Value};
use super::schema::sampled;

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
            // A quote that stands before itself is doubled, as it is without an escape.
            escape: csv.escape.filter(|_| csv.quote.is_some()).filter(|_| csv.escape != csv.quote),
            comment: csv.comment,
        };
        let (nulls, quoted_nulls) = (csv.nulls.clone(), csv.quoted_nulls);
        Self { marks, header: csv.header, nulls, quoted_nulls }
    }

    /// Whether a value is NULL. `alone` if its row has no other: an empty one is an empty line then.
    fn is_null(&self, value: &Value<'_>, alone: bool) -> bool {
        let reads_so = |null: &String| *null == value.text;
        ((!value.is_quoted || self.quoted_nulls) && self.nulls.iter().any(reads_so))
            || (alone && !value.is_quoted && value.text.is_empty())
    }

    /// How a word is read as NULL, if people mean that with it.
    fn null_hint(&self, text: &str) -> Option<String> {
        const WORDS: [&str; 12] =
            ["na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", "?", ".", "\\n"];
        if !WORDS.contains(&text.to_lowercase().as_str()) {
            return None;
        }
        let nulls: Vec<&str> = self.nulls.iter().map(String::as_str).chain([text]).collect();
        let nulls = serde_json::to_string(&nulls).ok()?;
        Some(format!("read it as NULL with `source.csv.null: {nulls}`, "))
    }
}

/// Names for columns without any.
pub(super) fn numbered(columns: usize) -> Vec<String> {
    (1..=columns).map(|number| format!("column_{number}")).collect()
}

/// The header of a file.
#[derive(Default)]
pub(super) struct Header {
    pub(super) names: Vec<String>,
    /// Its bytes, and those of comments and empty lines before it.
    pub(super) length: usize,
}

/// The names in a text's first record, if it has one.
pub(super) fn header(style: &Style, text: &[u8]) -> Result<Option<Header>> {
    let Some(record) = Splitter::new(Some(style.marks)).first(text) else { return Ok(None) };
    let length = record.end;
    let Some(text) = utf8(&text[record]) else {
        return Err(Error::data("a column's name is not UTF-8").with_hint(Fault::NotUtf8.hint()));
    };
    let mut records = Records::new(style.marks, text);
    let mut names: Vec<String> = Vec::new();
    while let Some(value) = records.next_value().map_err(|fault| fault.told("the first line"))? {
        let name = value.text.into_owned();
        if names.contains(&name) {
            return Err(Error::data(format!("two columns are called `{name}`"))
                .with_hint(
                    "rename one; or set `csv: { header: false }`, and leave that row out in an `sql` step",
                ));
        }
        names.push(name);
    }
    Ok(Some(Header { names, length }))
}

/// The columns of a text, and how many of its rows were looked at.
pub(super) fn sample(style: &Style, files: &Files, text: &[u8]) -> Result<Sample> {
    let header = if style.header { header(style, text)? } else { None };
    let Header { names, length } = header.unwrap_or_default();
    let (before, text) = text.split_at(length);
    let (mut rows, mut line) = (0, 1 + count_lines(before));
    let mut seen = SeenColumns { guesses: vec![Guess::default(); names.len()], names };
    for record in Splitter::new(Some(style.marks)).records(text) {
        if rows == files.sample_rows {
            break;
        }
        let record = &text[record];
        match seen.take(style, record) {
            Ok(is_row) => rows += usize::from(is_row),
            Err(_) if files.bad_rows == BadRows::Skip => {}
            Err(fault) => return Err(fault.told(&format!("line {line}"))),
        }
        line += count_lines(record);
    }
    Ok(Sample { fields: seen.fields(), rows, doubt: None })
}

/// The columns of a file, as far as they were seen.
struct SeenColumns {
    names: Vec<String>,
    guesses: Vec<Guess>,
}

impl SeenColumns {
    /// Takes a record; whether it is a row.
    fn take(&mut self, style: &Style, record: &[u8]) -> Result<bool, Fault> {
        if is_comment(style.marks, record) {
            return Ok(false);
        }
        let record = utf8(record).ok_or(Fault::NotUtf8)?;
        let mut records = Records::new(style.marks, record);
        if records.skip_to_record(self.names.len() == 1).is_none() {
            return Ok(false);
        }
        let mut values = Vec::with_capacity(self.names.len());
        while let Some(value) = records.next_value()? {
            values.push(value);
        }
        if self.names.is_empty() {
            self.names = numbered(values.len());
            self.guesses = vec![Guess::default(); values.len()];
        }
        if values.len() != self.names.len() {
            return Err(Fault::Values(values.len(), self.names.len()));
        }
        let alone = values.len() == 1;
        for (value, guess) in values.iter().zip(&mut self.guesses) {
            if !style.is_null(value, alone) {
                guess.take(value);
            }
        }
        Ok(true)
    }

    fn fields(self) -> Fields {
        let fields = self.names.into_iter().zip(self.guesses);
        fields.map(|(name, guess)| Field::new(name, guess.data_type, true)).collect()
    }
}

/// Whether a record is none: a line of which nothing is read.
fn is_comment(marks: Marks, record: &[u8]) -> bool {
    marks.comment.is_some() && record.first().copied() == marks.comment
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
    /// There was a moment that is beyond those in nanoseconds.
    has_far_moments: bool,
}

impl Default for Guess {
    fn default() -> Self {
        Self { data_type: DataType::Null, has_large_integers: false, has_far_moments: false }
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
        if let DataType::Timestamp(TimeUnit::Microsecond, zone) = &seen {
            let zone = zone.as_ref().map_or(Zone::None, |_| Zone::Offset(0));
            let near = read_moment(value.text.as_bytes(), MomentUnit::Nanosecond, zone);
            self.has_far_moments |= near.is_none();
        }
        self.data_type = sampled(&self.data_type, &seen).unwrap_or(DataType::Utf8);
        let is_lost = match &self.data_type {
            DataType::Float64 => self.has_large_integers,
            DataType::Timestamp(TimeUnit::Nanosecond, _) => self.has_far_moments,
            _ => false,
        };
        if is_lost {
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
    readings: Vec<Strictness>,
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
        info: &FilesInfo,
        wanted: &SchemaRef,
    ) -> Result<Self> {
        let (mut fields, mut places): (Vec<FieldRef>, _) = (Vec::new(), Vec::new());
        for name in names {
            let known = info.file_fields().iter().find(|field| *field.name() == name);
            let field = known.ok_or_else(|| {
                Error::data(format!("the column `{name}` is in none of the files of the sample"))
                    .with_hint(format!("name its type: `source.columns: {{ {name}: string }}`"))
            })?;
            // Which rows are left out does not depend on the columns that are wanted.
            let is_wanted = files.bad_rows == BadRows::Skip || wanted.index_of(&name).is_ok();
            places.push(is_wanted.then_some(fields.len()));
            if is_wanted {
                fields.push(field.clone());
            }
        }
        let readings: Vec<Strictness> = fields
            .iter()
            .map(|field| super::reading(files, field.name(), Strictness::Spelling))
            .collect();
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
            if self.style.is_null(&value, self.places.len() == 1) {
                column.append_null();
            } else if !column.append(&value.text) {
                let field = self.schema.field(place);
                let bad = BadRow::value(&Cell::column(field), &value.text, &value.text);
                return Err(match self.style.null_hint(&value.text) {
                    Some(hint) => BadRow { hint: hint + &bad.hint, ..bad },
                    None => bad,
                });
            }
        }
        if count != self.places.len() {
            return Err(Fault::Values(count, self.places.len()).into());
        }
        Ok(())
    }

    fn batch(&mut self) -> Result<RecordBatch, BadRow> {
        let arrays = self.columns.iter_mut().map(Column::finish).collect();
        let options =
            RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
            .map_err(|error| BadRow::internal(&error))
    }

    fn all(&mut self, block: &[u8]) -> Result<Vec<RecordBatch>, BadRow> {
        let Some(text) = utf8(block) else {
            let is_one_line = count_lines(block) <= 1;
            return if is_one_line && is_comment(self.style.marks, block) {
                Ok(Vec::new())
            } else {
                Err(BadRow::not_utf8())
            };
        };
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

fn columns(schema: &SchemaRef, readings: &[Strictness]) -> Result<Vec<Column>> {
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

    fn another(&self) -> Result<Box<dyn Decode>> {
        Ok(Box::new(Self {
            style: self.style.clone(),
            schema: self.schema.clone(),
            readings: self.readings.clone(),
            columns: columns(&self.schema, &self.readings)?,
            places: self.places.clone(),
            rows: 0,
        }))
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
