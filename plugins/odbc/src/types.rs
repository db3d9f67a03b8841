//! A column's type: ODBC's code, or the database's own words where they say more, and Arrow's.

use std::sync::Arc;

use longshore_sdk::host::odbc::{Column, Fetch};
use longshore_sdk::schema::{DataType, Field, Schema, TimeUnit};
use longshore_sdk::{Column as Told, Comparable, RelationInfo, Result};

use longshore_values::padded;

use crate::dialect::{Compares, Dialect};

/// The most digits of a decimal number.
const DECIMAL_LIMIT_DIGITS: u64 = 38;

/// What psqlodbc says of a `numeric` that has no limits.
const UNLIMITED_NUMERIC: (u64, i16) = (28, 6);

/// A column, as it will be.
#[derive(Clone, Debug)]
pub struct KnownColumn {
    pub name: String,
    pub data_type: DataType,
    pub nullable: bool,
    /// Its texts are filled up with blanks, which do not count.
    pub padded: bool,
    pub source_type: String,
    pub comparable: Comparable,
    pub fetch: Fetch,
}

/// What a column becomes; `words` is its type as the database writes it.
pub fn known(column: &Column, words: Option<&str>, dialect: &Dialect, wide: bool) -> KnownColumn {
    let (data_type, fetch) = match (dialect.loose, words) {
        (true, words) => loose(words.unwrap_or(&column.type_name)),
        (false, words) => strict(column, words.unwrap_or(&column.type_name), dialect),
    };
    let fetch = match (&data_type, wide) {
        (DataType::Utf8, true) => Fetch::Wide,
        _ => fetch,
    };
    KnownColumn {
        name: column.name.clone(),
        comparable: comparable(&data_type, dialect.compares),
        data_type,
        nullable: column.nullable,
        // CHAR and NCHAR.
        padded: !dialect.loose && matches!(column.data_type, 1 | -8),
        source_type: words.unwrap_or(&column.type_name).to_owned(),
        fetch,
    }
}

/// By ODBC's code of the type.
fn strict(column: &Column, words: &str, dialect: &Dialect) -> (DataType, Fetch) {
    let words = words.to_ascii_lowercase();
    let unit = match column.digits {
        7.. => TimeUnit::Nanosecond,
        _ => TimeUnit::Microsecond,
    };
    let utc = || Some("UTC".into());
    let native = |data_type| (data_type, Fetch::Native);
    let dated = |data_type| {
        if dialect.zero_dates { (data_type, Fetch::Text) } else { (data_type, Fetch::Native) }
    };
    match column.data_type {
        -7 => native(DataType::Boolean),
        -6 if column.unsigned => native(DataType::UInt8),
        -6 => native(DataType::Int8),
        5 if column.unsigned => native(DataType::UInt16),
        5 => native(DataType::Int16),
        4 if column.unsigned => native(DataType::UInt32),
        4 => native(DataType::Int32),
        -5 if column.unsigned => (DataType::UInt64, Fetch::Text),
        -5 => native(DataType::Int64),
        7 => native(DataType::Float32),
        6 | 8 => native(DataType::Float64),
        2 | 3 => (decimal(column, &words, dialect), Fetch::Text),
        9 | 91 => dated(DataType::Date32),
        10 | 92 => (DataType::Time64(TimeUnit::Microsecond), Fetch::Text),
        // Sessions are in UTC.
        11 | 93 if is_instant(&words, dialect) => {
            dated(DataType::Timestamp(TimeUnit::Microsecond, utc()))
        }
        11 | 93 => dated(DataType::Timestamp(unit, None)),
        // SQL Server's `time` and `datetimeoffset`.
        -154 => (DataType::Time64(TimeUnit::Nanosecond), Fetch::Text),
        -155 => (DataType::Timestamp(unit, utc()), Fetch::Text),
        -4..=-2 => native(DataType::Binary),
        _ => native(DataType::Utf8),
    }
}

/// Whether a moment is one wherever it is read.
fn is_instant(words: &str, dialect: &Dialect) -> bool {
    match dialect.name {
        "mysql" => words == "timestamp",
        _ => words.starts_with("timestamptz") || words.ends_with("with time zone"),
    }
}

/// One without limits, or with more digits than Arrow has, stays the text that it is.
fn decimal(column: &Column, words: &str, dialect: &Dialect) -> DataType {
    let unlimited = matches!(dialect.name, "postgresql" | "greenplum")
        && (words == "numeric" && (column.size, column.digits) == UNLIMITED_NUMERIC);
    let scale = i8::try_from(column.digits).ok().filter(|scale| *scale >= 0);
    match (column.size, scale) {
        (size @ 1..=DECIMAL_LIMIT_DIGITS, Some(scale)) if !unlimited => {
            DataType::Decimal128(size as u8, scale)
        }
        _ => DataType::Utf8,
    }
}

/// By the declared type of a database in which any value may be anywhere: read from text, so that what
/// is not of the type is an error and not a zero.
fn loose(words: &str) -> (DataType, Fetch) {
    let words = words.to_ascii_lowercase();
    let (name, arguments) = words.split_once('(').unwrap_or((&words, ""));
    let arguments = arguments.trim_end_matches(')');
    match name.trim() {
        "boolean" | "bool" => (DataType::Boolean, Fetch::Text),
        name if name.contains("int") => (DataType::Int64, Fetch::Text),
        "date" => (DataType::Date32, Fetch::Text),
        "datetime" | "timestamp" => (DataType::Timestamp(TimeUnit::Microsecond, None), Fetch::Text),
        "time" => (DataType::Time64(TimeUnit::Microsecond), Fetch::Text),
        "decimal" | "numeric" if !arguments.is_empty() => {
            let (precision, scale) = arguments.split_once(',').unwrap_or((arguments, "0"));
            match (precision.trim().parse(), scale.trim().parse()) {
                (Ok(precision @ 1..=38), Ok(scale)) => {
                    (DataType::Decimal128(precision, scale), Fetch::Text)
                }
                _ => (DataType::Utf8, Fetch::Native),
            }
        }
        "blob" => (DataType::Binary, Fetch::Native),
        name if ["real", "floa", "doub"].iter().any(|word| name.contains(word)) => {
            (DataType::Float64, Fetch::Native)
        }
        _ => (DataType::Utf8, Fetch::Native),
    }
}

fn comparable(data_type: &DataType, compares: Compares) -> Comparable {
    match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Comparable::Order,
        DataType::Decimal128(..) if compares.decimals => Comparable::Order,
        DataType::Date32 if compares.dates => Comparable::Order,
        DataType::Utf8 if compares.texts => Comparable::Equality,
        _ => Comparable::No,
    }
}

/// What the host is told of a relation.
pub fn info(
    columns: &[KnownColumn],
    rows: Option<u64>,
    bytes: Option<u64>,
) -> Result<RelationInfo> {
    let field = |known: &KnownColumn| {
        let field = Field::new(&known.name, known.data_type.clone(), true);
        if known.padded { padded(field) } else { field }
    };
    let told = |known: &KnownColumn| Told {
        source_type: known.source_type.clone(),
        comparable: known.comparable,
        lossy: None,
    };
    Ok(RelationInfo {
        schema: Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>())),
        columns: columns.iter().map(told).collect(),
        rows,
        bytes,
    })
}

/// About how many bytes a value has.
pub fn value_bytes(data_type: &DataType) -> u64 {
    match data_type {
        DataType::Boolean | DataType::Int8 | DataType::UInt8 => 1,
        DataType::Int16 | DataType::UInt16 => 2,
        DataType::Utf8 | DataType::Binary => 24,
        DataType::Decimal128(..) => 16,
        _ => 8,
    }
}
