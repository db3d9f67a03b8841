//! The values of parameters: read strictly, each by its type.

use chrono::{NaiveDate, NaiveDateTime, Timelike};
use serde_json::Value;

use crate::config::raw::RawParameterType as ParameterType;
use crate::error::{Error, Result};
use crate::grant::shown;

/// The longest text.
const TEXT_LIMIT_BYTES: usize = 8_192;

/// The most digits of a decimal: what every database can hold.
const DECIMAL_LIMIT_DIGITS: usize = 38;

/// The most of a value that an error shows.
const SHOWN_LIMIT_CHARS: usize = 60;

/// A value, of one of the types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ParameterValue {
    Text(String),
    Integer(i64),
    Decimal(Decimal),
    Date(NaiveDate),
    Timestamp(NaiveDateTime),
    Boolean(bool),
}

/// A decimal number, with all of its digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    text: String,
    /// All of its digits.
    pub(super) precision: usize,
    /// The digits behind the point.
    pub(super) scale: usize,
}

impl ParameterValue {
    /// Reads what somebody wrote for a value of a type.
    pub(super) fn read(kind: ParameterType, written: &Value) -> Result<Self> {
        match (kind, written) {
            (ParameterType::Boolean, Value::Bool(value)) => Ok(Self::Boolean(*value)),
            (ParameterType::Integer | ParameterType::Decimal, Value::Number(number))
                if !number.is_f64() =>
            {
                Self::parse(kind, &number.to_string())
            }
            (_, Value::String(text)) => Self::parse(kind, text),
            (ParameterType::Decimal, Value::Number(number)) => {
                Err(Error::config(format!("{number} is written as a number, which loses digits"))
                    .with_hint(format!("write it within quotes: \"{number}\"")))
            }
            _ => Err(refused(kind, &written.to_string())),
        }
    }

    fn parse(kind: ParameterType, text: &str) -> Result<Self> {
        if text.len() > TEXT_LIMIT_BYTES {
            return Err(Error::config(format!(
                "the value has {} bytes, and {TEXT_LIMIT_BYTES} are allowed",
                text.len()
            ))
            .with_hint("put long texts into a table or a file, and query that"));
        }
        let value = match kind {
            ParameterType::Text => Some(Self::Text(text.to_owned())),
            ParameterType::Integer => parse_integer(text).map(Self::Integer),
            ParameterType::Decimal => Decimal::parse(text).map(Self::Decimal),
            ParameterType::Date => parse_date(text).map(Self::Date),
            ParameterType::Timestamp => parse_timestamp(text).map(Self::Timestamp),
            ParameterType::Boolean => parse_boolean(text).map(Self::Boolean),
        };
        value.ok_or_else(|| refused(kind, text))
    }

    /// As a text, from which the same value is read.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Integer(value) => value.to_string(),
            Self::Decimal(value) => value.text.clone(),
            Self::Date(value) => value.to_string(),
            Self::Timestamp(value) => value.format("%Y-%m-%dT%H:%M:%S%.f").to_string(),
            Self::Boolean(value) => value.to_string(),
        }
    }

    /// As JSON, from which the same value is read.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Integer(value) => (*value).into(),
            Self::Boolean(value) => (*value).into(),
            other => other.text().into(),
        }
    }
}

impl Decimal {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", text),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (digits, None),
        };
        let is_number =
            |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        if !is_number(whole) || !fraction.is_none_or(is_number) {
            return None;
        }
        let significant = whole.trim_start_matches('0');
        let scale = fraction.map_or(0, str::len);
        let precision = (significant.len() + scale).max(1);
        let whole = if significant.is_empty() { "0" } else { significant };
        let fraction = fraction.map(|digits| format!(".{digits}")).unwrap_or_default();
        let text = format!("{sign}{whole}{fraction}");
        (precision <= DECIMAL_LIMIT_DIGITS).then_some(Self { text, precision, scale })
    }

    /// Its digits, with its sign and its point.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

fn parse_integer(text: &str) -> Option<i64> {
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

fn parse_boolean(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn parse_date(text: &str) -> Option<NaiveDate> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    // Only one text stands for a date, and the years have four digits.
    (date.to_string() == text && !text.starts_with("0000")).then_some(date)
}

fn parse_timestamp(text: &str) -> Option<NaiveDateTime> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once(['T', ' '])?;
    let time = if time.len() == 5 { format!("{time}:00") } else { time.to_owned() };
    let (seconds, fraction) = time.split_once('.').unwrap_or((&time, "0"));
    let is_fraction =
        (1..=6).contains(&fraction.len()) && fraction.bytes().all(|digit| digit.is_ascii_digit());
    let clock = chrono::NaiveTime::parse_from_str(&time, "%H:%M:%S%.f").ok()?;
    let is_exact =
        clock.format("%H:%M:%S").to_string() == seconds && clock.nanosecond() < 1_000_000_000;
    (is_fraction && is_exact).then(|| Some(parse_date(date)?.and_time(clock))).flatten()
}

fn refused(kind: ParameterType, text: &str) -> Error {
    let text = if text.chars().count() > SHOWN_LIMIT_CHARS {
        format!("{}..", text.chars().take(SHOWN_LIMIT_CHARS).collect::<String>())
    } else {
        text.to_owned()
    };
    let (what, hint) = match kind {
        ParameterType::Text => ("a text", "write it within quotes"),
        ParameterType::Integer => ("a whole number of 64 bits", "write it as in 42"),
        ParameterType::Decimal => ("a decimal of up to 38 digits", "write it as in \"12.50\""),
        ParameterType::Date => ("a date", "write it as in 2026-11-20"),
        ParameterType::Timestamp => {
            ("a timestamp in UTC", "write it as in 2026-11-20T06:00:00, without another zone")
        }
        ParameterType::Boolean => ("true or false", "write one of the two"),
    };
    Error::config(format!("`{}` is not {what}", shown(&text))).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(kind: ParameterType, written: Value) -> Option<String> {
        ParameterValue::read(kind, &written).ok().map(|value| value.text())
    }

    #[test]
    fn a_value_is_read_by_its_type() {
        use ParameterType::{Boolean, Date, Decimal, Integer, Text, Timestamp};
        for (kind, written, text) in [
            (Text, json!(""), Some("")),
            (Text, json!(7), None),
            (Integer, json!("-42"), Some("-42")),
            (Integer, json!(42), Some("42")),
            (Integer, json!("+42"), None),
            (Integer, json!("4 2"), None),
            (Integer, json!(4.0), None),
            (Integer, json!("9223372036854775808"), None),
            (Decimal, json!("-012.50"), Some("-12.50")),
            (Decimal, json!("0"), Some("0")),
            (Decimal, json!(12), Some("12")),
            (Decimal, json!(12.5), None),
            (Decimal, json!("1e3"), None),
            (Decimal, json!(".5"), None),
            (Decimal, json!("5."), None),
            (Decimal, json!("9".repeat(38)), Some("99999999999999999999999999999999999999")),
            (Decimal, json!("9".repeat(39)), None),
            (Date, json!("2026-11-20"), Some("2026-11-20")),
            (Date, json!("2026-02-29"), None),
            (Date, json!("2026-1-5"), None),
            (Date, json!("0000-01-01"), None),
            (Date, json!("12026-01-01"), None),
            (Timestamp, json!("2026-11-20 06:00"), Some("2026-11-20T06:00:00")),
            (Timestamp, json!("2026-11-20T06:00:00.5Z"), Some("2026-11-20T06:00:00.500")),
            (Timestamp, json!("2026-11-20T06:00:00.1234567"), None),
            (Timestamp, json!("2026-11-20T06:00:60"), None),
            (Timestamp, json!("2026-11-20T06:00:00+01:00"), None),
            (Timestamp, json!("2026-11-20"), None),
            (Boolean, json!(true), Some("true")),
            (Boolean, json!("false"), Some("false")),
            (Boolean, json!("yes"), None),
        ] {
            assert_eq!(read(kind, written.clone()).as_deref(), text, "{kind:?} {written}");
        }
    }

    proptest! {
        #[test]
        fn a_value_is_read_back_from_what_is_recorded(
            text in ".*", integer in any::<i64>(), decimal in "-?[0-9]{1,19}(\\.[0-9]{1,19})?",
            seconds in -62_135_596_800_i64..253_402_300_800, micros in 0_u32..1_000_000,
        ) {
            let moment = chrono::DateTime::from_timestamp(seconds, micros * 1_000).unwrap().naive_utc();
            for (kind, value) in [
                (ParameterType::Text, ParameterValue::Text(text)),
                (ParameterType::Integer, ParameterValue::Integer(integer)),
                (ParameterType::Decimal, ParameterValue::read(ParameterType::Decimal, &json!(decimal)).unwrap()),
                (ParameterType::Date, ParameterValue::Date(moment.date())),
                (ParameterType::Timestamp, ParameterValue::Timestamp(moment)),
            ] {
                prop_assert_eq!(&ParameterValue::read(kind, &value.json()).unwrap(), &value);
                prop_assert_eq!(ParameterValue::read(kind, &value.text().into()).unwrap(), value);
            }
        }
    }
}
