//! Schedules against clocks that change, and against a slow reference.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, LocalResult, NaiveDateTime, TimeZone, Timelike, Utc};
use chrono_tz::{America, Australia, Europe, Tz};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;
use crate::config::document::typed;

fn schedule(value: Value) -> Result<Schedule> {
    Schedule::check(typed("schedule", value)?)
}

/// The times within two moments, as they are on the clock of the zone.
fn times(cron: &str, zone: Tz, from: &str, to: &str) -> Vec<String> {
    let times = Times::cron(cron, zone).unwrap();
    let moment = |text: &str| -> DateTime<Utc> { text.parse().unwrap() };
    let (mut at, end) = (moment(from), moment(to));
    let mut found = Vec::new();
    while let Some(next) = times.next_after(at).filter(|next| *next < end) {
        found.push(next.with_timezone(&zone).format("%d %H:%M:%S%:z").to_string());
        at = next;
    }
    // Backwards they are the same.
    let (mut back, mut at) = (Vec::new(), end - Duration::seconds(1));
    while let Some(last) = times.last_until(at).filter(|last| *last > moment(from)) {
        back.push(last.with_timezone(&zone).format("%d %H:%M:%S%:z").to_string());
        at = last - Duration::seconds(1);
    }
    back.reverse();
    assert_eq!(found, back, "{cron}");
    found
}

#[test]
fn in_spring_a_fixed_time_is_moved_and_others_are_left_out() {
    let night = ("2026-03-28T22:00:00Z", "2026-03-29T05:00:00Z");
    let berlin = |cron| times(cron, Europe::Berlin, night.0, night.1);
    assert_eq!(berlin("30 2 * * *"), ["29 03:00:00+02:00"]);
    assert_eq!(berlin("0 3 * * *"), ["29 03:00:00+02:00"]);
    assert_eq!(berlin("30 1,2,3 * * *"), ["29 01:30:00+01:00", "29 03:30:00+02:00"]);
    assert_eq!(
        berlin("0 * * * *"),
        [
            "29 00:00:00+01:00",
            "29 01:00:00+01:00",
            "29 03:00:00+02:00",
            "29 04:00:00+02:00",
            "29 05:00:00+02:00",
            "29 06:00:00+02:00"
        ]
    );
    let new_york =
        |cron| times(cron, America::New_York, "2026-03-08T05:00:00Z", "2026-03-08T09:00:00Z");
    assert_eq!(new_york("15 2 * * *"), ["08 03:00:00-04:00"]);
    assert_eq!(
        new_york("*/30 1-3 * * *"),
        ["08 01:00:00-05:00", "08 01:30:00-05:00", "08 03:00:00-04:00", "08 03:30:00-04:00"]
    );
}

#[test]
fn in_autumn_a_fixed_time_is_taken_once_and_others_twice() {
    let berlin = |cron| times(cron, Europe::Berlin, "2026-10-24T23:00:00Z", "2026-10-25T03:00:00Z");
    assert_eq!(berlin("30 2 * * *"), ["25 02:30:00+02:00"]);
    assert_eq!(berlin("0 30 2 * * *"), ["25 02:30:00+02:00"]);
    assert_eq!(
        berlin("*/30 2 * * *"),
        ["25 02:00:00+02:00", "25 02:30:00+02:00", "25 02:00:00+01:00", "25 02:30:00+01:00"]
    );
    let new_york =
        |cron| times(cron, America::New_York, "2026-11-01T04:30:00Z", "2026-11-01T08:00:00Z");
    assert_eq!(new_york("0 1 * * *"), ["01 01:00:00-04:00"]);
    assert_eq!(
        new_york("0 * * * *"),
        ["01 01:00:00-04:00", "01 01:00:00-05:00", "01 02:00:00-05:00"]
    );
}

#[test]
fn lord_howe_changes_by_half_an_hour() {
    let island = |cron, from, to| times(cron, Australia::Lord_Howe, from, to);
    // At 02:00 it becomes 02:30.
    let spring = ("2026-10-03T14:00:00Z", "2026-10-03T17:00:00Z");
    assert_eq!(island("10 2 * * *", spring.0, spring.1), ["04 02:30:00+11:00"]);
    assert_eq!(island("10,40 2 * * *", spring.0, spring.1), ["04 02:40:00+11:00"]);
    // At 02:00 it becomes 01:30.
    let autumn = ("2026-04-04T14:00:00Z", "2026-04-04T17:00:00Z");
    assert_eq!(island("45 1 * * *", autumn.0, autumn.1), ["05 01:45:00+11:00"]);
    assert_eq!(
        island("*/15 1 * * *", autumn.0, autumn.1),
        [
            "05 01:15:00+11:00",
            "05 01:30:00+11:00",
            "05 01:45:00+11:00",
            "05 01:30:00+10:30",
            "05 01:45:00+10:30"
        ]
    );
}

#[test]
fn intervals_are_counted_from_1970_whatever_the_zone() {
    let Recurrence::Times(times) =
        schedule(json!({ "every": "7m", "time_zone": "Europe/Berlin" })).unwrap().recurrence
    else {
        panic!("it has times")
    };
    let moment: DateTime<Utc> = "2026-10-25T00:59:59Z".parse().unwrap();
    let next = times.next_after(moment).unwrap();
    assert_eq!(next.timestamp() % 420, 0);
    assert_eq!(times.next_after(next).unwrap() - next, Duration::minutes(7));
    assert_eq!(times.last_until(next), Some(next));
    assert_eq!(times.to_string(), "every 7m");
}

#[test]
fn a_wrong_schedule_is_refused_with_the_next_step() {
    for (value, words) in [
        (json!({}), "does not say when"),
        (json!({ "cron": "0 2 * * *", "every": "1h" }), "more than once"),
        (json!({ "cron": "0 2 * *" }), "`0 2 * *`"),
        (json!({ "cron": "61 2 * * *" }), "`61 2 * * *`"),
        (json!({ "cron": "0 2 30 2 *" }), "is never"),
        (json!({ "cron": "0 0 0 1 1 * 2027" }), "0 0 0 1 1 * 2027"),
        (json!({ "every": "0s" }), "`schedule.every`: `0s` is not a duration"),
        (json!({ "every": "1h", "time_zone": "Europe/Berln" }), "is not a time zone"),
        (json!({ "every": "1h", "window": "900d" }), "is too long"),
        (json!({ "every": "1h", "jitter": "2d" }), "is too long"),
        (json!({ "every": "1h", "overlap": "cancel" }), "overlap"),
        (json!({ "every": "1h", "pause_after_failures": 0 }), "pause_after_failures"),
        (json!({ "after": [] }), "names 0 jobs"),
        (json!({ "after": ["../shop"] }), "is not a name of a standing job"),
    ] {
        let error = schedule(value.clone()).unwrap_err();
        assert!(error.to_string().contains(words), "{value}: {error}");
        assert!(error.hint().is_some() || error.to_string().contains("next"), "{value}: {error}");
    }
    let mistyped = schedule(json!({ "every": "1h", "time_zone": "Europe/Berln" })).unwrap_err();
    assert_eq!(mistyped.hint(), Some("did you mean `Europe/Berlin`?"));
}

/// A cron expression of minutes and hours, and the reference for it.
#[derive(Clone, Debug)]
struct Pattern {
    minutes: Option<BTreeSet<u32>>,
    hours: Option<BTreeSet<u32>>,
}

impl Pattern {
    fn text(&self) -> String {
        let field = |set: &Option<BTreeSet<u32>>| match set {
            None => "*".to_owned(),
            Some(set) => set.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
        };
        format!("{} {} * * *", field(&self.minutes), field(&self.hours))
    }

    fn is_fixed(&self) -> bool {
        [&self.minutes, &self.hours]
            .iter()
            .all(|set| set.as_ref().is_some_and(|set| set.len() == 1))
    }

    fn matches(&self, clock: NaiveDateTime) -> bool {
        let has = |set: &Option<BTreeSet<u32>>, value| {
            set.as_ref().is_none_or(|set| set.contains(&value))
        };
        has(&self.minutes, clock.minute()) && has(&self.hours, clock.hour())
    }

    /// Whether the minute that begins at a moment is a scheduled time.
    fn is_due(&self, zone: Tz, moment: DateTime<Utc>) -> bool {
        let clock = moment.with_timezone(&zone).naive_local();
        if self.matches(clock) {
            let first = zone.from_local_datetime(&clock).earliest().unwrap();
            return !self.is_fixed() || first == moment;
        }
        self.is_fixed() && self.is_after_gap(zone, clock)
    }

    /// Whether the minutes just before do not exist on the clock of this day, and hold the fixed time.
    fn is_after_gap(&self, zone: Tz, clock: NaiveDateTime) -> bool {
        let mut before = clock - Duration::minutes(1);
        while zone.from_local_datetime(&before) == LocalResult::None {
            if self.matches(before) && before.date() == clock.date() {
                return true;
            }
            before -= Duration::minutes(1);
        }
        false
    }
}

fn field(end: u32) -> impl Strategy<Value = Option<BTreeSet<u32>>> {
    prop_oneof![
        1 => Just(None),
        3 => (0..end).prop_map(|one| Some([one].into())),
        2 => proptest::collection::btree_set(0..end, 1..4).prop_map(Some),
    ]
}

/// Days with a change of the clock, and days around them.
fn day() -> impl Strategy<Value = (Tz, DateTime<Utc>)> {
    let days = [
        (Europe::Berlin, "2026-03-28T20:00:00Z"),
        (Europe::Berlin, "2026-10-24T20:00:00Z"),
        (America::New_York, "2026-03-08T00:00:00Z"),
        (America::New_York, "2026-11-01T00:00:00Z"),
        (Australia::Lord_Howe, "2026-04-04T08:00:00Z"),
        (Australia::Lord_Howe, "2026-10-03T08:00:00Z"),
        (America::Santiago, "2026-09-05T20:00:00Z"),
        (America::Santiago, "2026-04-04T20:00:00Z"),
        (Tz::UTC, "2026-02-28T12:00:00Z"),
    ];
    select(days.to_vec()).prop_map(|(zone, from)| (zone, from.parse().unwrap()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Forwards and backwards, times are those that a look at each minute finds.
    #[test]
    fn times_are_those_of_a_slow_reference(
        minutes in field(60), hours in field(4), (zone, from) in day(), length in 1_i64..1_000,
    ) {
        let pattern = Pattern { minutes, hours };
        let to = from + Duration::minutes(length);
        let moments = (1..=length).map(|minute| from + Duration::minutes(minute));
        let expected: Vec<DateTime<Utc>> =
            moments.filter(|moment| pattern.is_due(zone, *moment)).collect();
        let times = Times::cron(&pattern.text(), zone).unwrap();
        let (mut found, mut at) = (Vec::new(), from);
        while let Some(next) = times.next_after(at).filter(|next| *next <= to) {
            found.push(next);
            at = next;
        }
        prop_assert_eq!(&found, &expected, "{} in {}", pattern.text(), zone);
        let (mut found, mut at) = (Vec::new(), to);
        while let Some(last) = times.last_until(at).filter(|last| *last > from) {
            found.push(last);
            at = last - Duration::seconds(1);
        }
        found.reverse();
        prop_assert_eq!(&found, &expected, "{} in {}, backwards", pattern.text(), zone);
    }
}
