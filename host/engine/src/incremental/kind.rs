//! What a watched column holds, and the one text that stands for each of its values.

use arrow::datatypes::{DataType, Field};
use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};
use longshore_model::config::Dialect;
use longshore_model::config::incremental::Lag;
use longshore_model::error::{Error, Result};
use longshore_model::watermark::ValueOrder;

/// The longest text.
const TEXT_LIMIT_BYTES: usize = 1_000;

/// The kind of values in a watched column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whole numbers.
    Integer,
    /// PostgreSQL's transactions: `xid8`.
    Transaction,
    /// Decimal numbers.
    Decimal,
    Date,
    /// Dates with a time, without a zone.
    Timestamp,
    /// Moments, written in UTC.
    Instant,
    /// Texts that are compared byte by byte.
    Text,
}

impl Kind {
    /// The order of its values.
    pub(super) fn order(self) -> ValueOrder {
        match self {
            Self::Text => ValueOrder::Bytes,
            _ => ValueOrder::Value,
        }
    }

    /// The kind of a column; none where its values do not tell what is new.
    pub(super) fn of(dialect: Dialect, field: &Field, source_type: &str) -> Option<Self> {
        let kind = Self::by_type(field.data_type(), &source_type.to_ascii_lowercase())?;
        let is_known = match (dialect, kind) {
            // Dates are texts there, and decimals are floats.
            (Dialect::Sqlite, Self::Date | Self::Timestamp) => return Some(Self::Text),
            (Dialect::Sqlite, Self::Decimal) => false,
            (Dialect::PostgreSql, _) => true,
            (Dialect::Hive | Dialect::Sqlite | Dialect::DataFusion, Self::Text) => true,
            (_, Self::Text | Self::Transaction) => false,
            (Dialect::Hive | Dialect::Unknown, Self::Instant) => false,
            _ => true,
        };
        is_known.then_some(kind)
    }

    fn by_type(data_type: &DataType, source_type: &str) -> Option<Self> {
        match data_type {
            // Its texts have a sign of the currency, as the server's language has it.
            _ if source_type == "money" => None,
            data_type if data_type.is_integer() => Some(Self::Integer),
            DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal128(..)
            | DataType::Decimal256(..) => Some(Self::Decimal),
            DataType::Date32 => Some(Self::Date),
            DataType::Timestamp(_, None) => Some(Self::Timestamp),
            DataType::Timestamp(_, Some(_)) => Some(Self::Instant),
            DataType::Utf8 => Self::by_name(source_type),
            _ => None,
        }
    }

    /// Of what is moved as text, by the source's own word for its type.
    fn by_name(source_type: &str) -> Option<Self> {
        let name = source_type.split('(').next().unwrap_or_default().trim();
        let has_zone =
            source_type.ends_with("with time zone") || source_type.starts_with("timestamptz");
        match name {
            "xid8" => Some(Self::Transaction),
            "numeric" | "decimal" => Some(Self::Decimal),
            "date" => Some(Self::Date),
            "text" | "string" | "folder" | "varchar" | "character varying" => Some(Self::Text),
            name if name.starts_with("timestamp") && has_zone => Some(Self::Instant),
            name if name.starts_with("timestamp") && name.ends_with("local time zone") => None,
            name if name.starts_with("timestamp") => Some(Self::Timestamp),
            _ => None,
        }
    }

    /// Reads a value: the one text that stands for it.
    pub(super) fn read(self, text: &str) -> Result<String> {
        let trimmed = text.trim();
        let value = match self {
            Self::Integer => trimmed.parse::<i128>().ok().map(|number| number.to_string()),
            Self::Transaction => trimmed.parse::<u64>().ok().map(|number| number.to_string()),
            Self::Decimal => is_decimal(trimmed).then(|| trimmed.to_owned()),
            Self::Date => date(trimmed).map(|date| date.format("%Y-%m-%d").to_string()),
            Self::Timestamp => moment(trimmed).map(written),
            Self::Instant => instant(trimmed).map(written),
            Self::Text => {
                let fits = text.len() <= TEXT_LIMIT_BYTES && !text.contains('\0');
                fits.then(|| text.to_owned())
            }
        };
        value.ok_or_else(|| {
            let (what, hint) = self.described();
            Error::config(format!("`{text}` is not {what}")).with_hint(hint)
        })
    }

    fn described(self) -> (&'static str, &'static str) {
        match self {
            Self::Integer => ("a whole number", "write it as in 42"),
            Self::Transaction => ("a transaction's number", "write it as in 42"),
            Self::Decimal => ("a decimal number", "write it as in \"12.50\""),
            Self::Date => ("a date of the years 1 to 9999", "write it as in 2026-11-20"),
            Self::Timestamp => (
                "a date and a time of the years 1 to 9999",
                "write it as in \"2026-11-20 14:30:00\"; leave rows with infinity out in a query",
            ),
            Self::Instant => (
                "a moment of the years 1 to 9999",
                "write it as in \"2026-11-20T14:30:00Z\"; leave rows with infinity out in a query",
            ),
            Self::Text => ("a text of up to 1,000 bytes", "watch another column"),
        }
    }

    /// Whether a value lies before another one.
    pub(super) fn is_before(self, one: &str, other: &str) -> bool {
        match self {
            Self::Integer | Self::Transaction => {
                one.parse::<i128>().ok() < other.parse::<i128>().ok()
            }
            Self::Decimal => digits(one).zip(digits(other)).is_some_and(|(one, other)| {
                let (one, other, _) = aligned(one, other);
                one < other
            }),
            Self::Date | Self::Timestamp | Self::Instant | Self::Text => one < other,
        }
    }

    /// The value that lies so far before another one.
    pub(super) fn before(self, value: &str, lag: &Lag) -> Result<String> {
        let earlier = match (self, lag) {
            (Self::Integer, Lag::Number(lag)) => {
                let numbers = value.parse::<i128>().ok().zip(lag.parse::<i128>().ok());
                numbers.map(|(value, lag)| (value - lag).to_string())
            }
            (Self::Transaction, Lag::Number(lag)) => {
                let numbers = value.parse::<u64>().ok().zip(lag.parse::<u64>().ok());
                numbers.map(|(value, lag)| value.saturating_sub(lag).to_string())
            }
            (Self::Decimal, Lag::Number(lag)) => digits(value)
                .zip(digits(lag))
                .map(|(value, lag)| aligned(value, lag))
                .and_then(|(value, lag, scale)| Some(decimal(value.checked_sub(lag)?, scale))),
            (Self::Date, Lag::Time(lag)) if lag.num_seconds() % 86_400 == 0 => {
                let earlier = date(value).and_then(|date| date.checked_sub_signed(*lag));
                earlier.map(|date| date.format("%Y-%m-%d").to_string())
            }
            (Self::Timestamp | Self::Instant, Lag::Time(lag)) => {
                let earlier = moment(value).and_then(|moment| moment.checked_sub_signed(*lag));
                earlier.map(written)
            }
            _ => None,
        };
        earlier.ok_or_else(|| {
            let hint = match self {
                Self::Integer | Self::Transaction => "give a whole number, such as 1000",
                Self::Decimal => "give a number, such as \"0.50\"",
                Self::Date => "give whole days, such as 2d",
                Self::Timestamp | Self::Instant => "give a duration, such as 2h",
                Self::Text => "remove it: nothing can be taken from a text",
            };
            Error::config("`incremental.lag` does not fit its column").with_hint(hint)
        })
    }
}

fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    all(whole) && all(fraction)
}

/// A decimal's digits as a whole number, and how many of them are behind the point.
fn digits(text: &str) -> Option<(i128, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    Some((format!("{whole}{fraction}").parse().ok()?, fraction.len() as u32))
}

/// Two decimals with as many digits behind the point.
fn aligned((one, scale): (i128, u32), (other, by): (i128, u32)) -> (i128, i128, u32) {
    let most = scale.max(by);
    let raised =
        |value: i128, scale: u32| value.saturating_mul(10_i128.saturating_pow(most - scale));
    (raised(one, scale), raised(other, by), most)
}

fn decimal(value: i128, scale: u32) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let width = scale as usize + 1;
    let digits = format!("{:0width$}", value.unsigned_abs());
    let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

/// A date, of a year with four digits.
fn date(text: &str) -> Option<NaiveDate> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    (text.len() == 10 && date >= NaiveDate::from_ymd_opt(1, 1, 1)?).then_some(date)
}

/// A date and a time; midnight where there is only a date.
fn moment(text: &str) -> Option<NaiveDateTime> {
    let Some((day, time)) = text.split_once(['T', ' ']) else {
        return Some(date(text)?.and_time(NaiveTime::MIN));
    };
    let time = NaiveTime::parse_from_str(time, "%H:%M:%S%.f")
        .or_else(|_| NaiveTime::parse_from_str(time, "%H:%M"))
        .ok()?;
    (time.nanosecond() < 1_000_000_000).then_some(date(day)?.and_time(time))
}

/// A moment in UTC; what names no offset is in UTC.
fn instant(text: &str) -> Option<NaiveDateTime> {
    let Some(at) = text.rfind(['+', '-', 'Z']).filter(|at| *at > 10) else { return moment(text) };
    let local = moment(text[..at].trim_end())?;
    let offset = match &text[at..] {
        "Z" => "+00:00".to_owned(),
        hours if hours.len() == 3 => format!("{hours}:00"),
        hours => hours.to_owned(),
    };
    let zone: FixedOffset =
        DateTime::parse_from_str(&format!("2000-01-01 00:00:00 {offset}"), "%F %T %z")
            .ok()
            .map(|moment| *moment.offset())?;
    local.checked_sub_signed(TimeDelta::seconds(zone.local_minus_utc().into()))
}

/// As it is written: no digit more than there is.
fn written(moment: NaiveDateTime) -> String {
    let text = moment.format("%Y-%m-%d %H:%M:%S%.f").to_string();
    if text.contains('.') { text.trim_end_matches('0').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::TimeUnit;

    use super::*;

    fn of(dialect: Dialect, data_type: DataType, words: &str) -> Option<Kind> {
        Kind::of(dialect, &Field::new("c", data_type, true), words)
    }

    #[test]
    fn a_column_that_tells_what_is_new_has_a_kind() {
        use DataType::{Date32, Float64, Int64, Utf8};
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let plain = DataType::Timestamp(TimeUnit::Microsecond, None);
        for (dialect, data_type, words, kind) in [
            (Dialect::PostgreSql, Int64, "bigint", Some(Kind::Integer)),
            (Dialect::PostgreSql, Utf8, "xid8", Some(Kind::Transaction)),
            (Dialect::PostgreSql, Utf8, "numeric", Some(Kind::Decimal)),
            (Dialect::PostgreSql, Utf8, "character varying(20)", Some(Kind::Text)),
            (Dialect::PostgreSql, Utf8, "timestamp(3) with time zone", Some(Kind::Instant)),
            (Dialect::PostgreSql, Utf8, "citext", None),
            (Dialect::PostgreSql, Float64, "double precision", None),
            (Dialect::PostgreSql, utc.clone(), "timestamp with time zone", Some(Kind::Instant)),
            (Dialect::MySql, Utf8, "varchar(20)", None),
            (Dialect::Hive, Utf8, "string", Some(Kind::Text)),
            (Dialect::Hive, plain.clone(), "timestamp", Some(Kind::Timestamp)),
            (Dialect::Sqlite, plain, "timestamp", Some(Kind::Text)),
            (Dialect::Unknown, utc, "timestamptz", None),
            (Dialect::Unknown, Date32, "date", Some(Kind::Date)),
        ] {
            assert_eq!(of(dialect, data_type, words), kind, "{dialect:?} {words}");
        }
    }

    #[test]
    fn one_text_stands_for_a_value() {
        for (kind, written, value) in [
            (Kind::Integer, "007", "7"),
            (Kind::Decimal, "-12.50", "-12.50"),
            (Kind::Timestamp, "2026-11-20T14:30:00.120000", "2026-11-20 14:30:00.12"),
            (Kind::Timestamp, "2026-11-20 00:00:00.123456789", "2026-11-20 00:00:00.123456789"),
            (Kind::Timestamp, "2026-11-20", "2026-11-20 00:00:00"),
            (Kind::Instant, "2026-11-20 01:30:00+02", "2026-11-19 23:30:00"),
            (Kind::Instant, "2026-11-20T01:30:00-05:30", "2026-11-20 07:00:00"),
            (Kind::Instant, "2026-11-20 01:30:00Z", "2026-11-20 01:30:00"),
            (Kind::Instant, "2026-11-20 01:30:00.000001 +00:00", "2026-11-20 01:30:00.000001"),
        ] {
            assert_eq!(kind.read(written).unwrap(), value, "{written}");
        }
        for (kind, wrong) in [
            (Kind::Integer, "1.5"),
            (Kind::Transaction, "-1"),
            (Kind::Decimal, "NaN"),
            (Kind::Date, "infinity"),
            (Kind::Date, "0044-03-15 BC"),
            (Kind::Timestamp, "2026-11-20'; DROP TABLE x"),
            (Kind::Timestamp, "infinity"),
            (Kind::Instant, "2026-11-20 01:30:00+0x"),
            (Kind::Text, "a\0b"),
        ] {
            assert!(kind.read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_lag_is_taken_from_a_value() {
        let number = |text: &str| Lag::Number(text.to_owned());
        let hours = |hours| Lag::Time(TimeDelta::hours(hours));
        for (kind, value, lag, earlier) in [
            (Kind::Integer, "5", number("10"), "-5"),
            (Kind::Transaction, "5", number("10"), "0"),
            (Kind::Decimal, "1.5", number("0.25"), "1.25"),
            (Kind::Decimal, "0.01", number("1"), "-0.99"),
            (Kind::Date, "2026-03-01", hours(24), "2026-02-28"),
            (Kind::Instant, "2026-03-01 00:30:00.5", hours(1), "2026-02-28 23:30:00.5"),
        ] {
            assert_eq!(kind.before(value, &lag).unwrap(), earlier, "{value}");
        }
        assert!(Kind::Date.before("2026-03-01", &hours(5)).is_err());
        assert!(Kind::Integer.before("1", &hours(5)).is_err());
        assert!(Kind::Text.before("1", &number("1")).is_err());
        assert!(Kind::Decimal.is_before("1.10", "1.9") && Kind::Integer.is_before("9", "10"));
    }
}
