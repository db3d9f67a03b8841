//! `schedule:` of a job file: when the daemon runs a standing job, and what it does with times that it missed.

mod duration;
mod jitter;
mod raw;
mod standing;
#[cfg(test)]
mod tests;
mod times;

use std::fmt::{self, Display, Formatter};

use chrono::TimeDelta;
use chrono_tz::Tz;

use crate::error::{Error, Result, ResultExt};
pub(in crate::config) use duration::read_duration;

pub(in crate::config) use raw::RawSchedule;
pub use raw::{CatchUp, Overlap};
pub use standing::{StandingJob, check_standing_name};
pub use times::Times;

/// How old a missed time may be, unless the job says.
const WINDOW: TimeDelta = TimeDelta::days(1);

/// The longest window, and the longest interval.
const LONGEST: TimeDelta = TimeDelta::days(366);

/// The longest jitter.
const JITTER_LIMIT: TimeDelta = TimeDelta::days(1);

/// The most jobs that a chain names.
const AFTER_LIMIT: usize = 100;

/// A schedule, checked.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// What triggers the job.
    pub recurrence: Recurrence,
    /// The zone that times are shown in.
    pub time_zone: Tz,
    /// How much later than its scheduled time a run may be started.
    pub jitter: TimeDelta,
    /// What becomes of times that were missed.
    pub catch_up: CatchUp,
    /// How old a missed time may be.
    pub window: TimeDelta,
    /// What becomes of a time at which an earlier run is not over.
    pub overlap: Overlap,
    /// How many failures in a row pause it; absent: none.
    pub pause_after_failures: Option<u32>,
    /// Whether the job file pauses it.
    pub is_paused: bool,
}

/// What triggers a job.
#[derive(Clone, Debug)]
pub enum Recurrence {
    /// Times.
    Times(Times),
    /// Successes of other standing jobs.
    After(Vec<String>),
}

impl Schedule {
    /// Checks what a job file says.
    pub(in crate::config) fn check(raw: RawSchedule) -> Result<Self> {
        let mut faults = Vec::new();
        let zone = raw.time_zone.as_deref().map_or(Ok(Tz::UTC), check_zone);
        let zone = zone.map_err(|error| faults.push(error)).unwrap_or(Tz::UTC);
        let recurrence = Recurrence::check(&raw, zone).map_err(|error| faults.push(error)).ok();
        let mut span = |key: &str, text: Option<&str>, default, limit| {
            let checked = text.map_or(Ok(default), |text| check_span(key, text, limit));
            checked.map_err(|error| faults.push(error)).unwrap_or(default)
        };
        let jitter = span("jitter", raw.jitter.as_deref(), TimeDelta::zero(), JITTER_LIMIT);
        let window = span("window", raw.window.as_deref(), WINDOW, LONGEST);
        Error::all(faults)?;
        let recurrence = recurrence.ok_or_else(|| Error::internal("a schedule without times"))?;
        Ok(Self {
            recurrence,
            time_zone: zone,
            jitter,
            catch_up: raw.catch_up,
            window,
            overlap: raw.overlap,
            pause_after_failures: raw.pause_after_failures,
            is_paused: raw.paused,
        })
    }

    /// Its times, if it has any of its own.
    pub fn times(&self) -> Option<&Times> {
        match &self.recurrence {
            Recurrence::Times(times) => Some(times),
            Recurrence::After(_) => None,
        }
    }
}

impl Recurrence {
    fn check(raw: &RawSchedule, zone: Tz) -> Result<Self> {
        match (&raw.cron, &raw.every, &raw.after) {
            (Some(cron), None, None) => Ok(Self::Times(Times::cron(cron, zone)?)),
            (None, Some(every), None) => {
                let every = check_span("every", every, LONGEST)?;
                Ok(Self::Times(Times::every(every)))
            }
            (None, None, Some(jobs)) => check_after(jobs).map(Self::After),
            (None, None, None) => Err(Error::config("`schedule` does not say when")
                .with_hint("give one of `cron`, `every` and `after`")),
            _ => Err(Error::config("`schedule` says more than once when")
                .with_hint("give one of `cron`, `every` and `after`, and no other")),
        }
    }
}

/// `cron 0 2 * * * in Europe/Berlin`, `every 15m`, `after orders, items`: what it is, in a line.
impl Display for Recurrence {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(times) => times.fmt(f),
            Self::After(jobs) => write!(f, "after {}", jobs.join(", ")),
        }
    }
}

fn check_zone(name: &str) -> Result<Tz> {
    name.parse().map_err(|_| {
        let error = Error::config(format!("`schedule.time_zone`: `{name}` is not a time zone"));
        let names = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
        error.with_hint(match super::keys::nearest(name, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "name one of the IANA database, such as Europe/Berlin".into(),
        })
    })
}

fn check_span(key: &str, text: &str, limit: TimeDelta) -> Result<TimeDelta> {
    let span = read_duration(text).context(format!("`schedule.{key}`"))?;
    if span > limit {
        return Err(Error::config(format!("`schedule.{key}`: `{text}` is too long"))
            .with_hint(format!("give at most {}d", limit.num_days())));
    }
    Ok(span)
}

fn check_after(jobs: &[String]) -> Result<Vec<String>> {
    if jobs.is_empty() || jobs.len() > AFTER_LIMIT {
        return Err(Error::config(format!("`schedule.after` names {} jobs", jobs.len()))
            .with_hint(format!("name between 1 and {AFTER_LIMIT} standing jobs")));
    }
    for name in jobs {
        check_standing_name(name).context("`schedule.after`")?;
    }
    Ok(jobs.to_vec())
}
