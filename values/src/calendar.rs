//! Dates, times and moments: ISO 8601, with as many digits of a year as it needs and a sign from the year
//! 10000 on, over all that the types can hold. No calendar library reaches as far as they do.

/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_EPOCH: i64 = 719_468;
/// Days of 400 years: all of them alike.
const DAYS_PER_ERA: i64 = 146_097;
const SECONDS_PER_DAY: i64 = 86_400;

/// What a whole number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MomentUnit {
    /// Seconds.
    Second,
    /// Thousandths of a second.
    Millisecond,
    /// Millionths of a second.
    Microsecond,
    /// Thousand-millionths of a second.
    Nanosecond,
}

impl MomentUnit {
    /// How many digits of a second's fraction it has.
    pub fn digits(self) -> usize {
        match self {
            Self::Second => 0,
            Self::Millisecond => 3,
            Self::Microsecond => 6,
            Self::Nanosecond => 9,
        }
    }

    fn per_second(self) -> i64 {
        10_i64.pow(self.digits() as u32)
    }
}

/// How a moment is tied to the world's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// Not at all: it is what a clock showed somewhere.
    None,
    /// So many seconds east of UTC when it is written; any offset when it is read.
    Offset(i32),
}

/// Writes days since 1970-01-01 as a date.
pub fn write_date(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(days);
    match year {
        0..=9999 => digits(year, 4, out),
        _ => {
            out.push(if year < 0 { b'-' } else { b'+' });
            digits(year.abs(), 4, out);
        }
    }
    out.push(b'-');
    digits(month, 2, out);
    out.push(b'-');
    digits(day, 2, out);
}

/// Writes a time of the day.
pub fn write_time(value: i64, unit: MomentUnit, out: &mut Vec<u8>) {
    let (seconds, fraction) =
        (value.div_euclid(unit.per_second()), value.rem_euclid(unit.per_second()));
    if seconds < 0 {
        out.push(b'-');
    }
    let seconds = seconds.abs();
    digits(seconds / 3600, 2, out);
    out.push(b':');
    digits(seconds / 60 % 60, 2, out);
    out.push(b':');
    digits(seconds % 60, 2, out);
    write_fraction(fraction, unit, out);
}

/// Writes a moment since 1970-01-01 00:00:00.
pub fn write_moment(value: i64, unit: MomentUnit, zone: Zone, out: &mut Vec<u8>) {
    let (mut seconds, fraction) =
        (value.div_euclid(unit.per_second()), value.rem_euclid(unit.per_second()));
    if let Zone::Offset(offset) = zone {
        seconds += i64::from(offset);
    }
    write_date(seconds.div_euclid(SECONDS_PER_DAY), out);
    out.push(b'T');
    write_time(seconds.rem_euclid(SECONDS_PER_DAY), MomentUnit::Second, out);
    write_fraction(fraction, unit, out);
    match zone {
        Zone::None => {}
        Zone::Offset(0) => out.push(b'Z'),
        Zone::Offset(offset) => {
            out.push(if offset < 0 { b'-' } else { b'+' });
            let minutes = i64::from(offset.abs()) / 60;
            digits(minutes / 60, 2, out);
            out.push(b':');
            digits(minutes % 60, 2, out);
        }
    }
}

/// Thousandths, millionths or thousand-millionths, whichever suffices.
fn write_fraction(fraction: i64, unit: MomentUnit, out: &mut Vec<u8>) {
    if fraction == 0 {
        return;
    }
    let (mut fraction, mut count) = (fraction, unit.digits());
    while count > 3 && fraction % 1000 == 0 {
        fraction /= 1000;
        count -= 3;
    }
    out.push(b'.');
    digits(fraction, count, out);
}

/// At least `count` digits.
fn digits(number: i64, count: usize, out: &mut Vec<u8>) {
    let mut text = [b'0'; 20];
    let (mut at, mut rest) = (text.len(), number.unsigned_abs());
    while rest > 0 || at > text.len() - count {
        at -= 1;
        text[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&text[at..]);
}

/// The year, month and day of a day, in the calendar that is used today, whenever the day was.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_TO_EPOCH;
    let (era, day_of_era) = (days.div_euclid(DAYS_PER_ERA), days.rem_euclid(DAYS_PER_ERA));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March on: February, with its leap day, is the last one.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// The day of a date that there is.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let from_march = year - i64::from(month <= 2);
    let (era, year_of_era) = (from_march.div_euclid(400), from_march.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * DAYS_PER_ERA + day_of_era - DAYS_TO_EPOCH;
    // The 31st of a month with thirty days would be another day.
    (civil(days) == (year, month, day)).then_some(days)
}

/// Days since 1970-01-01 of a date as [`write_date`] writes it.
pub fn read_date(text: &[u8]) -> Option<i64> {
    let (date, rest) = take_date(text)?;
    rest.is_empty().then_some(date)
}

/// A moment as [`write_moment`] writes it, and with a blank for the `T`. A fraction may have more digits
/// than the unit only where they are zero.
pub fn read_moment(text: &[u8], unit: MomentUnit, zone: Zone) -> Option<i64> {
    let (date, rest) = take_date(text)?;
    let rest = rest.strip_prefix(b"T").or_else(|| rest.strip_prefix(b" "))?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let [h1, h2, b':', m1, m2, b':', s1, s2] = *clock else { return None };
    let (hour, minute, second) = (two(h1, h2)?, two(m1, m2)?, two(s1, s2)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction, rest) = take_fraction(rest, unit)?;
    let offset = match zone {
        Zone::None if rest.is_empty() => 0,
        Zone::None => return None,
        Zone::Offset(_) => read_offset(rest)?,
    };
    let seconds = date * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset;
    i64::try_from(i128::from(seconds) * i128::from(unit.per_second()) + i128::from(fraction)).ok()
}

fn take_date(text: &[u8]) -> Option<(i64, &[u8])> {
    let (sign, unsigned) = match text.first()? {
        b'+' => (Some(1), &text[1..]),
        b'-' => (Some(-1), &text[1..]),
        _ => (None, text),
    };
    let length = unsigned.iter().take_while(|byte| byte.is_ascii_digit()).count();
    // A sign is written from the year 10000 on, and before the year 0, and nowhere else.
    let is_long = length > 4 && unsigned[0] != b'0';
    let fits = match sign {
        None => length == 4,
        Some(1) => is_long,
        Some(_) => length == 4 || is_long,
    };
    if !fits || length > 7 {
        return None;
    }
    let year = unsigned[..length].iter().fold(0, |year, digit| year * 10 + i64::from(digit - b'0'));
    if sign == Some(-1) && year == 0 {
        return None;
    }
    let (rest, after) = unsigned[length..].split_at_checked(6)?;
    let [b'-', m1, m2, b'-', d1, d2] = *rest else { return None };
    Some((days(year * sign.unwrap_or(1), two(m1, m2)?, two(d1, d2)?)?, after))
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    let both = tens.is_ascii_digit() && ones.is_ascii_digit();
    both.then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

fn take_fraction(text: &[u8], unit: MomentUnit) -> Option<(i64, &[u8])> {
    let Some(digits) = text.strip_prefix(b".") else { return Some((0, text)) };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at(length);
    let (kept, lost) = digits.split_at(length.min(unit.digits()));
    if length == 0 || lost.iter().any(|digit| *digit != b'0') {
        return None;
    }
    let value = kept.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    Some((value * 10_i64.pow((unit.digits() - kept.len()) as u32), rest))
}

/// Seconds east of UTC: `Z`, `+02`, `+0200`, `+02:00`, `+02:00:30`.
fn read_offset(text: &[u8]) -> Option<i64> {
    if text == b"Z" {
        return Some(0);
    }
    let (sign, rest) = text.split_first()?;
    let (hours, minutes, seconds) = match *rest {
        [h1, h2] => (two(h1, h2)?, 0, 0),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => (two(h1, h2)?, two(m1, m2)?, 0),
        [h1, h2, b':', m1, m2, b':', s1, s2] => (two(h1, h2)?, two(m1, m2)?, two(s1, s2)?),
        _ => return None,
    };
    if hours > 18 || minutes > 59 || seconds > 59 {
        return None;
    }
    let offset = hours * 3600 + minutes * 60 + seconds;
    match sign {
        b'+' => Some(offset),
        b'-' => Some(-offset),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn date(days: i64) -> String {
        let mut out = Vec::new();
        write_date(days, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn moment(value: i64, unit: MomentUnit, zone: Zone) -> String {
        let mut out = Vec::new();
        write_moment(value, unit, zone, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_dates_are_written_as_everybody_knows_them() {
        for (days, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (11_016, "2000-02-29"),
            (19_782, "2024-02-29"),
            (2_932_896, "9999-12-31"),
            (2_932_897, "+10000-01-01"),
            (-719_528, "0000-01-01"),
            (-719_529, "-0001-12-31"),
            (108_853_222, "+300000-01-01"),
        ] {
            assert_eq!(date(days), text);
            assert_eq!(read_date(text.as_bytes()), Some(days), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_not_read_as_one() {
        for text in [
            "",
            "2026",
            "2026-1-1",
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "2026-04-31",
            "02026-01-01",
            "+2026-01-01",
            "-0000-01-01",
            "2026-01-01 ",
            " 2026-01-01",
            "2026/01/01",
            "20260101",
            "2026-01-01T",
            "+010000-01-01",
            "99999999-01-01",
            "２026-01-01",
        ] {
            assert_eq!(read_date(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_a_moment_would_lose_is_not_read() {
        let us = |text: &str, zone| read_moment(text.as_bytes(), MomentUnit::Microsecond, zone);
        assert_eq!(us("1970-01-01T00:00:00.5", Zone::None), Some(500_000));
        assert_eq!(us("1970-01-01 00:00:00.1234560", Zone::None), Some(123_456));
        assert_eq!(us("1970-01-01 02:00:00+02:00", Zone::Offset(0)), Some(0));
        assert_eq!(us("1969-12-31T19:00:00-05", Zone::Offset(0)), Some(0));
        for text in [
            "1970-01-01 00:00:00.1234567",
            "1970-01-01 24:00:00",
            "1970-01-01 00:00:60",
            "1970-01-01 00:00",
            "1970-01-01 00:00:00.",
            "1970-01-01 00:00:00Z",
            "1970-01-01 00:00:00+02",
            "1970-01-01t00:00:00",
        ] {
            assert_eq!(us(text, Zone::None), None, "{text}");
        }
        for text in ["1970-01-01 00:00:00", "1970-01-01 00:00:00 UTC", "1970-01-01 00:00:00+25"] {
            assert_eq!(us(text, Zone::Offset(0)), None, "{text}");
        }
    }

    #[test]
    fn the_last_moments_of_each_unit_come_back() {
        use MomentUnit::*;
        assert_eq!(
            moment(i64::MAX, Microsecond, Zone::Offset(0)),
            "+294247-01-10T04:00:54.775807Z"
        );
        for unit in [Millisecond, Microsecond, Nanosecond] {
            for value in [0, 1, -1, 999, 1000, 86_399_999_999] {
                let text = moment(value, unit, Zone::None);
                assert_eq!(read_moment(text.as_bytes(), unit, Zone::None), Some(value), "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_date_comes_back(days in any::<i32>()) {
            let text = date(i64::from(days));
            prop_assert_eq!(read_date(text.as_bytes()), Some(i64::from(days)));
        }

        #[test]
        fn every_moment_comes_back(value in any::<i64>(), offset in -18_i32 * 60..=18 * 60) {
            for unit in [MomentUnit::Microsecond, MomentUnit::Nanosecond] {
                let text = moment(value, unit, Zone::Offset(offset * 60));
                prop_assert_eq!(read_moment(text.as_bytes(), unit, Zone::Offset(0)), Some(value));
            }
        }

        #[test]
        fn days_count_as_one_day_after_the_other(days in -10_000_000_i64..10_000_000) {
            let ((y, m, d), next) = (civil(days), civil(days + 1));
            let expected = [(y, m, d + 1), (y, m + 1, 1), (y + 1, 1, 1)];
            prop_assert!(expected.contains(&next));
        }
    }
}
