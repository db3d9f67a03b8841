//! The times of a schedule. What clock changes do to them is croner's rule: a fixed time that does not exist is
//! moved to the end of the gap, one that occurs twice is taken once, and repeated times follow the clock.

use std::fmt::{self, Display, Formatter};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::error::{Error, Result};

/// Scheduled times. They are whole seconds.
#[derive(Clone, Debug)]
pub struct Times(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Cron {
        cron: Box<Cron>,
        zone: Tz,
    },
    /// Multiples of so many seconds since 1970.
    Every(i64),
}

impl Times {
    /// The times of a cron expression.
    pub(super) fn cron(expression: &str, zone: Tz) -> Result<Self> {
        let parser =
            CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let cron = parser.parse(expression).map_err(|error| {
            Error::config(format!("`schedule.cron`: `{expression}`: {error}")).with_hint(
                "write minute, hour, day, month, weekday, as in `0 2 * * *`; seconds may stand first",
            )
        })?;
        let times = Self(Kind::Cron { cron: Box::new(cron), zone });
        match times.next_after(DateTime::UNIX_EPOCH) {
            Some(_) => Ok(times),
            None => Err(Error::config(format!("`schedule.cron`: `{expression}` is never"))
                .with_hint("name a day that the month has")),
        }
    }

    /// Times that are so far apart.
    pub(super) fn every(interval: TimeDelta) -> Self {
        Self(Kind::Every(interval.num_seconds().max(1)))
    }

    /// The first time after a moment.
    pub fn next_after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.0 {
            Kind::Every(seconds) => {
                let count = moment.timestamp().div_euclid(*seconds).checked_add(1)?;
                DateTime::from_timestamp(count.checked_mul(*seconds)?, 0)
            }
            Kind::Cron { cron, zone } => {
                let next = cron.find_next_occurrence(&whole(moment)?.with_timezone(zone), false);
                next.ok().map(|next| next.to_utc())
            }
        }
    }

    /// The last time until a moment, which may be the moment itself.
    pub fn last_until(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.0 {
            Kind::Every(seconds) => {
                DateTime::from_timestamp(moment.timestamp().div_euclid(*seconds) * seconds, 0)
            }
            Kind::Cron { cron, zone } => {
                let last = cron.find_previous_occurrence(&whole(moment)?.with_timezone(zone), true);
                last.ok().map(|last| last.to_utc())
            }
        }
    }
}

impl Display for Times {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Cron { cron, zone } => write!(f, "cron {} in {zone}", cron.pattern),
            Kind::Every(seconds) => write!(f, "every {}", interval(*seconds)),
        }
    }
}

/// A moment without the fraction of its second.
fn whole(moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(moment.timestamp(), 0)
}

/// `900` as `15m`.
fn interval(seconds: i64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let unit = units.iter().find(|(length, _)| seconds % length == 0);
    let (length, unit) = unit.unwrap_or(&(1, "s"));
    format!("{}{unit}", seconds / length)
}
