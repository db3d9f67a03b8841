//! Values that HiveServer2 writes as texts.

use longshore_sdk::schema::TimeUnit;
use longshore_sdk::{Error, Result};

/// `-12.50` with so many digits after the point.
pub fn decimal(text: &[u8], precision: u8, scale: i8) -> Result<i128> {
    let wrong = || value("a decimal", text);
    let (is_negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (mut number, mut count, mut after_point) = (0_i128, 0, None);
    for byte in digits {
        match byte {
            b'0'..=b'9' => {
                count += 1;
                after_point = after_point.map(|after| after + 1);
                number = number
                    .checked_mul(10)
                    .and_then(|number| number.checked_add(i128::from(byte - b'0')))
                    .ok_or_else(wrong)?;
            }
            b'.' if after_point.is_none() => after_point = Some(0),
            _ => return Err(wrong()),
        }
    }
    let after_point: i8 = after_point.unwrap_or(0);
    let missing = u32::try_from(scale - after_point).map_err(|_| wrong())?;
    let number = 10_i128.checked_pow(missing).and_then(|power| number.checked_mul(power));
    let number = number.ok_or_else(wrong)?;
    let limit = 10_i128.checked_pow(precision.into()).unwrap_or(i128::MAX);
    if count > 0 && number < limit {
        return Ok(if is_negative { -number } else { number });
    }
    Err(wrong())
}

/// `2013-01-31`, in days since 1970.
pub fn date(text: &[u8]) -> Result<i32> {
    parse_date(text).and_then(|days| i32::try_from(days).ok()).ok_or_else(|| value("a date", text))
}

/// `2013-01-31 23:59:59.123456789`, since 1970 in a unit that must hold all of its digits.
pub fn timestamp(text: &[u8], unit: TimeUnit) -> Result<i64> {
    let wrong = || value("a timestamp", text);
    let (day, time) = match text.iter().position(|byte| matches!(byte, b' ' | b'T')) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, b"00:00:00".as_slice()),
    };
    let days = parse_date(day).ok_or_else(wrong)?;
    let (clock, fraction) = match time.iter().position(|byte| *byte == b'.') {
        Some(at) => (&time[..at], &time[at + 1..]),
        None => (time, b"".as_slice()),
    };
    let [hour, minute, second] = three(clock, b':').ok_or_else(wrong)?;
    let nanos = nanos(fraction).ok_or_else(wrong)?;
    if hour > 23 || minute > 59 || second > 60 {
        return Err(wrong());
    }
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    let (per_second, nanos_per_unit) = match unit {
        TimeUnit::Nanosecond => (1_000_000_000, 1),
        _ => (1_000_000, 1_000),
    };
    if nanos % nanos_per_unit != 0 {
        return Err(value("a timestamp of microseconds", text).with_hint(
            "give `timestamps: nanoseconds` (from 1677 to 2262) or `timestamps: text`",
        ));
    }
    let whole = seconds.checked_mul(per_second);
    whole.and_then(|whole| whole.checked_add(nanos / nanos_per_unit)).ok_or_else(|| {
        value("a timestamp between 1677 and 2262", text)
            .with_hint("give `timestamps: microseconds` or `timestamps: text`")
    })
}

fn value(what: &str, text: &[u8]) -> Error {
    let shown: String = String::from_utf8_lossy(text).chars().take(60).collect();
    Error::data(format!("`{shown}` is not {what}"))
}

fn parse_date(text: &[u8]) -> Option<i64> {
    let (is_before, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let [year, month, day] = three(text, b'-')?;
    let year = if is_before { -year } else { year };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (1..=days).contains(&day).then(|| days_since_1970(year, month, day))
}

/// Days in the proleptic Gregorian calendar; years begin in March, so that leap days come last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Three numbers between separators.
fn three(text: &[u8], separator: u8) -> Option<[i64; 3]> {
    let mut parts = text.split(|byte| *byte == separator).map(number);
    let three = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(three)
}

/// At most nine digits.
fn number(digits: &[u8]) -> Option<i64> {
    let is_number = (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

/// Digits behind a point, as nanoseconds; of ten and more only zeros.
fn nanos(fraction: &[u8]) -> Option<i64> {
    if fraction.is_empty() {
        return Some(0);
    }
    let (digits, beyond) = fraction.split_at(fraction.len().min(9));
    let missing = u32::try_from(9 - digits.len()).ok()?;
    let nanos = number(digits)? * 10_i64.pow(missing);
    beyond.iter().all(|digit| *digit == b'0').then_some(nanos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_are_exact_or_refused() {
        assert_eq!(decimal(b"-12.5", 5, 2).unwrap(), -1_250);
        assert_eq!(decimal(b"0.00", 5, 2).unwrap(), 0);
        assert_eq!(
            decimal(b"99999999999999999999999999999999999999", 38, 0).unwrap(),
            10_i128.pow(38) - 1
        );
        for wrong in ["", "-", ".", "1e5", "1.234", "1000.00", "1.2.3", "x"] {
            assert!(decimal(wrong.as_bytes(), 5, 2).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_exact_or_refused() {
        let micros = |text: &str| timestamp(text.as_bytes(), TimeUnit::Microsecond);
        assert_eq!(micros("1970-01-01 00:00:00").unwrap(), 0);
        assert_eq!(micros("1969-12-31 23:59:59.5").unwrap(), -500_000);
        assert_eq!(micros("9999-12-31 23:59:59.999999").unwrap(), 253_402_300_799_999_999);
        assert_eq!(
            timestamp(b"2000-01-01 00:00:00.000000001", TimeUnit::Nanosecond).unwrap(),
            946_684_800_000_000_001
        );
        assert_eq!(
            micros("2013-01-01T01:02:03").unwrap(),
            micros("2013-01-01 01:02:03.000").unwrap()
        );
        assert!(micros("2000-01-01 00:00:00.000000001").is_err());
        assert!(timestamp(b"9999-12-31 00:00:00", TimeUnit::Nanosecond).is_err());
        for wrong in [
            "",
            "2013-02-29 00:00:00",
            "2013-13-01",
            "2013-01-01 24:00:00",
            "2013-01-01 1:2",
            "now",
        ] {
            assert!(micros(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_day_is_found(days in -1_000_000_i64..3_000_000) {
            // From the day's number to the calendar by counting years.
            let (mut year, mut left) = (1970_i64, days);
            let length = |year: i64| if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) { 366 } else { 365 };
            while left < 0 { year -= 1; left += length(year); }
            while left >= length(year) { left -= length(year); year += 1; }
            let months = [31, if length(year) == 366 { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            let mut month = 0;
            while left >= months[month] { left -= months[month]; month += 1; }
            let text = if year < 0 {
                format!("-{:04}-{:02}-{:02}", -year, month + 1, left + 1)
            } else {
                format!("{year:04}-{:02}-{:02}", month + 1, left + 1)
            };
            prop_assert_eq!(date(text.as_bytes()).unwrap(), days as i32);
        }
    }
}
