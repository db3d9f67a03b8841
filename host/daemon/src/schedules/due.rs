//! What is due: the scheduled times that have come since a schedule was last considered, and which of them are run.
//!
//! A time is missed if nobody looked when it came: the daemon was stopped, the machine slept, or its clock was set
//! forward. Missed times are caught up as the schedule says. All others are run.

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::config::Schedule;
use longshore_model::config::schedule::{CatchUp, Times};

use super::overview::shown;

/// The most missed times that are run.
pub(super) const CATCH_UP_LIMIT: usize = 100;

/// Times that have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// The times that are run, oldest first.
    pub(super) run: Vec<DueTime>,
    /// The times before these, which are not run.
    pub(super) skipped: Option<SkippedTimes>,
    /// The last of all.
    pub(super) cursor: DateTime<Utc>,
}

/// A time that is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DueTime {
    pub(super) scheduled: DateTime<Utc>,
    pub(super) is_missed: bool,
}

/// Times that are not run, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SkippedTimes {
    pub(super) first: DateTime<Utc>,
    pub(super) last: DateTime<Utc>,
    why: String,
}

impl SkippedTimes {
    /// What was skipped, in a line.
    pub(super) fn to_text(&self, schedule: &Schedule) -> String {
        let shown = |time| shown(time, schedule.time_zone);
        if self.first == self.last {
            return format!("{}: {}", shown(self.first), self.why);
        }
        format!("from {} until {}: {}", shown(self.first), shown(self.last), self.why)
    }
}

/// Since when times are looked at without a break, by one who looks often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    since: DateTime<Utc>,
    last_look: DateTime<Utc>,
}

/// After a break of this length, the times in it are missed.
const BREAK: TimeDelta = TimeDelta::minutes(1);

impl Watch {
    pub(super) fn start(now: DateTime<Utc>) -> Self {
        Self { since: now, last_look: now }
    }

    /// The watch with a look now.
    pub(super) fn look(self, now: DateTime<Utc>) -> Self {
        let has_jumped = now - self.last_look > BREAK;
        // A clock that was set back makes nothing missed.
        let since = if has_jumped { now } else { self.since.min(now) };
        Self { since, last_look: now }
    }

    /// Since when times are looked at.
    pub(super) fn since(&self) -> DateTime<Utc> {
        self.since
    }
}

/// Which times of a job's schedule have come since `cursor`. None: no time has.
pub(super) fn due(
    job: &str,
    schedule: &Schedule,
    times: &Times,
    cursor: DateTime<Utc>,
    now: DateTime<Utc>,
    watched_since: DateTime<Utc>,
) -> Option<Due> {
    let newest = newest_started(job, schedule, times, cursor, now)?;
    let (mut run, mut missed) = (Vec::new(), 0);
    let mut next = Some(newest);
    let mut skipped = None;
    while let Some(scheduled) = next.filter(|time| *time > cursor) {
        let is_missed = schedule.start_of(job, scheduled) < watched_since;
        if is_missed && let Some(why) = refusal(schedule, missed, now - scheduled) {
            let first = times.next_after(cursor).unwrap_or(scheduled);
            skipped = Some(SkippedTimes { first, last: scheduled, why });
            break;
        }
        missed += usize::from(is_missed);
        run.push(DueTime { scheduled, is_missed });
        next = times.last_until(scheduled - TimeDelta::seconds(1));
    }
    run.reverse();
    Some(Due { run, skipped, cursor: newest })
}

/// The newest time whose start, with its jitter, has come.
fn newest_started(
    job: &str,
    schedule: &Schedule,
    times: &Times,
    cursor: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let mut time = times.last_until(now)?;
    while time > cursor {
        if schedule.start_of(job, time) <= now {
            return Some(time);
        }
        time = times.last_until(time - TimeDelta::seconds(1))?;
    }
    None
}

/// Why a missed time is not run, if so many newer ones are, and it is so old.
fn refusal(schedule: &Schedule, newer: usize, age: TimeDelta) -> Option<String> {
    if age > schedule.window {
        return Some("missed, and older than the window".into());
    }
    match schedule.catch_up {
        CatchUp::None => Some("missed, and not caught up".into()),
        CatchUp::Latest if newer > 0 => Some("missed, and only the latest is caught up".into()),
        CatchUp::All if newer >= CATCH_UP_LIMIT => {
            Some(format!("missed, and only the latest {CATCH_UP_LIMIT} are caught up"))
        }
        CatchUp::Latest | CatchUp::All => None,
    }
}

#[cfg(test)]
mod tests {
    use longshore_model::config::Policy;
    use longshore_model::config::StandingJob;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn schedule(keys: &str) -> Schedule {
        let folder = tempfile::tempdir().unwrap();
        let job = format!(
            r#"{{"source": {{"url": "file:///data/"}}, "tables": ["a"],
                "target": {{"url": "file:///lake"}}, "schedule": {keys}}}"#
        );
        let path = folder.path().join("job.json");
        std::fs::write(&path, job).unwrap();
        let job = StandingJob::read(&path, "job.json", folder.path(), &Policy::default());
        job.unwrap().schedule.unwrap()
    }

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-06-01T{text}Z").parse().unwrap()
    }

    fn due_of(keys: &str, cursor: &str, now: &str, since: &str) -> Option<Due> {
        let schedule = schedule(keys);
        due("job", &schedule, schedule.times().unwrap(), at(cursor), at(now), at(since))
    }

    fn run(due: &Due) -> Vec<String> {
        due.run.iter().map(|time| time.scheduled.format("%H:%M").to_string()).collect()
    }

    #[test]
    fn a_time_is_due_once_it_has_come() {
        let hourly = r#"{"every": "1h"}"#;
        assert_eq!(due_of(hourly, "02:00:00", "02:59:59", "00:00:00"), None);
        let due = due_of(hourly, "02:00:00", "03:00:00", "00:00:00").unwrap();
        assert_eq!(
            (run(&due), due.skipped, due.cursor),
            (vec!["03:00".into()], None, at("03:00:00"))
        );
        // A clock that was set back.
        assert_eq!(due_of(hourly, "05:00:00", "03:00:00", "00:00:00"), None);
    }

    #[test]
    fn missed_times_are_caught_up_as_the_schedule_says() {
        let missed = |keys| due_of(keys, "00:00:00", "05:30:30", "05:30:30").unwrap();
        let latest = missed(r#"{"every": "1h"}"#);
        assert_eq!(run(&latest), ["05:00"]);
        let skipped = latest.skipped.unwrap();
        assert_eq!((skipped.first, skipped.last), (at("01:00:00"), at("04:00:00")));
        let all = missed(r#"{"every": "1h", "catch_up": "all"}"#);
        assert_eq!((run(&all).len(), all.skipped), (5, None));
        let window = missed(r#"{"every": "1h", "catch_up": "all", "window": "2h"}"#);
        assert_eq!(run(&window), ["04:00", "05:00"]);
        let none = missed(r#"{"every": "1h", "catch_up": "none"}"#);
        assert_eq!((run(&none).len(), none.cursor), (0, at("05:00:00")));
        let many = missed(r#"{"every": "1m", "catch_up": "all"}"#);
        assert_eq!((many.run.len(), many.skipped.unwrap().last), (100, at("03:50:00")));
    }

    #[test]
    fn a_break_makes_times_missed_and_a_pause_between_looks_does_not() {
        let watch = Watch::start(at("00:00:00")).look(at("00:00:50"));
        assert_eq!(watch.since(), at("00:00:00"));
        let watch = watch.look(at("00:10:00"));
        assert_eq!(watch.since(), at("00:10:00"));
        let watch = watch.look(at("00:05:00")).look(at("00:05:01"));
        assert_eq!(watch.since(), at("00:05:00"));
    }

    #[test]
    fn a_run_waits_for_its_jitter() {
        let keys = r#"{"every": "1h", "jitter": "20m"}"#;
        let start = schedule(keys).start_of("job", at("03:00:00"));
        assert!(start > at("03:00:00") && start < at("03:20:00"));
        let schedule = schedule(keys);
        let times = schedule.times().unwrap();
        let look = |now| due("job", &schedule, times, at("02:00:00"), now, at("00:00:00"));
        assert_eq!(look(start - TimeDelta::milliseconds(1)), None);
        assert_eq!(run(&look(start).unwrap()), ["03:00"]);
    }

    /// What is due, found by a look at each minute.
    fn reference(schedule: &Schedule, minutes: i64, cursor: i64, now: i64, since: i64) -> Vec<i64> {
        let come: Vec<i64> = (cursor + 1..=now).filter(|minute| minute % minutes == 0).collect();
        let (mut missed, watched): (Vec<i64>, Vec<i64>) =
            come.into_iter().partition(|minute| *minute < since);
        missed.retain(|minute| now - minute <= schedule.window.num_minutes());
        let kept = match schedule.catch_up {
            CatchUp::None => 0,
            CatchUp::Latest => 1,
            CatchUp::All => CATCH_UP_LIMIT,
        };
        let from = missed.len().saturating_sub(kept);
        [&missed[from..], &watched].concat()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn what_is_due_is_that_of_a_slow_reference(
            minutes in select(vec![1_i64, 2, 3, 5, 10, 30, 60]),
            (cursor, now) in (0_i64..1_000, 0_i64..1_000),
            since in 0_i64..1_000,
            catch_up in select(vec!["latest", "all", "none"]),
            window in 1_i64..600,
        ) {
            let keys = format!(
                r#"{{"every": "{minutes}m", "catch_up": "{catch_up}", "window": "{window}m"}}"#
            );
            let schedule = schedule(&keys);
            let begin = at("00:00:00");
            let minute = |minute: i64| begin + TimeDelta::minutes(minute);
            let since = since.min(now);
            let found = due(
                "job", &schedule, schedule.times().unwrap(), minute(cursor), minute(now), minute(since),
            );
            let found: Vec<i64> = found.iter().flat_map(|due| &due.run)
                .map(|time| (time.scheduled - begin).num_minutes()).collect();
            prop_assert_eq!(found, reference(&schedule, minutes, cursor, now, since));
        }
    }
}
