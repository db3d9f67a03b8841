//! Text to columns: a value is taken for a column's type only where it stands for exactly that text.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::builder::*;
use arrow::datatypes::*;
use longshore_model::error::{Error, Result};
use longshore_values::{
    Exactness, MomentUnit, Zone, read_boolean, read_boolean_loosely, read_bytes_loosely, read_date,
    read_decimal, read_decimal_loosely, read_f32, read_f32_loosely, read_f64, read_f64_loosely,
    read_integer, read_moment,
};

use super::loose::{date_loosely, moment_loosely};

/// How strictly a column is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// As a type that was inferred: digit by digit.
    Spelling,
    /// As a type that the job declares: by value.
    Value,
    /// As a type that the job declares, by whatever can be made of the text.
    Lenient,
}

/// A column that grows.
pub(super) struct Column {
    exactness: Exactness,
    /// Whether it takes other spellings, too.
    is_lenient: bool,
    values: Values,
}

enum Values {
    Boolean(BooleanBuilder),
    Int8(Int8Builder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Date(Date32Builder),
    Microseconds(TimestampMicrosecondBuilder, Zone),
    Nanoseconds(TimestampNanosecondBuilder, Zone),
    Decimal(Decimal128Builder, u8, i8),
    Binary(BinaryBuilder),
    Text(StringBuilder),
}

impl Column {
    pub(super) fn new(data_type: &DataType, reading: Strictness) -> Result<Self> {
        let zone = |zone: &Option<Arc<str>>| zone.as_ref().map_or(Zone::None, |_| Zone::Offset(0));
        let values = match data_type {
            DataType::Utf8 => Values::Text(StringBuilder::new()),
            DataType::Boolean => Values::Boolean(BooleanBuilder::new()),
            DataType::Int8 => Values::Int8(Int8Builder::new()),
            DataType::Int16 => Values::Int16(Int16Builder::new()),
            DataType::Int32 => Values::Int32(Int32Builder::new()),
            DataType::Int64 => Values::Int64(Int64Builder::new()),
            DataType::Float32 => Values::Float32(Float32Builder::new()),
            DataType::Float64 => Values::Float64(Float64Builder::new()),
            DataType::Date32 => Values::Date(Date32Builder::new()),
            DataType::Timestamp(TimeUnit::Microsecond, tz) => {
                let builder = TimestampMicrosecondBuilder::new().with_data_type(data_type.clone());
                Values::Microseconds(builder, zone(tz))
            }
            DataType::Timestamp(TimeUnit::Nanosecond, tz) => {
                let builder = TimestampNanosecondBuilder::new().with_data_type(data_type.clone());
                Values::Nanoseconds(builder, zone(tz))
            }
            DataType::Decimal128(precision, scale) => {
                let builder = Decimal128Builder::new().with_data_type(data_type.clone());
                Values::Decimal(builder, *precision, *scale)
            }
            DataType::Binary => Values::Binary(BinaryBuilder::new()),
            other => return Err(Error::internal(format!("text cannot be read as {other}"))),
        };
        let exactness = match reading {
            Strictness::Spelling => Exactness::Spelling,
            Strictness::Value | Strictness::Lenient => Exactness::Value,
        };
        Ok(Self { exactness, is_lenient: reading == Strictness::Lenient, values })
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.values, Values::Text(_))
    }

    /// Whether JSON writes such values as texts.
    pub(super) fn is_quoted_in_json(&self) -> bool {
        use Values::*;
        let is_quoted = matches!(
            self.values,
            Text(_) | Date(_) | Microseconds(..) | Nanoseconds(..) | Binary(_)
        );
        is_quoted || self.is_lenient
    }

    pub(super) fn is_floating(&self) -> bool {
        matches!(self.values, Values::Float32(_) | Values::Float64(_))
    }

    /// Whether it takes numbers and truth values as they stand.
    pub(super) fn is_bare_in_json(&self, is_number: bool) -> bool {
        match &self.values {
            _ if self.is_lenient => true,
            Values::Boolean(_) => !is_number,
            _ => is_number && !self.is_quoted_in_json(),
        }
    }

    /// Takes a text, or says no: it does not stand for a value of the column's type.
    #[must_use]
    pub(super) fn append(&mut self, text: &str) -> bool {
        self.append_exactly(text) || (self.is_lenient && self.append_loosely(text.trim()))
    }

    fn append_exactly(&mut self, text: &str) -> bool {
        let (bytes, exactness) = (text.as_bytes(), self.exactness);
        match &mut self.values {
            Values::Text(builder) => {
                builder.append_value(text);
                true
            }
            Values::Boolean(builder) => put(read_boolean(bytes), |v| builder.append_value(v)),
            Values::Int8(builder) => put(whole(bytes), |v| builder.append_value(v)),
            Values::Int16(builder) => put(whole(bytes), |v| builder.append_value(v)),
            Values::Int32(builder) => put(whole(bytes), |v| builder.append_value(v)),
            Values::Int64(builder) => put(whole(bytes), |v| builder.append_value(v)),
            Values::Float32(builder) => {
                put(read_f32(bytes, exactness), |v| builder.append_value(v))
            }
            Values::Float64(builder) => {
                put(read_f64(bytes, exactness), |v| builder.append_value(v))
            }
            Values::Date(builder) => {
                let days = read_date(bytes).and_then(|days| i32::try_from(days).ok());
                put(days, |v| builder.append_value(v))
            }
            Values::Microseconds(builder, zone) => {
                let moment = read_moment(bytes, MomentUnit::Microsecond, *zone);
                put(moment, |v| builder.append_value(v))
            }
            Values::Nanoseconds(builder, zone) => {
                let moment = read_moment(bytes, MomentUnit::Nanosecond, *zone);
                put(moment, |v| builder.append_value(v))
            }
            Values::Decimal(builder, precision, scale) => {
                put(read_decimal(bytes, *precision, *scale), |v| builder.append_value(v))
            }
            Values::Binary(builder) => put(hexadecimal(bytes), |v| builder.append_value(v)),
        }
    }

    /// Takes what can be made of a text in another spelling.
    fn append_loosely(&mut self, text: &str) -> bool {
        if self.append_exactly(text) {
            return true;
        }
        let bytes = text.as_bytes();
        match &mut self.values {
            Values::Text(_) => false,
            Values::Boolean(builder) => {
                put(read_boolean_loosely(text), |v| builder.append_value(v))
            }
            Values::Int8(builder) => put(whole_loosely(bytes), |v| builder.append_value(v)),
            Values::Int16(builder) => put(whole_loosely(bytes), |v| builder.append_value(v)),
            Values::Int32(builder) => put(whole_loosely(bytes), |v| builder.append_value(v)),
            Values::Int64(builder) => put(whole_loosely(bytes), |v| builder.append_value(v)),
            Values::Float32(builder) => put(read_f32_loosely(text), |v| builder.append_value(v)),
            Values::Float64(builder) => put(read_f64_loosely(text), |v| builder.append_value(v)),
            Values::Date(builder) => put(date_loosely(text), |v| builder.append_value(v)),
            Values::Microseconds(builder, _) => {
                put(moment_loosely(text, TimeUnit::Microsecond), |v| builder.append_value(v))
            }
            Values::Nanoseconds(builder, _) => {
                put(moment_loosely(text, TimeUnit::Nanosecond), |v| builder.append_value(v))
            }
            Values::Decimal(builder, precision, scale) => {
                let value = read_decimal_loosely(bytes, *precision, *scale);
                put(value, |v| builder.append_value(v))
            }
            Values::Binary(builder) => put(read_bytes_loosely(text), |v| builder.append_value(v)),
        }
    }

    pub(super) fn append_null(&mut self) {
        match &mut self.values {
            Values::Text(builder) => builder.append_null(),
            Values::Boolean(builder) => builder.append_null(),
            Values::Int8(builder) => builder.append_null(),
            Values::Int16(builder) => builder.append_null(),
            Values::Int32(builder) => builder.append_null(),
            Values::Int64(builder) => builder.append_null(),
            Values::Float32(builder) => builder.append_null(),
            Values::Float64(builder) => builder.append_null(),
            Values::Date(builder) => builder.append_null(),
            Values::Microseconds(builder, _) => builder.append_null(),
            Values::Nanoseconds(builder, _) => builder.append_null(),
            Values::Decimal(builder, ..) => builder.append_null(),
            Values::Binary(builder) => builder.append_null(),
        }
    }

    /// All values so far; it is empty then.
    pub(super) fn finish(&mut self) -> ArrayRef {
        match &mut self.values {
            Values::Text(builder) => Arc::new(builder.finish()),
            Values::Boolean(builder) => Arc::new(builder.finish()),
            Values::Int8(builder) => Arc::new(builder.finish()),
            Values::Int16(builder) => Arc::new(builder.finish()),
            Values::Int32(builder) => Arc::new(builder.finish()),
            Values::Int64(builder) => Arc::new(builder.finish()),
            Values::Float32(builder) => Arc::new(builder.finish()),
            Values::Float64(builder) => Arc::new(builder.finish()),
            Values::Date(builder) => Arc::new(builder.finish()),
            Values::Microseconds(builder, _) => Arc::new(builder.finish()),
            Values::Nanoseconds(builder, _) => Arc::new(builder.finish()),
            Values::Decimal(builder, ..) => Arc::new(builder.finish()),
            Values::Binary(builder) => Arc::new(builder.finish()),
        }
    }
}

fn put<T>(value: Option<T>, append: impl FnOnce(T)) -> bool {
    value.map(append).is_some()
}

fn whole<T: TryFrom<i64>>(text: &[u8]) -> Option<T> {
    T::try_from(read_integer(text)?).ok()
}

/// Digits behind the point are cut off.
fn whole_loosely<T: TryFrom<i128>>(text: &[u8]) -> Option<T> {
    /// As many as 64 bits can have.
    const DIGITS: u8 = 19;
    T::try_from(read_decimal_loosely(text, DIGITS, 0)?).ok()
}

/// Bytes as our writers write them: two digits each, in lower case.
fn hexadecimal(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    rest.is_empty().then(|| bytes.collect::<Option<Vec<u8>>>()).flatten()
}

/// What people call a type: what they write under `source.columns`.
pub(super) fn type_word(data_type: &DataType) -> Cow<'static, str> {
    Cow::Borrowed(match data_type {
        DataType::Utf8 => "string",
        DataType::Boolean => "boolean",
        DataType::Int8 => "tinyint",
        DataType::Int16 => "smallint",
        DataType::Int32 => "int",
        DataType::Int64 => "bigint",
        DataType::Float32 => "float",
        DataType::Float64 => "double",
        DataType::Date32 => "date",
        DataType::Timestamp(TimeUnit::Nanosecond, None) => "timestamp(9)",
        DataType::Timestamp(TimeUnit::Nanosecond, Some(_)) => "timestamptz(9)",
        DataType::Timestamp(_, None) => "timestamp",
        DataType::Timestamp(_, Some(_)) => "timestamptz",
        DataType::Binary => "binary",
        DataType::List(_) => "list",
        DataType::Struct(_) => "object",
        DataType::Decimal128(precision, scale) => {
            return Cow::Owned(format!("decimal({precision},{scale})"));
        }
        other => return Cow::Owned(other.to_string()),
    })
}

/// A value in a message: its beginning, on one line.
pub(super) fn shown_value(text: &str) -> String {
    const SHOWN_CHARACTERS: usize = 60;
    let shown = |c: char| if c.is_control() { c.escape_debug().to_string() } else { c.to_string() };
    let short: String = text.chars().take(SHOWN_CHARACTERS).map(shown).collect();
    let rest = if text.chars().nth(SHOWN_CHARACTERS).is_some() { ".." } else { "" };
    format!("'{short}{rest}'")
}
