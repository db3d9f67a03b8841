use std::path::Path;

use super::*;
use crate::config::parameters::Arguments;
use crate::config::{Job, Policy};

const REST: &str = "source: {url: 'tpch:'}\ntarget: {url: 'file:///lake'}\n";

fn job(yaml: &str) -> Result<Job> {
    let (arguments, policy) = (Arguments::none(), Policy::default());
    Job::of_text(&format!("{REST}{yaml}"), "shop.yaml", Path::new("."), &arguments, &policy)
}

fn names(job: &Job) -> Vec<Vec<&str>> {
    job.relations.iter().map(|r| r.checks.iter().map(|c| c.name.as_str()).collect()).collect()
}

#[test]
fn checks_belong_to_an_entry_or_to_relations_of_the_job() {
    let job = job(
        "relations: [{table: a, checks: [{not_null: [id, n]}]}, {table: b}]
checks: [{rows: {min: 1}}, {name: short, severity: warn, allow: 0.5%, length: {column: n, max: 3}, relations: [b]}]",
    )
    .unwrap();
    assert_eq!(names(&job), [vec!["not_null(id, n)", "rows"], vec!["rows", "short"]]);
    let short = &job.relations[1].checks[1];
    assert_eq!((short.severity, short.allow.to_string()), (Severity::Warn, "0.5%".into()));
}

#[test]
fn checks_of_a_join_are_the_jobs() {
    let rest = "tables: [a, b]\nsql: SELECT 1 AS id FROM a, b\n";
    assert_eq!(names(&job(&format!("{rest}checks: [{{not_null: [id]}}]")).unwrap()).len(), 1);
    let entry = "relations: [{table: a, checks: [{not_null: [id]}]}]\nsql: SELECT 1 AS id FROM a\n";
    assert!(job(entry).unwrap_err().to_string().contains("is an input of `sql`"));
}

#[test]
fn refusals_name_the_check_the_cause_and_the_next_step() {
    for (case, cause, next) in [
        ("severity: warn", "does not say what is checked", "not_null"),
        ("not_null: [a], rows: {min: 1}", "more than once", "several checks"),
        ("not_null: []", "`not_null` names 0 columns", "between 1 and"),
        ("not_nul: [a]", "checks[0].not_nul`", "not_null"),
        ("severity: error, not_null: [a]", "severity", "fail"),
        ("allow: 5, rows: {min: 1}", "no rows fail `rows`", "limits"),
        ("allow: five, not_null: [a]", "`allow`: `five` is not a share", "0.5%"),
        ("range: {column: a}", "`range` has no limit", "`min`"),
        ("range: {column: a, min: [1]}", "range.min", "number"),
        ("length: {column: a, min: 3, max: 2}", "`min` is greater than `max`", "exchange"),
        ("rows: {}", "`rows` has no limit", "`max`"),
        ("rows: {change: '20'}", "`rows.change`: `20` is not a share", "20%"),
        ("accepted: {column: a, values: []}", "`accepted.values` has 0 values", "between 1 and"),
        ("null_rate: {column: a, max: some}", "`null_rate.max`: `some` is not a share", "20%"),
        ("freshness: {column: a, max_age: old}", "`old` is not a duration", "15m"),
        ("name: '', not_null: [a]", "names no check", "at most"),
        ("severity: quarantine, unique: [a]", "`unique` is not of single rows", "`fail` or `warn`"),
        ("references: {columns: [a], relation: u}", "no relation `u`", "relations are t"),
        (
            "references: {columns: [a], relation: t, to: [b, c]}",
            "1 column, and 2 in `to`",
            "as many",
        ),
        ("not_null: [a], relations: [b]", "`relations` is not needed here", "remove it"),
    ] {
        let error = job(&format!("relations: [{{table: t, checks: [{{{case}}}]}}]\n")).unwrap_err();
        let (told, hint) = (error.to_string(), error.hint().unwrap_or_default().to_owned());
        assert!(told.contains("relations[0].checks[0]"), "{told}");
        let next_step = format!("{told} {hint}");
        assert!(told.contains(cause) && next_step.contains(next), "{case}: {told} -> {hint}");
    }
}

#[test]
fn checks_of_the_job_name_relations_that_it_has() {
    for (case, cause, next) in [
        (
            "[{not_null: [x], relations: [ab]}]",
            "the job has no relation `ab`",
            "did you mean `abc`?",
        ),
        ("[{not_null: [x]}, {not_null: [x]}]", "two checks of `abc`", "another `name`"),
    ] {
        let error = job(&format!("tables: [abc]\nchecks: {case}\n")).unwrap_err();
        let hint = error.hint().unwrap_or_default();
        assert!(error.to_string().contains(cause) && hint.contains(next), "{error} -> {hint}");
    }
}
