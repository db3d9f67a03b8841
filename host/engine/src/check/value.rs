//! Values of a check, as the column's type has them. None is rounded: what the column cannot hold is refused.

use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use longshore_model::config::checks::Value;
use longshore_model::error::{Error, Result};
use longshore_values::{Exactness, read_decimal, read_f32, read_f64};

use super::column::{is_moment, is_text, plain_type};
use crate::transform::unit_of;

/// A value in a column's type.
pub(super) fn value_of(value: &Value, field: &Field) -> Result<ScalarValue> {
    let data_type = plain_type(field);
    if may_be_rounded(value) && !matches!(data_type, DataType::Float32 | DataType::Float64) {
        return Err(Error::config(format!(
            "`{value}` has more digits than a number here can have"
        ))
        .with_hint("write it as a text, within quotes"));
    }
    let text = value.to_string();
    let read = match value {
        Value::Boolean(value) if *data_type == DataType::Boolean => {
            Some(ScalarValue::Boolean(Some(*value)))
        }
        Value::Text(_) if is_text(data_type) || is_moment(data_type) => parse(&text, data_type),
        // A decimal is often written as a text, so that no digit is lost.
        Value::Text(_) | Value::Number(_) if data_type.is_numeric() => number(&text, data_type),
        _ => None,
    };
    read.ok_or_else(|| {
        let name = field.name();
        Error::config(format!("`{text}` is no value of the column `{name}`, which is {data_type}"))
            .with_hint(wanted(data_type))
    })
}

fn parse(text: &str, data_type: &DataType) -> Option<ScalarValue> {
    let value = ScalarValue::try_from_string(text.to_owned(), data_type).ok()?;
    (!value.is_null() && is_exact(text, data_type)).then_some(value)
}

/// Whether a type holds all that a text says.
fn is_exact(text: &str, data_type: &DataType) -> bool {
    match data_type {
        DataType::Date32 | DataType::Date64 => !text.contains([':', 'T', ' ']),
        DataType::Timestamp(unit, _) => fraction_digits(text) <= unit_of(*unit).digits(),
        DataType::Float32 => read_f32(text.as_bytes(), Exactness::Value).is_some(),
        DataType::Float64 => read_f64(text.as_bytes(), Exactness::Value).is_some(),
        _ => true,
    }
}

/// The digits of a second's fraction that say something.
fn fraction_digits(text: &str) -> usize {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
    fraction[..end].trim_end_matches('0').len()
}

/// More digits than these do not survive the parser of a job file, unless they are within quotes.
const NUMBER_DIGITS: usize = 15;

/// Whether a number without quotes may have been rounded before it came here.
fn may_be_rounded(value: &Value) -> bool {
    let Value::Number(text) = value else { return false };
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.chars().filter(char::is_ascii_digit).count();
    text.contains(['.', 'e', 'E']) && digits > NUMBER_DIGITS
}

fn number(text: &str, data_type: &DataType) -> Option<ScalarValue> {
    match *data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => {
            let value = read_decimal(text.as_bytes(), precision, scale)?;
            ScalarValue::Decimal128(Some(value), precision, scale).cast_to(data_type).ok()
        }
        DataType::Decimal256(_, scale) => {
            let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
            let is_exact = fraction.len() <= usize::try_from(scale).unwrap_or(0);
            parse(text, data_type).filter(|_| is_exact && !text.contains(['e', 'E']))
        }
        _ => parse(text, data_type),
    }
}

fn wanted(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "write true or false".into(),
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => {
            format!("write a number with at most {scale} digits behind the point")
        }
        _ if data_type.is_integer() => "write a whole number within its bounds".into(),
        _ if data_type.is_numeric() => "write a number".into(),
        DataType::Date32 | DataType::Date64 => "write a date, such as \"2026-11-20\"".into(),
        DataType::Timestamp(_, _) => "write a timestamp, such as \"2026-11-20T06:00:00Z\"".into(),
        _ if is_text(data_type) => {
            "write a text, within quotes; cast the column in an `sql` step if its texts are numbers"
                .into()
        }
        _ => "check another column, or cast it in an `sql` step".into(),
    }
}
