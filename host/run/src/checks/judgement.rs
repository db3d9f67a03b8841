//! The judgement of a check: what was measured against what is wanted.

use chrono::{DateTime, Utc};
use longshore_engine::check::Measure;
use longshore_model::config::checks::{Check, CheckOutcome, Rule, Severity, Share};
use longshore_model::format::{counted, grouped};

use crate::check_result::CheckResult;
use crate::report::rfc3339;

/// What a check is judged by, besides what it measured.
pub(super) struct Circumstances {
    /// The rows that came.
    pub(super) rows: u64,
    /// How many of these are quarantined.
    pub(super) quarantined: u64,
    /// The rows that the last successful run published, if there was one.
    pub(super) last_rows: Option<u64>,
    /// The time that the run is for.
    pub(super) time: DateTime<Utc>,
}

impl Circumstances {
    /// The rows that a check looks at.
    fn rows_of(&self, check: &Check) -> u64 {
        if check.severity == Severity::Quarantine { self.rows } else { self.left() }
    }

    /// The rows that are published.
    fn left(&self) -> u64 {
        self.rows - self.quarantined
    }
}

/// Judges a check; `source_sum` is what the source said, if it was asked.
pub(super) fn judge(
    check: &Check,
    measure: Measure,
    source_sum: Option<&str>,
    by: &Circumstances,
) -> CheckResult {
    let (failing, samples) = match &measure {
        Measure::Failing { rows, samples } => (Some(*rows), samples.clone()),
        _ => (None, Vec::new()),
    };
    let (passes, found) = match (&check.rule, measure) {
        (_, Measure::Failing { rows, .. }) => failing_rows(check, rows, by.rows_of(check)),
        (Rule::Rows { min, max, change }, _) => row_count(*min, *max, *change, by),
        (Rule::NullRate { max, .. }, Measure::Nulls(nulls)) => null_rate(*max, nulls, by.left()),
        (Rule::Freshness { max_age, written, .. }, Measure::Newest(newest)) => {
            let newest = newest.and_then(DateTime::from_timestamp_micros);
            let passes = newest.is_some_and(|newest| by.time - newest <= *max_age);
            (passes, freshness(newest, written, by.time))
        }
        (_, Measure::Sum(sum)) => {
            let (sum, source) = (sum.to_string(), source_sum.unwrap_or("unknown"));
            (sum == source, format!("the sum is {sum}, at the source {source}"))
        }
        (_, _) => (false, "nothing was measured".into()),
    };
    CheckResult {
        name: check.name.clone(),
        kind: check.rule.kind().to_owned(),
        severity: check.severity,
        outcome: outcome(check, passes, failing),
        rows: by.rows_of(check),
        failing,
        found,
        samples,
    }
}

fn outcome(check: &Check, passes: bool, failing: Option<u64>) -> CheckOutcome {
    match (passes, check.severity) {
        (false, _) => CheckOutcome::Failed,
        (true, Severity::Quarantine) if failing.unwrap_or(0) > 0 => CheckOutcome::Quarantined,
        (true, _) => CheckOutcome::Passed,
    }
}

fn failing_rows(check: &Check, failing: u64, rows: u64) -> (bool, String) {
    let found = format!("{} of {} fail", grouped(failing), counted(rows, "row"));
    let passes = check.allow.covers(failing, rows);
    if passes || check.allow.is_none() {
        return (passes, found);
    }
    (false, format!("{found}, {} may", check.allow))
}

fn row_count(min: u64, max: u64, change: Option<Share>, by: &Circumstances) -> (bool, String) {
    let found = counted(by.left(), "row");
    if by.left() < min {
        return (false, format!("{found}, at least {} are wanted", grouped(min)));
    }
    if by.left() > max {
        return (false, format!("{found}, at most {} are wanted", grouped(max)));
    }
    let (Some(change), Some(last)) = (change, by.last_rows) else { return (true, found) };
    let found = format!("{found}, the last run had {}", grouped(last));
    if change.covers(by.left().abs_diff(last), last) {
        return (true, found);
    }
    (false, format!("{found}: they may differ by {change}"))
}

fn null_rate(max: Share, nulls: u64, rows: u64) -> (bool, String) {
    let found = format!("NULL in {} of {}", grouped(nulls), counted(rows, "row"));
    if max.covers(nulls, rows) {
        return (true, found);
    }
    (false, format!("{found}, {max} may be"))
}

fn freshness(newest: Option<DateTime<Utc>>, max_age: &str, time: DateTime<Utc>) -> String {
    match newest {
        Some(newest) => format!(
            "the newest value is {}, at {} it may be {max_age} old",
            rfc3339(newest),
            rfc3339(time)
        ),
        None => "there is no value".into(),
    }
}

#[cfg(test)]
mod tests {
    use longshore_model::config::checks::Allowance;

    use super::*;

    fn check(rule: Rule, allow: Allowance) -> Check {
        Check { name: "c".into(), severity: Severity::Fail, allow, rule }
    }

    fn by(rows: u64, last_rows: Option<u64>) -> Circumstances {
        Circumstances {
            rows,
            quarantined: 0,
            last_rows,
            time: DateTime::from_timestamp(1_000_000, 0).unwrap(),
        }
    }

    fn passes(rule: &Rule, measure: Measure, by: &Circumstances) -> bool {
        let check = check(rule.clone(), Allowance::default());
        judge(&check, measure, None, by).outcome == CheckOutcome::Passed
    }

    #[test]
    fn counts_are_judged_at_their_limits() {
        let rule = Rule::Rows { min: 2, max: 4, change: None };
        for (rows, is_fine) in [(1, false), (2, true), (4, true), (5, false)] {
            assert_eq!(passes(&rule, Measure::Count, &by(rows, None)), is_fine, "{rows}");
        }
    }

    #[test]
    fn failing_rows_are_judged_by_what_is_allowed() {
        for (allowed, failing, is_fine) in
            [(0, 0, true), (0, 1, false), (3, 3, true), (3, 4, false)]
        {
            let check = check(Rule::NotNull(vec!["a".into()]), Allowance::Rows(allowed));
            let measure = Measure::Failing { rows: failing, samples: Vec::new() };
            let outcome = judge(&check, measure, None, &by(10, None)).outcome;
            assert_eq!(outcome == CheckOutcome::Passed, is_fine, "{failing} of {allowed}");
        }
    }

    #[test]
    fn age_is_judged_at_the_time_that_the_run_is_for() {
        let max_age = chrono::TimeDelta::seconds(10);
        let rule = Rule::Freshness { column: "at".into(), max_age, written: "10s".into() };
        let newest = |seconds: i64| Measure::Newest(Some(seconds * 1_000_000));
        assert!(passes(&rule, newest(999_990), &by(1, None)));
        assert!(passes(&rule, newest(2_000_000), &by(1, None)));
        assert!(!passes(&rule, newest(999_989), &by(1, None)));
        assert!(!passes(&rule, Measure::Newest(None), &by(0, None)));
    }
}
