//! A default that is computed from the scheduled time: `{{ scheduled - 1d }}`.
//!
//! ```text
//! expression = "{{" "scheduled" step* "}}"
//! step       = ("+" | "-") number unit | "/" unit
//! unit       = "min" | "h" | "d" | "w" | "mo" | "y"
//! ```
//!
//! Steps are carried out from left to right, in UTC. `/ mo` goes back to the beginning of the month.

use chrono::{Datelike, Days, Months, NaiveDateTime, NaiveTime, TimeDelta, Timelike};

use super::placeholder::braced;
use crate::error::{Error, Result};

/// The name that stands for the scheduled time.
pub(super) const SCHEDULED: &str = "scheduled";

/// The most digits of a number in an expression.
const NUMBER_LIMIT_DIGITS: usize = 6;

/// The steps from the scheduled time to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expression(Vec<Step>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Forward(u32, Unit),
    Back(u32, Unit),
    /// To the beginning of the unit that it is in.
    Floor(Unit),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

const UNITS: [(&str, Unit); 6] = [
    ("min", Unit::Minute),
    ("h", Unit::Hour),
    ("d", Unit::Day),
    ("w", Unit::Week),
    ("mo", Unit::Month),
    ("y", Unit::Year),
];

impl Expression {
    /// Reads an expression. None: the text has no braces around it, and is a value.
    pub(super) fn read(text: &str) -> Option<Result<Self>> {
        let inner = braced(text)?;
        Some(Self::parse(inner).ok_or_else(|| {
            Error::config(format!("`{text}` is not an expression")).with_hint(
                "write it as in {{ scheduled - 1d }} or {{ scheduled / mo - 1mo }}; \
                 the units are min, h, d, w, mo, y",
            )
        }))
    }

    fn parse(text: &str) -> Option<Self> {
        let text: String = text.split_whitespace().collect();
        let mut rest = text.strip_prefix(SCHEDULED)?;
        let mut steps = Vec::new();
        while let Some(sign) = rest.chars().next() {
            rest = rest.strip_prefix(['+', '-', '/'])?;
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (number, unit) = rest.split_at(digits);
            let end = unit.find(['+', '-', '/']).unwrap_or(unit.len());
            let (_, unit) = *UNITS.iter().find(|(name, _)| *name == &unit[..end])?;
            rest = &rest[digits + end..];
            let number = Some(number).filter(|number| number.len() <= NUMBER_LIMIT_DIGITS)?;
            steps.push(match (sign, number) {
                ('/', "") => Step::Floor(unit),
                ('+', number) => Step::Forward(number.parse().ok()?, unit),
                ('-', number) => Step::Back(number.parse().ok()?, unit),
                _ => return None,
            });
        }
        Some(Self(steps))
    }

    /// Its value for a scheduled time, in whole seconds; none beyond the years that there are.
    pub(super) fn at(&self, scheduled: NaiveDateTime) -> Option<NaiveDateTime> {
        let whole = scheduled.with_nanosecond(0)?;
        let moment = self.0.iter().try_fold(whole, |moment, step| step.from(moment))?;
        (1..=9999).contains(&moment.year()).then_some(moment)
    }
}

impl Step {
    fn from(self, moment: NaiveDateTime) -> Option<NaiveDateTime> {
        match self {
            Self::Floor(unit) => unit.floor(moment),
            Self::Forward(number, Unit::Month) => moment.checked_add_months(Months::new(number)),
            Self::Back(number, Unit::Month) => moment.checked_sub_months(Months::new(number)),
            Self::Forward(number, Unit::Year) => {
                moment.checked_add_months(Months::new(12 * number))
            }
            Self::Back(number, Unit::Year) => moment.checked_sub_months(Months::new(12 * number)),
            Self::Forward(number, unit) => moment.checked_add_signed(unit.times(number)?),
            Self::Back(number, unit) => moment.checked_sub_signed(unit.times(number)?),
        }
    }
}

impl Unit {
    /// So many of a unit that is always as long.
    fn times(self, number: u32) -> Option<TimeDelta> {
        let number = i64::from(number);
        match self {
            Self::Minute => TimeDelta::try_minutes(number),
            Self::Hour => TimeDelta::try_hours(number),
            Self::Day => TimeDelta::try_days(number),
            Self::Week => TimeDelta::try_weeks(number),
            Self::Month | Self::Year => None,
        }
    }

    /// The beginning of the unit that a moment is in. Weeks begin on Monday.
    fn floor(self, moment: NaiveDateTime) -> Option<NaiveDateTime> {
        let midnight = moment.date().and_time(NaiveTime::MIN);
        match self {
            Self::Minute => moment.with_second(0),
            Self::Hour => moment.with_second(0)?.with_minute(0),
            Self::Day => Some(midnight),
            Self::Week => {
                let days = u64::from(moment.weekday().num_days_from_monday());
                midnight.checked_sub_days(Days::new(days))
            }
            Self::Month => midnight.with_day(1),
            Self::Year => midnight.with_day(1)?.with_month(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_computed_from_the_scheduled_time() {
        let scheduled = "2026-03-31T06:07:08.9".parse().unwrap();
        for (text, expected) in [
            ("{{ scheduled }}", "2026-03-31T06:07:08"),
            ("{{scheduled-1d}}", "2026-03-30T06:07:08"),
            ("{{ scheduled - 36h }}", "2026-03-29T18:07:08"),
            ("{{ scheduled + 90min }}", "2026-03-31T07:37:08"),
            ("{{ scheduled - 1mo }}", "2026-02-28T06:07:08"),
            ("{{ scheduled / mo - 1mo }}", "2026-02-01T00:00:00"),
            ("{{ scheduled / mo - 1d }}", "2026-02-28T00:00:00"),
            ("{{ scheduled / w }}", "2026-03-30T00:00:00"),
            ("{{ scheduled / h - 1h }}", "2026-03-31T05:00:00"),
            ("{{ scheduled / min }}", "2026-03-31T06:07:00"),
            ("{{ scheduled / y + 1y - 1w }}", "2026-12-25T00:00:00"),
        ] {
            let value = Expression::read(text).unwrap().unwrap().at(scheduled);
            assert_eq!(value, Some(expected.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        assert!(Expression::read("2026-11-20").is_none());
        for text in [
            "{{ }}",
            "{{ now }}",
            "{{ scheduled - 1 }}",
            "{{ scheduled - d }}",
            "{{ scheduled - 1m }}",
            "{{ scheduled / 2d }}",
            "{{ scheduled 1d }}",
            "{{ scheduled - 1d - }}",
            "{{ scheduled - 9999999d }}",
            "{{ scheduled * 1d }}",
            "{{ Scheduled }}",
        ] {
            assert!(Expression::read(text).unwrap().is_err(), "{text}");
        }
        let far = Expression::read("{{ scheduled + 9000y }}").unwrap().unwrap();
        assert_eq!(far.at("2026-03-31T06:07:08".parse().unwrap()), None);
    }
}
