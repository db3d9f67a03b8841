//! CSV: what its columns are called, which types they have, and its rows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::{Decoder, Format};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use csv::{ByteRecord, ReaderBuilder as RecordReader};
use object_store::path::Path as Key;
use regex::Regex;

use super::lines::{Marks, Splitter};
use super::look::{Looked, ending};
use super::schema::sampled;
use super::text::{BATCH_ROWS, Decode};
use crate::config::files::{BadRows, Files};
use crate::error::{Error, Result};

/// How one file is written.
#[derive(Clone, Debug)]
pub(super) struct Style {
    pub(super) marks: Marks,
    pub(super) header: bool,
    nulls: Vec<String>,
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
        Self { marks, header: csv.header, nulls: csv.nulls.clone() }
    }

    fn records<'a>(&self, text: &'a [u8]) -> csv::Reader<&'a [u8]> {
        let Marks { delimiter, quote, escape, comment } = self.marks;
        let mut builder = RecordReader::new();
        builder.has_headers(false).flexible(true).delimiter(delimiter).quote(quote);
        builder.escape(escape).comment(comment);
        builder.from_reader(text)
    }

    fn format(&self) -> Format {
        let Marks { delimiter, quote, escape, comment } = self.marks;
        let mut format = Format::default().with_delimiter(delimiter).with_quote(quote);
        if let Some(escape) = escape {
            format = format.with_escape(escape);
        }
        if let Some(comment) = comment {
            format = format.with_comment(comment);
        }
        // What the decoder takes for NULL by itself, and quicker.
        if self.nulls == [""] {
            return format;
        }
        let texts: Vec<String> = self.nulls.iter().map(|text| regex::escape(text)).collect();
        // Made of escaped texts only.
        match Regex::new(&format!("^({})$", texts.join("|"))) {
            Ok(nulls) => format.with_null_regex(nulls),
            Err(_) => format,
        }
    }
}

/// Names for columns without any.
pub(super) fn numbered(columns: usize) -> Vec<String> {
    (1..=columns).map(|number| format!("column_{number}")).collect()
}

/// The names in a text's first record.
pub(super) fn header(style: &Style, text: &[u8]) -> Result<Vec<String>> {
    let mut record = ByteRecord::new();
    let is_there = style.records(text).read_byte_record(&mut record);
    if !is_there.map_err(|error| Error::data(error.to_string()))? {
        return Ok(Vec::new());
    }
    let mut names: Vec<String> = Vec::new();
    for name in &record {
        let name = std::str::from_utf8(name).map_err(|_| {
            Error::data("a column's name is not UTF-8")
                .with_hint("convert the file to UTF-8, as with iconv")
        })?;
        if names.iter().any(|other| other == name) {
            return Err(Error::data(format!("two columns are called `{name}`"))
                .with_hint("rename one, or set `csv: { header: false }` and skip the first row"));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// How many bytes the first record takes, with the lines before it that are no records.
pub(super) fn header_length(marks: Option<Marks>, text: &[u8]) -> usize {
    let comment = marks.and_then(|marks| marks.comment);
    let records = Splitter::new(marks).records(text);
    let is_record = |range: &&std::ops::Range<usize>| {
        let record = &text[range.start..range.end];
        let is_comment = comment.is_some() && record.first().copied() == comment;
        !is_comment && !record.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
    };
    records.iter().find(is_record).map_or(text.len(), |range| range.end)
}

/// The columns of a text, and how many of its rows were looked at.
pub(super) fn sample(style: &Style, files: &Files, text: &[u8]) -> Result<(Fields, usize)> {
    let mut names = if style.header { header(style, text)? } else { Vec::new() };
    let text = if style.header { &text[header_length(Some(style.marks), text)..] } else { text };
    let mut types = vec![DataType::Null; names.len()];
    let mut records = style.records(text);
    let (mut record, mut rows) = (ByteRecord::new(), 0);
    while rows < files.sample_rows
        && records.read_byte_record(&mut record).map_err(|e| Error::data(e.to_string()))?
    {
        if names.is_empty() {
            names = numbered(record.len());
            types = vec![DataType::Null; names.len()];
        }
        rows += 1;
        match (record.len() == names.len(), files.bad_rows) {
            (true, _) => {}
            (false, BadRows::Skip) => continue,
            (false, BadRows::Fail) => {
                let line = record.position().map_or(0, csv::Position::line);
                let line = line + u64::from(style.header);
                let error = format!(
                    "line {line} has {} values, and there are {} columns",
                    record.len(),
                    names.len()
                );
                return Err(Error::data(error).with_hint(
                    "mend it, check `source.csv.delimiter`, or leave such rows out with \
                     `bad_rows: skip`",
                ));
            }
        }
        for (value, data_type) in record.iter().zip(&mut types) {
            let value = std::str::from_utf8(value).map_err(|_| {
                Error::data(format!("row {rows} is not UTF-8"))
                    .with_hint("convert the file to UTF-8, as with iconv")
            })?;
            if style.nulls.iter().any(|null| null == value) || *data_type == DataType::Utf8 {
                continue;
            }
            *data_type = sampled(data_type, &told(value)).unwrap_or(DataType::Utf8);
        }
    }
    let fields = names.into_iter().zip(types).map(|(name, t)| Field::new(name, t, true));
    Ok((fields.collect(), rows))
}

/// The type that a value looks like: only where the value comes back as it was written.
fn told(text: &str) -> DataType {
    let bytes = text.as_bytes();
    let is_numeral = bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+'));
    if is_numeral {
        // `007`, `+1` and what is longer than 64 bits stay text.
        let number = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
        return match number {
            Some(_) => DataType::Int64,
            None if is_date(text) => DataType::Date32,
            None => DataType::Utf8,
        };
    }
    let looks_real =
        bytes.iter().all(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
            && bytes.iter().any(u8::is_ascii_digit);
    if looks_real && text.parse::<f64>().is_ok_and(f64::is_finite) {
        return DataType::Float64;
    }
    if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
        return DataType::Boolean;
    }
    told_moment(text).unwrap_or(DataType::Utf8)
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

fn told_moment(text: &str) -> Option<DataType> {
    if text.len() < 19 || !is_date(text.get(..10)?) || !matches!(text.as_bytes()[10], b' ' | b'T') {
        return None;
    }
    let digits = text[19..]
        .strip_prefix('.')
        .map_or(0, |fraction| fraction.bytes().take_while(u8::is_ascii_digit).count());
    let unit = if digits > 6 { TimeUnit::Nanosecond } else { TimeUnit::Microsecond };
    let text = text.replacen('T', " ", 1);
    if NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f").is_ok() {
        return Some(DataType::Timestamp(unit, None));
    }
    let zoned = DateTime::parse_from_str(&text.replace('Z', "+00:00"), "%Y-%m-%d %H:%M:%S%.f%:z");
    zoned.is_ok().then(|| DataType::Timestamp(unit, Some("UTC".into())))
}

/// Decodes one file's records.
pub(super) struct CsvDecoder {
    style: Style,
    schema: SchemaRef,
    projection: Vec<usize>,
    decoder: Decoder,
}

impl CsvDecoder {
    /// A decoder of a file with these columns; it gives those that are wanted.
    pub(super) fn new(
        style: Style,
        columns: Vec<String>,
        looked: &Looked,
        wanted: &SchemaRef,
    ) -> Result<Self> {
        let field = |name: String| -> Result<FieldRef> {
            let known = looked.file_fields().iter().find(|field| *field.name() == name);
            known.cloned().ok_or_else(|| {
                Error::data(format!("the column `{name}` is in none of the files of the sample"))
                    .with_hint("name its type under `source.columns`")
            })
        };
        let fields = columns.into_iter().map(field).collect::<Result<Vec<_>>>()?;
        let is_wanted = |field: &FieldRef| wanted.index_of(field.name()).is_ok();
        let projection =
            fields.iter().enumerate().filter(|(_, field)| is_wanted(field)).map(|(i, _)| i);
        let projection: Vec<usize> = projection.collect();
        let schema = Arc::new(Schema::new(fields));
        let decoder = decoder(&style, &schema, &projection);
        Ok(Self { style, schema, projection, decoder })
    }
}

fn decoder(style: &Style, schema: &SchemaRef, projection: &[usize]) -> Decoder {
    ReaderBuilder::new(schema.clone())
        .with_format(style.format())
        .with_projection(projection.to_vec())
        .with_batch_size(BATCH_ROWS)
        .build_decoder()
}

impl Decode for CsvDecoder {
    fn decode(&mut self, mut block: &[u8]) -> Result<Vec<RecordBatch>, ArrowError> {
        let mut decode = || {
            let mut batches = Vec::new();
            loop {
                let read = self.decoder.decode(block)?;
                block = &block[read..];
                if read == 0 || self.decoder.capacity() == 0 {
                    match self.decoder.flush()? {
                        Some(batch) => batches.push(batch),
                        None if block.is_empty() => return Ok(batches),
                        None => {}
                    }
                }
            }
        };
        let decoded = decode();
        if decoded.is_err() {
            self.decoder = decoder(&self.style, &self.schema, &self.projection);
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
            ("9223372036854775808", Utf8),
            ("1.5", Float64),
            ("-1e9", Float64),
            (".", Utf8),
            ("1e999", Utf8),
            ("nan", Utf8),
            ("TRUE", Boolean),
            ("yes", Utf8),
            ("2026-11-20", Date32),
            ("2026-13-20", Utf8),
            ("2026-11-20 10:00:00", time(TimeUnit::Microsecond, None)),
            ("2026-11-20T10:00:00.1234567", time(TimeUnit::Nanosecond, None)),
            ("2026-11-20T10:00:00Z", time(TimeUnit::Microsecond, Some("UTC"))),
            ("2026-11-20 10:00:00+02:00", time(TimeUnit::Microsecond, Some("UTC"))),
            ("20:00", Utf8),
            ("1-2", Utf8),
        ]; // fmt: skip
        for (text, expected) in cases {
            assert_eq!(told(text), expected, "{text}");
        }
    }
}
