//! Dates and moments as people write them, by Arrow's own rules.

use arrow::array::types::ArrowPrimitiveType;
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::datatypes::{Date32Type, TimeUnit};
use chrono::{DateTime, Utc};

/// Where a date ends in a text that says the time, too.
const TIME_MARKS: [char; 3] = ['T', 't', ' '];

/// `2026-1-5`, `20260105`; a time of the day is cut off, and not moved to another zone.
pub(super) fn date_loosely(text: &str) -> Option<<Date32Type as ArrowPrimitiveType>::Native> {
    match text.split_once(TIME_MARKS) {
        None => Date32Type::parse(text).filter(|_| text.len() <= "2026-01-05".len()),
        Some((date, _)) => {
            string_to_datetime(&Utc, text).ok().and_then(|_| Date32Type::parse(date))
        }
    }
}

/// A moment, or the beginning of a day. With an offset it is the instant, in UTC; without, what a clock in UTC
/// showed. Digits of a second that have no room are cut off.
pub(super) fn moment_loosely(text: &str, unit: TimeUnit) -> Option<i64> {
    let moment: DateTime<Utc> = string_to_datetime(&Utc, text).ok()?;
    match unit {
        TimeUnit::Nanosecond => moment.timestamp_nanos_opt(),
        _ => Some(moment.timestamp_micros()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_spellings_are_the_same_day_and_moment() {
        for text in ["1970-1-2", "19700102", "1970-01-02T23:00:00-05:00", "1970-01-02 00:00:00"] {
            assert_eq!(date_loosely(text), Some(1), "{text}");
        }
        for text in ["1970-01-32", "x", "1970-01-02 x", "", "2"] {
            assert_eq!(date_loosely(text), None, "{text}");
        }
        for text in ["1970-01-01 00:00:01.1234567", "1970-01-01T02:00:01.123456+02:00"] {
            assert_eq!(moment_loosely(text, TimeUnit::Microsecond), Some(1_123_456), "{text}");
        }
        assert_eq!(moment_loosely("1970-01-02", TimeUnit::Nanosecond), Some(86_400_000_000_000));
        assert_eq!(moment_loosely("2300-01-01 00:00:00", TimeUnit::Nanosecond), None);
        assert_eq!(moment_loosely("24:00", TimeUnit::Nanosecond), None);
    }
}
