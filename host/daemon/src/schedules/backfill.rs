//! Backfills: runs for scheduled times of the past.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use longshore_model::config::schedule::Times;
use longshore_model::error::{Error, Result};
use longshore_run::TriggerKind;
use serde_json::Value;

use super::view::RequestedRun;
use super::{Request, Schedules, key_time, no_schedule};

/// The most runs of a backfill.
const BACKFILL_LIMIT: usize = 1_000;

impl Schedules {
    /// Asks for a run for each scheduled time from one until before another, one after the other. The same range
    /// can be asked for again. `from` and `to` are days in the schedule's zone, or times in RFC 3339.
    pub fn backfill(
        &self,
        name: &str,
        from: &str,
        to: &str,
        arguments: &BTreeMap<String, Value>,
        requested_by: Option<&str>,
    ) -> Result<Vec<RequestedRun>> {
        let jobs = self.jobs.lock();
        let (file, folder) = (jobs.get(name)?.clone(), jobs.folder().to_owned());
        let schedule = file.schedule().ok_or_else(|| no_schedule(name))?;
        let times = schedule.times().ok_or_else(|| {
            Error::config(format!("`{name}` follows other jobs, and has no times of its own"))
                .with_hint("backfill the jobs that it follows")
        })?;
        let from = moment("--from", from, schedule.time_zone)?;
        let to = moment("--to", to, schedule.time_zone)?.min(Utc::now());
        let scheduled = times_within(times, from, to)?;
        let Some(first) = scheduled.first() else {
            return Err(Error::config(format!("`{name}` has no times in this range"))
                .with_hint("give an earlier --from, or a later --to, which is not in the future"));
        };
        jobs.check_arguments(name, arguments, *first)?;
        drop(jobs);
        let number = self.ledger.number_backfill(name)?;
        let request = |scheduled| Request {
            key: format!("backfill/{name}/{}/{number}", key_time(scheduled)),
            kind: TriggerKind::Backfill,
            scheduled,
            arguments,
            requested_by,
            is_exclusive: true,
        };
        scheduled.into_iter().map(|time| self.submit(&file, &folder, &request(time))).collect()
    }
}

/// The times from one until before another.
fn times_within(
    times: &Times,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<DateTime<Utc>>> {
    let first = times.next_after(from - TimeDelta::seconds(1));
    let all = std::iter::successors(first, |time| times.next_after(*time));
    let within: Vec<_> = all.take_while(|time| *time < to).take(BACKFILL_LIMIT + 1).collect();
    if within.len() > BACKFILL_LIMIT {
        return Err(Error::config(format!("these are more than {BACKFILL_LIMIT} times"))
            .with_hint("take a shorter range"));
    }
    Ok(within)
}

/// `2026-11-29` in the schedule's zone, or `2026-11-29T02:00:00Z`.
fn moment(flag: &str, text: &str, zone: Tz) -> Result<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let day = text.parse::<NaiveDate>().ok().map(|day| day.and_time(NaiveTime::MIN));
    // A midnight that does not exist is the hour after it.
    let begin = day.and_then(|midnight| {
        let later = midnight + TimeDelta::hours(1);
        let found = zone.from_local_datetime(&midnight).earliest();
        found.or_else(|| zone.from_local_datetime(&later).earliest())
    });
    begin.map(|begin| begin.to_utc()).ok_or_else(|| {
        Error::config(format!("{flag} `{text}` is neither a day nor a time"))
            .with_hint("write it as in 2026-11-29 or 2026-11-29T02:00:00Z")
    })
}
