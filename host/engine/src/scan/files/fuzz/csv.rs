use std::collections::BTreeSet;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimeUnit};
use arrow::datatypes::{TimestampMicrosecondType, TimestampNanosecondType};
use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime};
use longshore_model::config::files::{BadRows, CsvRead, FileFormat, Files};
use proptest::prelude::*;
use proptest::sample::select;

use super::{Cut, Table, WHOLE, files, read, same_in_pieces};

/// What may be in a file where nothing is as it should be.
const PIECES: [&[u8]; 44] = [
    b"\"",
    b"\"\"",
    b"'",
    b",",
    b";",
    b"\t",
    b"\r",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"\xef\xbb\xbf",
    b"NA",
    b"NULL",
    b"\\",
    b"\\\"",
    b"#",
    b"# no row\n",
    b"\xc3\xa9",
    b"\xe2\x98\x83",
    b"\xff",
    b"\xc3",
    b"\xff\xfe",
    b"0",
    b"1",
    b"-12",
    b"007",
    b"+1",
    b"-0",
    b"1.5",
    b"1.10",
    b"1e3",
    b"9007199254740993",
    b"9223372036854775808",
    b"true",
    b"TRUE",
    b"2026-11-20",
    b"+12345-01-01",
    b"2026-02-30",
    b"2026-11-20T10:00:00.123456789",
    b"2026-11-20 10:00:00Z",
    b"2026-11-20 10:00:00+02:00",
    b" ",
    b"a",
    b"\0",
]; // fmt: skip

/// Values that columns of one kind hold.
const KINDS: [&[&str]; 9] = [
    &["0", "1", "-12", "9223372036854775807", "-9223372036854775808", ""],
    &["1.5", "-0.25", "1e3", "2.0", "7", "9007199254740992", "0.30000000000000004", ""],
    &["9007199254740993", "1", "1.5"],
    &["true", "false", ""],
    &["2026-11-20", "1970-01-01", "-0043-03-15", "+12345-12-31", "0000-02-29"],
    &["2026-11-20 10:00:00", "1969-12-31T23:59:59.999999", "2026-11-20T10:00:00.5"],
    &["2026-11-20 10:00:00Z", "2026-11-20T10:00:00+02", "1969-12-31T23:59:59.123456789-05:30"],
    &["a", "NA", "é☃", " ", "007", "+1", "1.10", "a\"b", "'", "\\", "x,y", "#", "\u{feff}"],
    &["line\nend", "two\r\nlines", "a\rb", "\"", "\"\"", "", ";", "\\\"", "\t"],
];

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(select(PIECES.to_vec()), 0..24).prop_map(|pieces| pieces.concat())
}

/// How CSV may be written, where it is not as it mostly is.
fn style() -> impl Strategy<Value = CsvRead> {
    let delimiter = select(vec![None, Some(b','), Some(b';'), Some(b'\t'), Some(b'|')]);
    let quote = select(vec![Some(b'"'), Some(b'"'), Some(b'\''), None]);
    let escape = select(vec![None, None, Some(b'\\'), Some(b'"')]);
    let comment = select(vec![None, None, Some(b'#')]);
    let nulls = select(vec![vec![""], vec!["NA"], vec!["", "NULL"], vec![]]);
    let style = (delimiter, quote, escape, comment, nulls, any::<[bool; 2]>());
    style.prop_map(|(delimiter, quote, escape, comment, nulls, [header, quoted_nulls])| CsvRead {
        delimiter,
        quote,
        escape,
        comment,
        header,
        nulls: nulls.into_iter().map(str::to_owned).collect(),
        quoted_nulls,
        newlines: false,
    })
}

/// A table that is written as it should be, and its style.
fn tidy() -> impl Strategy<Value = (CsvRead, Vec<u8>)> {
    let kinds = prop::collection::vec(select(KINDS.to_vec()), 1..4);
    let rows = prop::collection::vec(prop::collection::vec(any::<(u8, bool)>(), 4), 0..6);
    let ends = any::<[bool; 3]>();
    (style(), kinds, rows, ends).prop_map(|(style, kinds, rows, [crlf, last_end, mark])| {
        let end: &[u8] = if crlf { b"\r\n" } else { b"\n" };
        let mut lines: Vec<Vec<u8>> = Vec::new();
        if style.header {
            let names = (0..kinds.len()).map(|place| format!("c{place}").into_bytes());
            lines.push(names.collect::<Vec<_>>().join(delimiter(&style).as_slice()));
        }
        for row in &rows {
            let value = |(kind, (pick, quoted)): (&&[&str], &(u8, bool))| {
                put(&style, kind[usize::from(*pick) % kind.len()], *quoted)
            };
            let values: Vec<Vec<u8>> = kinds.iter().zip(row).map(value).collect();
            lines.push(values.join(delimiter(&style).as_slice()));
        }
        let mut text = if mark { b"\xef\xbb\xbf".to_vec() } else { Vec::new() };
        text.extend(lines.join(end));
        if last_end {
            text.extend(end);
        }
        (style, text)
    })
}

/// A tidy table into which something fell.
fn spoilt() -> impl Strategy<Value = (CsvRead, Vec<u8>)> {
    let fall = (any::<prop::sample::Index>(), select(PIECES.to_vec()), 0..4_usize);
    (tidy(), fall).prop_map(|((style, mut text), (at, piece, lost))| {
        let at = at.index(text.len() + 1);
        let end = (at + lost).min(text.len());
        text.splice(at..end, piece.iter().copied());
        (style, text)
    })
}

fn delimiter(style: &CsvRead) -> [u8; 1] {
    [style.delimiter.unwrap_or(b',')]
}

/// A value, in quotes where it needs them.
fn put(style: &CsvRead, text: &str, quoted: bool) -> Vec<u8> {
    let is_odd = |byte: u8| {
        Some(byte) == style.quote
            || delimiter(style) == [byte]
            || matches!(byte, b'\n' | b'\r' | b'#')
    };
    let Some(quote) = style.quote.filter(|_| quoted || text.bytes().any(is_odd)) else {
        return text.into();
    };
    let mut value = vec![quote];
    for byte in text.bytes() {
        if byte == quote || Some(byte) == style.escape {
            value.push(style.escape.unwrap_or(quote));
        }
        value.push(byte);
    }
    value.push(quote);
    value
}

/// A record as it stands in a file; none if it cannot be told what stands there.
type Record = Option<Vec<(Vec<u8>, bool)>>;

/// What a file holds, read a byte at a time.
#[derive(Default)]
struct Plain {
    /// Without comments; an empty line is a record without values.
    records: Vec<Record>,
    ends_within_quotes: bool,
    holds_line_ends: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum At {
    Line,
    Value,
    Within,
    Return,
    Quotes,
    Escape,
    BehindQuotes,
    Comment,
}

/// A record that is being read.
#[derive(Default)]
struct Open {
    bytes: Vec<u8>,
    values: Vec<(Vec<u8>, bool)>,
    value: Vec<u8>,
    is_quoted: bool,
    is_bad: bool,
}

impl Open {
    fn end_value(&mut self) {
        let value = (std::mem::take(&mut self.value), std::mem::take(&mut self.is_quoted));
        self.values.push(value);
    }

    fn end(&mut self, plain: &mut Plain) {
        let is_empty = matches!(self.bytes.as_slice(), b"\n" | b"\r\n" | b"\r");
        if !is_empty {
            self.end_value();
        }
        let open = std::mem::take(self);
        let is_good = !open.is_bad && std::str::from_utf8(&open.bytes).is_ok();
        plain.records.push(is_good.then_some(open.values));
    }
}

fn plain(csv: &CsvRead, text: &[u8]) -> Plain {
    let [delimiter] = delimiter(csv);
    // A quote that escapes itself is doubled.
    let (quote, escape) = (csv.quote, csv.escape.filter(|escape| Some(*escape) != csv.quote));
    let (mut plain, mut open, mut at) = (Plain::default(), Open::default(), At::Line);
    for &byte in text {
        if at == At::Line && Some(byte) == csv.comment {
            at = At::Comment;
        }
        if at == At::Comment {
            at = if byte == b'\n' { At::Line } else { At::Comment };
            continue;
        }
        open.bytes.push(byte);
        plain.holds_line_ends |= at == At::Quotes && byte == b'\n';
        at = match at {
            At::Line | At::Value if Some(byte) == quote => {
                open.is_quoted = true;
                At::Quotes
            }
            At::Quotes if Some(byte) == escape => At::Escape,
            At::Quotes if Some(byte) == quote => At::BehindQuotes,
            At::BehindQuotes if Some(byte) == quote => {
                open.value.push(byte);
                At::Quotes
            }
            At::Quotes | At::Escape => {
                let is_taken_off = Some(byte) == quote || Some(byte) == escape;
                if at == At::Escape && !is_taken_off {
                    open.value.extend(escape);
                }
                plain.holds_line_ends |= byte == b'\n';
                open.value.push(byte);
                At::Quotes
            }
            _ if byte == b'\n' => {
                open.end(&mut plain);
                At::Line
            }
            At::Return => {
                open.is_bad = true;
                within(&mut open, byte, delimiter)
            }
            _ if byte == b'\r' => At::Return,
            At::BehindQuotes if byte != delimiter => {
                open.is_bad = true;
                At::Within
            }
            _ => within(&mut open, byte, delimiter),
        };
    }
    plain.ends_within_quotes = matches!(at, At::Quotes | At::Escape);
    if !open.bytes.is_empty() {
        open.end(&mut plain);
    }
    plain
}

fn within(open: &mut Open, byte: u8, delimiter: u8) -> At {
    if byte == delimiter {
        open.end_value();
        return At::Value;
    }
    open.value.push(byte);
    At::Within
}

/// The texts of a row, and nothing where it has NULL.
type Row = Vec<Option<String>>;

/// The names and the texts that a file holds, or nothing where it must be refused.
fn expected(files: &Files, text: &[u8]) -> Option<(Vec<String>, Vec<Row>)> {
    let csv = &files.csv;
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        return None;
    }
    let plain = plain(csv, text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text));
    let is_empty = |record: &Record| record.as_ref().is_some_and(Vec::is_empty);
    if plain.ends_within_quotes {
        return None;
    }
    let mut records = plain.records;
    let first = records.iter().find(|record| !is_empty(record) && (csv.header || record.is_some()));
    let first = first?.clone()?;
    let mut names: Vec<String> = (1..=first.len()).map(|n| format!("column_{n}")).collect();
    if csv.header {
        names = first.into_iter().map(|(name, _)| String::from_utf8(name).unwrap()).collect();
        let header = records.iter().position(|record| !is_empty(record))?;
        records.drain(..=header);
    }
    if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
        return None;
    }
    let mut rows = Vec::new();
    for record in records {
        match record.map(|values| row(csv, values, names.len())) {
            Some(Some(Some(row))) => rows.push(row),
            Some(None) => {}
            _ if files.bad_rows == BadRows::Skip => {}
            _ => return None,
        }
    }
    Some((names, rows))
}

/// A record's row: none where an empty line is none, and nothing in it where it is bad.
fn row(csv: &CsvRead, values: Vec<(Vec<u8>, bool)>, columns: usize) -> Option<Option<Row>> {
    match (values.is_empty(), columns) {
        (true, 1) => return Some(Some(vec![None])),
        (true, _) => return None,
        _ => {}
    }
    if values.len() != columns {
        return Some(None);
    }
    let text = |(value, quoted): (Vec<u8>, bool)| {
        let text = String::from_utf8(value).unwrap();
        let is_null = (!quoted || csv.quoted_nulls) && csv.nulls.contains(&text);
        (!is_null).then_some(text)
    };
    Some(Some(values.into_iter().map(text).collect()))
}

/// Whether a value is the one that a text stands for, and the text one that it may be told from.
fn stands_for(array: &ArrayRef, row: usize, text: &str) -> bool {
    let moment = |zone: bool| moment(text, zone);
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row) == text,
        DataType::Boolean => array.as_boolean().value(row).to_string() == text,
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string() == text,
        DataType::Float64 => is_double(array.as_primitive::<Float64Type>().value(row), text),
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>().value(row);
            far_date(text) == Some(i64::from(days))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let value = array.as_primitive::<TimestampMicrosecondType>().value(row);
            moment(zone.is_some()) == DateTime::from_timestamp_micros(value)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            let value = array.as_primitive::<TimestampNanosecondType>().value(row);
            moment(zone.is_some()) == Some(DateTime::from_timestamp_nanos(value))
        }
        _ => false,
    }
}

/// Days since 1970: chrono knows the calendar, and not so many years.
fn far_date(text: &str) -> Option<i64> {
    let at = 1 + text[1..].find('-')?;
    let year: i64 = text[..at].parse().ok()?;
    let near = format!("{:04}{}", year.rem_euclid(400), &text[at..]);
    Some(i64::from(date(&near)?.to_epoch_days()) + year.div_euclid(400) * 146_097)
}

fn date(text: &str) -> Option<NaiveDate> {
    let (unsigned, sign) = match text.strip_prefix('-') {
        Some(rest) => (rest, -1),
        None => (text.strip_prefix('+').unwrap_or(text), 1),
    };
    let parts: Vec<&str> = unsigned.split('-').collect();
    let [year, month, day] = parts[..] else { return None };
    let year = sign * year.parse::<i32>().ok()?;
    NaiveDate::from_ymd_opt(year, month.parse().ok()?, day.parse().ok()?)
}

/// A moment, in UTC.
fn moment(text: &str, has_zone: bool) -> Option<DateTime<chrono::Utc>> {
    let at = text.find(['T', ' '])?;
    let (day, clock) = (date(&text[..at])?, &text[at + 1..]);
    let end = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(end);
    if has_zone == zone.is_empty() {
        return None;
    }
    let clock = chrono::NaiveTime::parse_from_str(clock, "%H:%M:%S%.f").ok()?;
    let minutes = match zone.split_at_checked(1) {
        Some((sign @ ("+" | "-"), rest)) => {
            let hours: i32 = rest.get(..2)?.parse().ok()?;
            let minutes: i32 = rest.get(2..)?.trim_start_matches(':').parse().unwrap_or(0);
            (hours * 60 + minutes) * if sign == "-" { -1 } else { 1 }
        }
        _ => 0,
    };
    let zone = FixedOffset::east_opt(minutes * 60)?;
    Some(NaiveDateTime::new(day, clock).and_local_timezone(zone).single()?.to_utc())
}

/// Whether all digits of a text come back from a double.
fn is_double(value: f64, text: &str) -> bool {
    let keeps_zeros =
        text.split(['e', 'E']).next().is_some_and(|n| n.ends_with(".0") || !ends_with_zero(n));
    let is_small = text.contains(['.', 'e', 'E']) || value.abs() <= 9_007_199_254_740_992.0;
    keeps_zeros && is_small && digits(&format!("{value:e}")) == digits(text)
}

fn ends_with_zero(number: &str) -> bool {
    number.contains('.') && number.ends_with('0')
}

/// A number's sign, its digits, and where the point stands.
pub(super) fn digits(text: &str) -> Option<(bool, String, i64)> {
    let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
    let point = exponent.parse::<i64>().ok()? - fraction.len() as i64;
    let short = digits.trim_end_matches('0');
    let point = point + (digits.len() - short.len()) as i64;
    let short = short.trim_start_matches('0').to_owned();
    let is_zero = short.is_empty();
    Some((text.starts_with('-'), short, if is_zero { 0 } else { point }))
}

/// The rows that are read are those of the reference.
fn check_rows(table: &Table, names: &[String], rows: &[Row]) -> Result<(), TestCaseError> {
    let read: Vec<&str> = table.schema.fields().iter().map(|f| f.name().as_str()).collect();
    prop_assert_eq!(&read, names);
    let batch = table.batch();
    prop_assert_eq!(batch.num_rows(), rows.len(), "{:?}", batch);
    for (number, row) in rows.iter().enumerate() {
        for (column, text) in batch.columns().iter().zip(row) {
            let is_same = match text {
                None => column.is_null(number),
                Some(text) => column.is_valid(number) && stands_for(column, number, text),
            };
            prop_assert!(is_same, "row {}: {:?} from {:?}", number, column, text);
        }
    }
    Ok(())
}

/// Read as it stands there, or refused where it must be.
fn check(csv: CsvRead, bad_rows: BadRows, text: &[u8]) -> Result<(), TestCaseError> {
    let files = Files { csv, bad_rows, ..files(FileFormat::Csv) };
    match (read(&files, "t.csv", text, WHOLE), expected(&files, text)) {
        (Ok(table), Some((names, rows))) => check_rows(&table, &names, &rows),
        (Ok(table), None) => {
            Err(TestCaseError::fail(format!("must be refused: {:?}", table.batch())))
        }
        (Err(error), Some(expected)) => {
            Err(TestCaseError::fail(format!("refused: {error}\n{expected:?}")))
        }
        (Err(_), None) => Ok(()),
    }
}

/// Where types are told from the first row, later values may not fit them, and are never changed.
fn check_small_sample(csv: CsvRead, text: &[u8]) -> Result<(), TestCaseError> {
    let files = Files { csv, sample_rows: 1, ..files(FileFormat::Csv) };
    match (read(&files, "t.csv", text, WHOLE), expected(&files, text)) {
        (Ok(table), Some((names, rows))) => check_rows(&table, &names, &rows),
        (Ok(table), None) => {
            Err(TestCaseError::fail(format!("must be refused: {:?}", table.batch())))
        }
        (Err(_), _) => Ok(()),
    }
}

fn check_pieces(
    csv: CsvRead,
    bad_rows: BadRows,
    text: &[u8],
    cut: Cut,
) -> Result<(), TestCaseError> {
    let unmarked = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let holds_line_ends = plain(&csv, unmarked).holds_line_ends;
    let files = Files { csv, bad_rows, ..files(FileFormat::Csv) };
    same_in_pieces(&files, "t.csv", text, cut, holds_line_ends).map_err(TestCaseError::fail)
}

fn bad_rows() -> impl Strategy<Value = BadRows> {
    select(vec![BadRows::Fail, BadRows::Skip])
}

fn cut() -> impl Strategy<Value = Cut> {
    (1..40_u64, 1..12_usize).prop_map(|(chunk, piece)| Cut { chunk, piece })
}

proptest! {
    #[test]
    fn whatever_is_in_a_file_is_read_as_it_stands_there_or_refused(
        csv in style(), text in pieces(), bad_rows in bad_rows(),
    ) {
        check(csv, bad_rows, &text)?;
    }

    #[test]
    fn a_tidy_table_is_read(table in tidy()) {
        check(table.0, BadRows::Fail, &table.1)?;
    }

    #[test]
    fn a_spoilt_table_is_read_as_it_stands_there_or_refused(
        table in spoilt(), bad_rows in bad_rows(),
    ) {
        check(table.0, bad_rows, &table.1)?;
    }

    #[test]
    fn a_small_sample_changes_no_value(table in prop_oneof![tidy(), spoilt()]) {
        check_small_sample(table.0, &table.1)?;
    }

    #[test]
    fn rows_are_the_same_however_a_file_is_cut(table in spoilt(), bad_rows in bad_rows(), cut in cut()) {
        check_pieces(table.0, bad_rows, &table.1, cut)?;
    }

    #[test]
    fn rows_are_the_same_however_odd_text_is_cut(
        csv in style(), text in pieces(), bad_rows in bad_rows(), cut in cut(),
    ) {
        check_pieces(csv, bad_rows, &text, cut)?;
    }
}
