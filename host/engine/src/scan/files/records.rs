//! The values of CSV's records, one after the other, each with whether it stood within quotes.

use std::borrow::Cow;

use longshore_model::error::Error;
use memchr::{memchr, memchr2, memchr3};

use super::lines::Marks;

/// Values up to so many bytes are searched byte by byte: that is quicker than to begin a search.
const SHORT_BYTES: usize = 16;

/// One value.
pub(super) struct Value<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) is_quoted: bool,
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// A carriage return that ends no line and stands outside quotes.
    #[error("a carriage return (CR) without a line feed stands outside quotes")]
    CarriageReturn,
    /// What follows a closing quote belongs to nothing.
    #[error("text follows a closing quote")]
    BehindQuote,
    /// Quotes that do not end.
    #[error("the quotes of a value are not closed")]
    Open,
    /// It is no text.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// It has so many values, and there are so many columns.
    #[error("it has {0} values, and there are {1} columns")]
    Values(usize, usize),
}

impl Fault {
    /// The next step.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::CarriageReturn => {
                "where lines end with CR alone, convert them, as with `tr '\\r' '\\n'`; else put the value in quotes"
            }
            Self::BehindQuote | Self::Open => {
                "double the quotes within the value; where quotes mean nothing, add `csv: { quote: \"\" }`"
            }
            Self::NotUtf8 => "convert the file to UTF-8, as with iconv",
            Self::Values(..) => {
                "correct the row, check `source.csv.delimiter`, or leave such rows out with `bad_rows: skip`"
            }
        }
    }

    pub(super) fn told(&self, place: &str) -> Error {
        let text = match self {
            Self::Values(values, columns) => {
                format!("{place} has {values} values, and there are {columns} columns")
            }
            Self::NotUtf8 => format!("{place} is not UTF-8"),
            other => format!("{place}: {other}"),
        };
        Error::data(text).with_hint(self.hint())
    }
}

/// Records of a text, which ends with a record's end.
pub(super) struct Records<'a> {
    marks: Marks,
    text: &'a str,
    at: usize,
    /// Whether another value of the record comes.
    is_open: bool,
}

impl<'a> Records<'a> {
    pub(super) fn new(marks: Marks, text: &'a str) -> Self {
        Self { marks, text, at: 0, is_open: true }
    }

    /// Moves to the record that comes next, if one does. An empty line is a record only of one column.
    pub(super) fn skip_to_record(&mut self, has_one_column: bool) -> Option<()> {
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let first = *rest.first()?;
            if Some(first) == self.marks.comment {
                self.at += memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
                continue;
            }
            let is_empty = first == b'\n' || rest.starts_with(b"\r\n") || rest == b"\r";
            if !is_empty || has_one_column {
                self.is_open = true;
                return Some(());
            }
            self.at += if first == b'\n' { 1 } else { rest.len().min(2) };
        }
    }

    /// The record's next value; nothing behind its last one.
    pub(super) fn next_value(&mut self) -> Result<Option<Value<'a>>, Fault> {
        if !std::mem::take(&mut self.is_open) {
            return Ok(None);
        }
        let first = self.text.as_bytes().get(self.at);
        let value = match self.marks.quote.filter(|quote| first == Some(quote)) {
            Some(quote) => self.quoted(quote)?,
            None => self.plain()?,
        };
        Ok(Some(value))
    }

    fn plain(&mut self) -> Result<Value<'a>, Fault> {
        let rest = &self.text.as_bytes()[self.at..];
        let length = find_end(rest, self.marks.delimiter);
        let text = &self.text[self.at..self.at + length];
        self.at += length;
        self.end_value(Fault::CarriageReturn)?;
        Ok(Value { text: Cow::Borrowed(text), is_quoted: false })
    }

    fn quoted(&mut self, quote: u8) -> Result<Value<'a>, Fault> {
        let escape = self.marks.escape;
        let mut text = Cow::Borrowed("");
        self.at += 1;
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let end = match escape {
                None => memchr(quote, rest),
                Some(escape) => memchr2(quote, escape, rest),
            };
            let end = end.ok_or(Fault::Open)?;
            let (mark, after) = (rest[end], rest.get(end + 1).copied());
            join(&mut text, &self.text[self.at..self.at + end]);
            self.at += end + 1;
            let stands_for_next = after == Some(quote) || (mark != quote && after == Some(mark));
            if stands_for_next {
                join(&mut text, &self.text[self.at..self.at + 1]);
                self.at += 1;
            } else if mark == quote {
                self.end_value(Fault::BehindQuote)?;
                return Ok(Value { text, is_quoted: true });
            } else {
                // An escape before anything else is a character like others.
                join(&mut text, &self.text[self.at - 1..self.at]);
            }
        }
    }

    /// Moves over what ends a value.
    fn end_value(&mut self, otherwise: Fault) -> Result<(), Fault> {
        let rest = &self.text.as_bytes()[self.at..];
        match rest {
            [] | [b'\r'] => self.at = self.text.len(),
            [b'\n', ..] => self.at += 1,
            [b'\r', b'\n', ..] => self.at += 2,
            [b'\r', ..] => return Err(Fault::CarriageReturn),
            [byte, ..] if *byte == self.marks.delimiter => {
                self.at += 1;
                self.is_open = true;
            }
            _ => return Err(otherwise),
        }
        Ok(())
    }
}

/// Where a value without quotes ends.
fn find_end(text: &[u8], delimiter: u8) -> usize {
    let ends = |byte: &u8| *byte == delimiter || matches!(byte, b'\n' | b'\r');
    let short = &text[..text.len().min(SHORT_BYTES)];
    short.iter().position(ends).unwrap_or_else(|| {
        let rest = &text[short.len()..];
        short.len() + memchr3(delimiter, b'\n', b'\r', rest).unwrap_or(rest.len())
    })
}

fn join<'a>(text: &mut Cow<'a, str>, piece: &'a str) {
    if text.is_empty() {
        *text = Cow::Borrowed(piece);
    } else if !piece.is_empty() {
        text.to_mut().push_str(piece);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn marks(escape: Option<u8>) -> Marks {
        Marks { delimiter: b',', quote: Some(b'"'), escape, comment: None }
    }

    fn records(text: &str, escape: Option<u8>) -> Result<Vec<Vec<(String, bool)>>, Fault> {
        let mut records = Records::new(marks(escape), text);
        let mut all = Vec::new();
        while records.skip_to_record(false).is_some() {
            let mut record = Vec::new();
            while let Some(value) = records.next_value()? {
                record.push((value.text.into_owned(), value.is_quoted));
            }
            all.push(record);
        }
        Ok(all)
    }

    #[test]
    fn quotes_are_told_and_taken_off() {
        let is = |text: &str, quoted: bool| (text.to_owned(), quoted);
        let read = records("a,\"b\",\"\",,\"c\"\"d\"\r\n\n\"x\ny\",1\n", None).unwrap();
        let first =
            vec![is("a", false), is("b", true), is("", true), is("", false), is("c\"d", true)];
        assert_eq!(read, [first, vec![is("x\ny", true), is("1", false)]]);
        let read = records("\"a\\\"b\",\"c\\\\\"\n", Some(b'\\')).unwrap();
        assert_eq!(read, [vec![is("a\"b", true), is("c\\", true)]]);
        let read = records("\"C:\\new\",\"\\\\n\"\"\",\\a\n", Some(b'\\')).unwrap();
        assert_eq!(read, [vec![is("C:\\new", true), is("\\n\"", true), is("\\a", false)]]);
    }

    #[test]
    fn without_a_quote_there_are_none() {
        let marks = Marks { quote: None, ..marks(None) };
        let mut records = Records::new(marks, "\"a,\n");
        let mut values = Vec::new();
        while let Some(value) = records.next_value().unwrap() {
            values.push((value.text.into_owned(), value.is_quoted));
        }
        assert_eq!(values, [("\"a".to_owned(), false), (String::new(), false)]);
    }

    #[test]
    fn what_is_not_clear_is_refused() {
        for (text, fault) in [
            ("a\rb\n", "carriage return"),
            ("\"a\rb\"\n1\r2", "carriage return"),
            ("\"a\"b\n", "closing quote"),
            ("\"a\n", "not closed"),
        ] {
            let said = records(text, None).unwrap_err().to_string();
            assert!(said.contains(fault), "{text:?}: {said}");
        }
    }

    #[test]
    fn an_empty_line_is_a_row_of_one_column() {
        let mut records = Records::new(marks(None), "1\n\n\r\n3");
        let mut values = Vec::new();
        while records.skip_to_record(true).is_some() {
            while let Some(value) = records.next_value().unwrap() {
                values.push(value.text.into_owned());
            }
        }
        assert_eq!(values, ["1", "", "", "3"]);
    }

    proptest! {
        #[test]
        fn what_the_csv_crate_writes_is_read_as_it_reads_it(
            rows in prop::collection::vec(prop::collection::vec("[a,\"\n\r é]{0,20}", 2..4), 0..8),
        ) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let read: Vec<Vec<String>> = records(&text, None).unwrap()
                .into_iter().map(|row| row.into_iter().map(|(text, _)| text).collect()).collect();
            prop_assert_eq!(read, rows);
        }

        #[test]
        fn what_is_read_is_what_the_csv_crate_reads(
            // That crate takes an escape off before anything.
            (escape, text) in prop_oneof![
                "[a,\"\n]{0,24}".prop_map(|text| (None, text)),
                "(aa|a\"|b|,|\"|\n){0,24}".prop_map(|text| (Some(b'a'), text)),
            ],
        ) {
            let mut reader = csv::ReaderBuilder::new();
            reader.has_headers(false).flexible(true).escape(escape);
            let theirs: Vec<Vec<String>> = reader.from_reader(text.as_bytes()).records()
                .map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
            if let Ok(ours) = records(&text, escape) {
                let ours: Vec<Vec<String>> = ours
                    .into_iter().map(|row| row.into_iter().map(|(text, _)| text).collect()).collect();
                prop_assert_eq!(ours, theirs);
            }
        }
    }
}
