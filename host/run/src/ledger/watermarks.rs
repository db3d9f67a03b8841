//! Watermarks. A run claims those that it moves when it records its commit, and moves them when it ends: no other
//! run publishes what lies behind the same watermark.

use longshore_model::error::{Class, Error, Result};
use longshore_model::watermark::{Advance, Backfill, Watermark};
use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Ledger, fault, now};

/// A watermark, as people see it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct WatermarkEntry {
    /// The job's name.
    pub job: String,
    /// The table or query, by its name in the job.
    pub relation: String,
    /// How far it has been loaded; none where somebody took the watermark away.
    #[schemars(with = "Option<serde_json::Value>")]
    pub watermark: Option<Watermark>,
    /// The run that moved it last; none where somebody set it.
    pub run: Option<String>,
    /// When that was.
    pub updated: String,
}

/// The watermarks that a run of a job moves.
#[derive(Clone, Copy, Debug)]
pub struct JobAdvances<'a> {
    /// The job's name.
    pub job: &'a str,
    /// The watermarks.
    pub advances: &'a [Advance],
}

impl JobAdvances<'_> {
    /// None.
    pub const NONE: Self = Self { job: "", advances: &[] };
}

impl Ledger {
    /// The watermarks of a job, or of all jobs.
    pub fn watermarks(&self, job: Option<&str>) -> Result<Vec<WatermarkEntry>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT job, relation, watermark, run, updated FROM watermarks
                 WHERE ?1 IS NULL OR job = ?1 ORDER BY job, relation",
            )?;
            let entry = |row: &Row<'_>| {
                Ok(WatermarkEntry {
                    job: row.get(0)?,
                    relation: row.get(1)?,
                    watermark: watermark(row, 2)?,
                    run: row.get(3)?,
                    updated: row.get(4)?,
                })
            };
            Ok(statement.query_map([job], entry)?.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Sets a watermark by hand, or takes it away. A run that publishes just now must end first.
    pub fn set_watermark(
        &self,
        job: &str,
        relation: &str,
        watermark: Option<&Watermark>,
    ) -> Result<()> {
        self.change_for_good(|change| {
            if let Some(run) = claimant(change, job, relation)? {
                return Err(Error::config(format!("run {run} is about to move the watermark"))
                    .with_hint("try again when it is over: `longshore runs` tells")
                    .into());
            }
            put(change, (job, relation), watermark, None)
        })
    }

    /// Remembers a watermark that was found in a manifest, unless there is one.
    pub fn remember_watermark(
        &self,
        job: &str,
        relation: &str,
        watermark: &Watermark,
        run: &str,
    ) -> Result<()> {
        self.change_for_good(|change| {
            change.execute(
                "INSERT INTO watermarks (job, relation, watermark, run, updated)
                 VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
                params![job, relation, serde_json::to_string(watermark)?, run, now()],
            )?;
            Ok(())
        })
    }

    /// The run that is about to move a watermark of a job, if one is.
    pub fn watermark_claimant(&self, job: &str) -> Result<Option<String>> {
        self.with_connection(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT run FROM watermark_claims WHERE job = ?1 LIMIT 1")?;
            Ok(statement.query_row([job], |row| row.get(0)).optional()?)
        })
    }

    /// Records that a run loads a window once more.
    pub fn set_backfill(&self, run: &str, backfill: &Backfill) -> Result<()> {
        self.change(|change| {
            change.execute(
                "INSERT OR REPLACE INTO backfills (run, from_value, to_value) VALUES (?1, ?2, ?3)",
                params![run, backfill.from, backfill.to],
            )?;
            Ok(())
        })
    }

    /// The window that a run loads once more, if it does.
    pub fn backfill(&self, run: &str) -> Result<Option<Backfill>> {
        self.with_connection(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT from_value, to_value FROM backfills WHERE run = ?1")?;
            let window = |row: &Row<'_>| Ok(Backfill { from: row.get(0)?, to: row.get(1)? });
            Ok(statement.query_row([run], window).optional()?)
        })
    }
}

/// Claims the watermarks that a run moves. A watermark that is not the one that the run was planned with makes
/// its plan stale.
pub(super) fn claim(
    change: &Transaction<'_>,
    run: &str,
    JobAdvances { job, advances }: JobAdvances<'_>,
) -> fault::Result<()> {
    for Advance { relation, before, .. } in advances {
        if let Some(other) = claimant(change, job, relation)?.filter(|other| other != run) {
            let what = format!("{relation}: run {other} of this job is about to publish");
            return Err(Error::new(Class::Stale, what).into());
        }
        let mut statement = change
            .prepare_cached("SELECT watermark FROM watermarks WHERE job = ?1 AND relation = ?2")?;
        let known = statement.query_row([job, relation], |row| watermark(row, 0)).optional()?;
        if known.is_some_and(|known| known != *before) {
            let what = format!("{relation}: the watermark has moved since the run was planned");
            return Err(Error::new(Class::Stale, what).into());
        }
        change.execute(
            "INSERT OR REPLACE INTO watermark_claims (job, relation, run) VALUES (?1, ?2, ?3)",
            [job, relation, run],
        )?;
    }
    Ok(())
}

/// Moves the watermarks that a run has claimed, or of which nothing is known.
pub(super) fn move_claimed(
    change: &Transaction<'_>,
    run: &str,
    JobAdvances { job, advances }: JobAdvances<'_>,
) -> fault::Result<()> {
    for Advance { relation, after, .. } in advances {
        let is_claimed = claimant(change, job, relation)?.is_some_and(|claimant| claimant == run);
        let is_known: bool = change.query_row(
            "SELECT EXISTS (SELECT 1 FROM watermarks WHERE job = ?1 AND relation = ?2)",
            [job, relation],
            |row| row.get(0),
        )?;
        if is_claimed || !is_known {
            put(change, (job, relation), Some(after), Some(run))?;
        }
    }
    Ok(())
}

/// A run claims nothing any more.
pub(super) fn release_claims(change: &Transaction<'_>, run: &str) -> rusqlite::Result<()> {
    change.execute("DELETE FROM watermark_claims WHERE run = ?1", [run])?;
    Ok(())
}

fn claimant(
    change: &Transaction<'_>,
    job: &str,
    relation: &str,
) -> rusqlite::Result<Option<String>> {
    let mut statement = change
        .prepare_cached("SELECT run FROM watermark_claims WHERE job = ?1 AND relation = ?2")?;
    statement.query_row([job, relation], |row| row.get(0)).optional()
}

fn put(
    change: &Transaction<'_>,
    (job, relation): (&str, &str),
    watermark: Option<&Watermark>,
    run: Option<&str>,
) -> fault::Result<()> {
    let watermark = watermark.map(serde_json::to_string).transpose()?;
    change.execute(
        "INSERT OR REPLACE INTO watermarks (job, relation, watermark, run, updated)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![job, relation, watermark, run, now()],
    )?;
    Ok(())
}

fn watermark(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Watermark>> {
    let Some(text) = row.get::<_, Option<String>>(column)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use longshore_engine::scan::ScanPlan;
    use longshore_model::config::ParameterRecord;
    use longshore_sandbox::{Snapshot, SnapshotResult};

    use super::*;
    use crate::ledger::{NewRun, Owner};
    use crate::phase::Outcome;
    use crate::plan_record::{BuiltBy, PlanRecord};

    fn mark(value: &str) -> Watermark {
        let (column, value) = (Some("id".into()), Some(value.to_owned()));
        Watermark { column, value, ..Watermark::default() }
    }

    /// A run of the job `shop` that is about to commit.
    fn planned(ledger: &Ledger, run: &str) {
        let new = NewRun {
            id: run,
            job: "shop",
            digest: "d",
            file: Path::new("/in/shop.yaml"),
            parameters: &ParameterRecord::default(),
            owner: Owner::Command,
        };
        ledger.begin(&new).unwrap();
        let snapshot = Snapshot { token: "t".into(), label: "l".into() };
        let plan = PlanRecord {
            built_by: BuiltBy::default(),
            snapshot: SnapshotResult::Opened(snapshot),
            has_holder: false,
            scans: Vec::<Vec<ScanPlan>>::new(),
        };
        ledger.plan(run, &plan).unwrap();
    }

    fn advance(before: Option<&str>, after: &str) -> [Advance; 1] {
        let (before, after) = (before.map(mark), mark(after));
        [Advance { relation: "orders".into(), before, after }]
    }

    fn commit(ledger: &Ledger, run: &str, advances: &[Advance]) -> Result<()> {
        ledger.record_commit(run, &"all of it", JobAdvances { job: "shop", advances })
    }

    fn finish(ledger: &Ledger, run: &str, outcome: Outcome, advances: &[Advance]) {
        let moved = JobAdvances { job: "shop", advances };
        ledger.finish_and_post(run, outcome, &"report", &[], moved).unwrap();
    }

    fn value(ledger: &Ledger) -> Option<String> {
        let entries = ledger.watermarks(Some("shop")).unwrap();
        entries.into_iter().next().and_then(|entry| entry.watermark?.value)
    }

    #[test]
    fn a_watermark_moves_when_its_run_ends() {
        let ledger = Ledger::in_memory().unwrap();
        let advances = advance(None, "5");
        planned(&ledger, "r1");
        commit(&ledger, "r1", &advances).unwrap();
        assert_eq!(value(&ledger), None);
        assert_eq!(ledger.watermark_claimant("shop").unwrap().as_deref(), Some("r1"));
        // Recorded again, as when it registers tables.
        commit(&ledger, "r1", &advances).unwrap();
        finish(&ledger, "r1", Outcome::Succeeded, &advances);
        assert_eq!(
            (value(&ledger), ledger.watermark_claimant("shop").unwrap()),
            (Some("5".into()), None)
        );
    }

    #[test]
    fn of_two_runs_one_moves_it_and_the_other_plans_again() {
        let ledger = Ledger::in_memory().unwrap();
        let (one, other) = (advance(None, "5"), advance(None, "7"));
        planned(&ledger, "r1");
        planned(&ledger, "r2");
        commit(&ledger, "r1", &one).unwrap();
        assert_eq!(commit(&ledger, "r2", &other).unwrap_err().class(), Class::Stale);
        finish(&ledger, "r1", Outcome::Succeeded, &one);
        assert_eq!(commit(&ledger, "r2", &other).unwrap_err().class(), Class::Stale);
        commit(&ledger, "r2", &advance(Some("5"), "7")).unwrap();
        finish(&ledger, "r2", Outcome::Succeeded, &other);
        assert_eq!(value(&ledger).as_deref(), Some("7"));
    }

    #[test]
    fn a_run_that_fails_moves_nothing_and_lets_go() {
        let ledger = Ledger::in_memory().unwrap();
        planned(&ledger, "r1");
        commit(&ledger, "r1", &advance(None, "5")).unwrap();
        assert!(ledger.set_watermark("shop", "orders", None).is_err(), "it is claimed");
        ledger.restart("r1", "the store refused").unwrap();
        assert_eq!(ledger.watermark_claimant("shop").unwrap(), None);
        finish(&ledger, "r1", Outcome::Failed, &[]);
        assert_eq!(value(&ledger), None);
    }

    #[test]
    fn a_watermark_that_was_taken_away_is_not_remembered_from_elsewhere() {
        let ledger = Ledger::in_memory().unwrap();
        ledger.set_watermark("shop", "orders", Some(&mark("3"))).unwrap();
        ledger.set_watermark("shop", "orders", None).unwrap();
        ledger.remember_watermark("shop", "orders", &mark("9"), "r9").unwrap();
        assert_eq!(value(&ledger), None);
        assert_eq!(ledger.watermarks(None).unwrap().len(), 1);
    }

    #[test]
    fn a_backfill_is_known_to_the_run_that_resumes() {
        let ledger = Ledger::in_memory().unwrap();
        let backfill = Backfill { from: "1".into(), to: "5".into() };
        ledger.set_backfill("r1", &backfill).unwrap();
        assert_eq!(ledger.backfill("r1").unwrap(), Some(backfill));
        assert_eq!(ledger.backfill("r2").unwrap(), None);
    }
}
