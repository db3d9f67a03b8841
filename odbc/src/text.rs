//! Numbers and moments, read from texts.

use chrono::NaiveDate;
use odbc_api::sys::{Date, Timestamp};

/// Days from 1970-01-01, by the Gregorian calendar also before it was made.
pub fn days(date: Date) -> Option<i32> {
    let Date { year, month, day } = date;
    Some(NaiveDate::from_ymd_opt(year.into(), month.into(), day.into())?.to_epoch_days())
}

/// Units from 1970-01-01T00:00:00, of so many to a second; nothing if it is no moment, does not fit, or
/// has finer fractions.
pub fn moment(at: Timestamp, per_second: i64) -> Option<i64> {
    let date = Date { year: at.year, month: at.month, day: at.day };
    let seconds_of_day =
        i64::from(at.hour) * 3_600 + i64::from(at.minute) * 60 + i64::from(at.second);
    if at.hour > 23 || at.minute > 59 || at.second > 59 || at.fraction > 999_999_999 {
        return None;
    }
    let seconds = i64::from(days(date)?) * 86_400 + seconds_of_day;
    let units = seconds.checked_mul(per_second)?;
    units.checked_add(fraction(i64::from(at.fraction), per_second)?)
}

/// Nanoseconds, in units of which so many are a second.
fn fraction(nanos: i64, per_second: i64) -> Option<i64> {
    let per_unit = 1_000_000_000 / per_second;
    (nanos % per_unit == 0).then_some(nanos / per_unit)
}

/// A decimal number, in units of its last digit; nothing if it is none, or has more digits than it may.
pub fn decimal(text: &[u8], precision: u8, scale: i8) -> Option<i128> {
    let (negative, digits) = match text.trim_ascii() {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let mut value = 0_i128;
    let (mut seen, mut behind) = (0, None);
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                let at = behind.map_or(0, |behind: i32| behind + 1);
                behind = behind.map(|behind| behind + 1);
                seen += 1;
                if at > i32::from(scale.max(0)) {
                    // Zeros beyond the scale lose nothing.
                    if byte != b'0' {
                        return None;
                    }
                    continue;
                }
                value = value.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
            }
            b'.' if behind.is_none() => behind = Some(0),
            _ => return None,
        }
    }
    let missing = i32::from(scale) - behind.unwrap_or(0).min(i32::from(scale.max(0)));
    for _ in 0..missing {
        value = value.checked_mul(10)?;
    }
    let limit = 10_i128.checked_pow(precision.into())?;
    (seen > 0 && value < limit).then_some(if negative { -value } else { value })
}

/// `12:34:56.789`, in units of which so many are a second.
pub fn time_of_day(text: &[u8], per_second: i64) -> Option<i64> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let (clock, fraction_text) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = clock.split(':').map(|part| match part.len() {
        1 | 2 => part.parse::<u8>().ok(),
        _ => None,
    });
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second);
    Some(seconds * per_second + fraction(nanos(fraction_text)?, per_second)?)
}

/// Digits behind a second's point, as nanoseconds.
fn nanos(digits: &str) -> Option<i64> {
    let digits = digits.trim_end_matches('0');
    if digits.len() > 9 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{digits:0<9}").parse().ok()
}

/// `2026-11-20`, or its midnight.
pub fn date(text: &[u8]) -> Option<Date> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let (text, clock) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    if time_of_day(clock.as_bytes(), 1) != Some(0) {
        return None;
    }
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => (-1, text),
        None => (1, text),
    };
    let mut parts = text.split('-');
    let year = parts.next().filter(|year| year.len() >= 4)?.parse::<i16>().ok()?;
    let (month, day) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(Date { year: sign * year, month, day })
}

/// `2026-11-20 12:34:56.789`, also with a `T`, and with an offset behind it: `Z`, `+01`, `+01:30`,
/// ` -08:00`. In units from 1970-01-01T00:00:00Z, of so many to a second.
pub fn timestamp(text: &[u8], per_second: i64) -> Option<i64> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let (day, clock) = match text.split_once(['T', ' ']) {
        Some((day, clock)) => (day, clock.trim()),
        None => (text, "00:00"),
    };
    let days = i64::from(days(date(day.as_bytes())?)?);
    let (clock, offset_seconds) = match clock.find(['Z', '+', '-']) {
        Some(at) => (clock[..at].trim_end(), offset(&clock[at..])?),
        None => (clock, 0),
    };
    let of_day = time_of_day(clock.as_bytes(), per_second)?;
    let seconds = days * 86_400 - offset_seconds;
    seconds.checked_mul(per_second)?.checked_add(of_day)
}

fn offset(text: &str) -> Option<i64> {
    let (sign, clock) = match text.split_at(1) {
        ("Z", "") => return Some(0),
        ("+", clock) => (1, clock),
        ("-", clock) => (-1, clock),
        _ => return None,
    };
    let padded = if clock.len() <= 2 { format!("{clock}:00") } else { clock.to_owned() };
    Some(sign * time_of_day(padded.as_bytes(), 1)?)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    const MICROS: i64 = 1_000_000;

    #[test]
    fn days_count_from_1970() {
        let day = |year, month, day| days(Date { year, month, day });
        assert_eq!(day(1970, 1, 1), Some(0));
        assert_eq!(day(2000, 2, 29), Some(11_016));
        assert_eq!(day(1969, 12, 31), Some(-1));
        assert_eq!(day(1, 1, 1), Some(-719_162));
        assert_eq!(day(9999, 12, 31), Some(2_932_896));
        assert_eq!(day(1900, 2, 29), None);
        assert_eq!(day(0, 0, 0), None);
    }

    #[test]
    fn a_date_may_be_written_as_its_midnight() {
        let read = |text: &str| date(text.as_bytes()).and_then(days);
        assert_eq!(read("1970-01-02"), Some(1));
        assert_eq!(read("1970-01-02 00:00:00.000"), Some(1));
        assert_eq!(read("1970-01-02T00:00:01"), None);
        assert_eq!(read("1970-13-01"), None);
    }

    #[test]
    fn a_decimal_has_no_more_than_its_digits() {
        let read = |text: &str| decimal(text.as_bytes(), 5, 2);
        assert_eq!(read("123.45"), Some(12_345));
        assert_eq!(read("-.5"), Some(-50));
        assert_eq!(read("+7"), Some(700));
        assert_eq!(read("1.2300"), Some(123));
        assert_eq!(read("1.234"), None);
        assert_eq!(read("1234"), None);
        assert_eq!(read(""), None);
        assert_eq!(read("NaN"), None);
        assert_eq!(read("1e3"), None);
        assert_eq!(read("."), None);
    }

    #[test]
    fn moments_are_read_with_their_fractions_and_offsets() {
        let read = |text: &str| timestamp(text.as_bytes(), MICROS);
        assert_eq!(read("1970-01-01 00:00:01.5"), Some(1_500_000));
        assert_eq!(read("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(read("1970-01-01 00:00:00 -08"), Some(28_800_000_000));
        assert_eq!(read("1970-01-01"), Some(0));
        assert_eq!(read("1970-01-01 00:00:00.0000001"), None, "finer than a microsecond");
        assert_eq!(read("infinity"), None);
        assert_eq!(read("1970-01-01 24:00:00"), None);
    }

    proptest! {
        #[test]
        fn every_decimal_comes_back(value in -99_999_999_999_i128..99_999_999_999) {
            let (sign, digits) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
            let text = format!("{sign}{}.{:03}", digits / 1_000, digits % 1_000);
            prop_assert_eq!(decimal(text.as_bytes(), 38, 3), Some(value));
        }

        #[test]
        fn every_moment_comes_back(days in -719_162_i64..2_932_896, micros in 0..86_400_000_000_i64) {
            let all = days * 86_400 * MICROS + micros;
            let text = written(all);
            prop_assert_eq!(timestamp(text.as_bytes(), MICROS), Some(all));
        }

        #[test]
        fn no_text_makes_them_panic(text: Vec<u8>) {
            decimal(&text, 38, 10);
            timestamp(&text, 1_000_000_000);
            time_of_day(&text, 1_000_000_000);
        }
    }

    fn written(micros: i64) -> String {
        let moment = DateTime::from_timestamp_micros(micros).unwrap();
        moment.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
    }
}
