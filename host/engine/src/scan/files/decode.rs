//! What all decoders of text share: rows are made of whole records, or a row is told as bad.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use longshore_model::error::Result;

use super::column::{Column, Strictness, shown_value, type_word};
use super::json_wrong::{Wrong, key_word};
use super::records::Fault;

/// Rows to a batch.
pub(super) const BATCH_ROWS: usize = 8_192;

/// What the first rows of a file tell.
pub(super) struct Sample {
    pub(super) fields: Fields,
    /// How many rows they are.
    pub(super) rows: usize,
    /// Why none can be read, where all are left out.
    pub(super) doubt: Option<String>,
}

/// Makes rows of whole records.
pub(super) trait Decode: Send + Sync {
    /// All rows of a block; after an error it starts again.
    fn decode(&mut self, block: &[u8]) -> Result<Vec<RecordBatch>, BadRow>;

    /// One that decodes the same columns.
    fn another(&self) -> Result<Box<dyn Decode>>;
}

/// Why a row cannot be read, and what can be done about it.
#[derive(Debug)]
pub(super) struct BadRow {
    pub(super) cause: String,
    pub(super) hint: String,
}

/// Whether a moment has digits of a second that its type has no place for, and a finer one has.
fn has_nanoseconds(data_type: &DataType, text: &str) -> bool {
    let DataType::Timestamp(unit, _) = data_type else { return false };
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    *unit != TimeUnit::Nanosecond && (7..=9).contains(&digits)
}

impl BadRow {
    /// A text that does not stand for a value of its column's type; `shown` as it stands in the file.
    pub(super) fn value(cell: &Cell<'_>, text: &str, shown: &str) -> Self {
        let Cell { column, path, data_type } = cell;
        let (column, word) = (key_word(column), type_word(data_type));
        let mut hint = String::new();
        if has_nanoseconds(data_type, text) {
            hint = format!("keep all digits with `source.columns: {{ {column}: {word}(9) }}`, ");
        }
        hint += &format!("keep the texts with `source.columns: {{ {column}: string }}`, ");
        if cell.is_column() && can_be_made(data_type, text) {
            hint += &format!(
                "take what can be made of them, less digits that have no room, with \
                 `{{ {column}: {{ type: \"{word}\", lenient: true }} }}`, "
            );
        }
        hint += "raise `source.sample_rows`, or leave such rows out with `bad_rows: skip`";
        let cause = format!("column `{path}`: {} is not exactly a {word}", shown_value(shown));
        Self { cause, hint }
    }

    /// A value of another kind than its column's.
    pub(super) fn kind(cell: &Cell<'_>, found: &str) -> Self {
        let Cell { column, path, data_type } = cell;
        Self {
            cause: format!("column `{path}`: {found} stands where {} should", kind_word(data_type)),
            hint: format!(
                "keep the values as they stand with `source.columns: {{ {}: string }}`, or leave such rows out \
                 with `bad_rows: skip`",
                key_word(column)
            ),
        }
    }

    pub(super) fn shape(cause: String) -> Self {
        let hint = "correct the row, name its columns under `source.columns`, or leave such rows out with \
                    `bad_rows: skip`";
        Self { cause, hint: hint.into() }
    }

    pub(super) fn not_utf8() -> Self {
        Fault::NotUtf8.into()
    }

    pub(super) fn internal(cause: &dyn std::fmt::Display) -> Self {
        Self::shape(cause.to_string())
    }
}

impl From<Fault> for BadRow {
    fn from(fault: Fault) -> Self {
        let skip = match fault {
            Fault::Values(..) => "",
            _ => ", or leave such rows out with `bad_rows: skip`",
        };
        Self { cause: fault.to_string(), hint: format!("{}{skip}", fault.hint()) }
    }
}

impl From<Wrong> for BadRow {
    fn from(wrong: Wrong) -> Self {
        Self { cause: wrong.to_string(), hint: wrong.hint() }
    }
}

/// Where a value goes.
pub(super) struct Cell<'a> {
    /// The column.
    pub(super) column: &'a str,
    /// The keys that lead to it, that of the column first.
    pub(super) path: &'a str,
    pub(super) data_type: &'a DataType,
}

impl<'a> Cell<'a> {
    pub(super) fn column(field: &'a Field) -> Self {
        Self { column: field.name(), path: field.name(), data_type: field.data_type() }
    }

    /// Whether it is the whole column's value.
    fn is_column(&self) -> bool {
        self.column == self.path
    }
}

/// Whether a type that is read leniently takes a text.
fn can_be_made(data_type: &DataType, text: &str) -> bool {
    *data_type != DataType::Utf8
        && Column::new(data_type, Strictness::Lenient).is_ok_and(|mut column| column.append(text))
}

fn kind_word(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::List(_) => "an array",
        DataType::Struct(_) => "an object",
        _ => "another value",
    }
}

/// A text, if it is one.
pub(super) fn utf8(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
