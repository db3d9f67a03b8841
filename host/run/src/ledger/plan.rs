//! The plans of runs: the targets of the relations, their scans, and the chunks of each scan.

use longshore_engine::scan::{Chunk, ScanPlan};
use longshore_model::error::{Class, Error, Result};
use longshore_model::part::RelationTarget;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::de::DeserializeOwned;

use super::Ledger;
use super::claims::reset_crashes;
use super::events::record_event;
use super::runs::advance;
use super::watermarks::release_claims;
use crate::phase::Event;
use crate::plan_record::{BuiltBy, PlanRecord};

impl Ledger {
    /// Records the targets that a run has reserved, before it plans.
    pub fn reserve(&self, run: &str, targets: &[RelationTarget]) -> Result<()> {
        self.change(|change| {
            for (position, target) in targets.iter().enumerate() {
                change.execute(
                    "INSERT OR REPLACE INTO relations (run, position, target) VALUES (?1, ?2, ?3)",
                    params![run, position, serde_json::to_string(target)?],
                )?;
            }
            Ok(())
        })
    }

    /// Records a plan, before anything is read by it. The targets are reserved already.
    pub fn plan(&self, run: &str, plan: &PlanRecord) -> Result<()> {
        self.change(|change| {
            advance(change, run, Event::Plan)?;
            reset_crashes(change, run)?;
            change.execute(
                "UPDATE runs SET built_by = ?2, snapshot = ?3, has_holder = ?4 WHERE id = ?1",
                params![
                    run,
                    serde_json::to_string(&plan.built_by)?,
                    serde_json::to_string(&plan.snapshot)?,
                    plan.has_holder
                ],
            )?;
            for (position, scans) in plan.scans.iter().enumerate() {
                change.execute(
                    "UPDATE relations SET scans = ?3 WHERE run = ?1 AND position = ?2",
                    params![run, position, serde_json::to_string(scans)?],
                )?;
                insert_chunks(change, run, position, scans)?;
            }
            Ok(())
        })
    }

    /// The program and the plugins that planned a run; the default if nobody did, or another version
    /// that recorded it in another way.
    pub fn built_by(&self, run: &str) -> Result<BuiltBy> {
        self.with_connection(|connection| {
            let built_by: Option<Option<String>> = connection
                .query_row("SELECT built_by FROM runs WHERE id = ?1", [run], |row| row.get(0))
                .optional()?;
            let built_by = built_by.flatten();
            Ok(built_by.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
        })
    }

    /// The plan of a run that reads. A plan that cannot be read is stale: another version recorded it.
    pub fn planned(&self, run: &str) -> Result<PlanRecord> {
        let built_by = self.built_by(run)?;
        self.with_connection(|connection| {
            let (snapshot, has_holder): (Option<String>, bool) = connection.query_row(
                "SELECT snapshot, has_holder FROM runs WHERE id = ?1",
                [run],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let mut statement = connection
                .prepare_cached("SELECT scans FROM relations WHERE run = ?1 ORDER BY position")?;
            let texts = statement.query_map([run], |row| row.get(0))?;
            let mut relations = Vec::new();
            for (position, text) in texts.enumerate() {
                let mut scans: Vec<ScanPlan> = parse(text?)?;
                for (scan, plan) in scans.iter_mut().enumerate() {
                    plan.chunks = chunks(connection, run, position, scan)?;
                }
                relations.push(scans);
            }
            Ok(PlanRecord { built_by, snapshot: parse(snapshot)?, has_holder, scans: relations })
        })
    }

    /// The targets that a run has reserved.
    pub fn targets(&self, run: &str) -> Result<Vec<RelationTarget>> {
        self.with_connection(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT target FROM relations WHERE run = ?1 ORDER BY position")?;
            let texts = statement.query_map([run], |row| row.get::<_, String>(0))?;
            texts.map(|text| Ok(serde_json::from_str(&text?)?)).collect()
        })
    }

    /// Forgets a run's plan, its parts and its commit. Its targets stay reserved.
    pub fn restart(&self, run: &str, reason: &str) -> Result<()> {
        self.change(|change| {
            advance(change, run, Event::Restart)?;
            change.execute(
                "UPDATE runs SET built_by = NULL, snapshot = NULL, manifest = NULL,
                                 restarts = restarts + 1 WHERE id = ?1",
                [run],
            )?;
            release_claims(change, run)?;
            for table in ["chunks", "tasks", "parts", "measures", "source_sums"] {
                change.execute(&format!("DELETE FROM {table} WHERE run = ?1"), [run])?;
            }
            Ok(record_event(change, run, None, &format!("restarted: {reason}"))?)
        })
    }
}

/// A part of a plan, from JSON.
fn parse<T: DeserializeOwned>(text: Option<String>) -> Result<T> {
    serde_json::from_str(&text.unwrap_or_default()).map_err(|error| {
        Error::new(Class::Stale, format!("another version of Longshore made the plan: {error}"))
    })
}

fn insert_chunks(
    change: &Transaction<'_>,
    run: &str,
    position: usize,
    scans: &[ScanPlan],
) -> rusqlite::Result<()> {
    let mut insert = change.prepare_cached(
        "INSERT INTO chunks (run, relation, scan, chunk, label, descriptor, rows, bytes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for (scan, plan) in scans.iter().enumerate() {
        for (chunk, Chunk { label, descriptor, rows, bytes }) in plan.chunks.iter().enumerate() {
            insert.execute(params![run, position, scan, chunk, label, descriptor, rows, bytes])?;
        }
    }
    Ok(())
}

fn chunks(
    connection: &Connection,
    run: &str,
    position: usize,
    scan: usize,
) -> rusqlite::Result<Vec<Chunk>> {
    let mut chunks = connection.prepare_cached(
        "SELECT label, descriptor, rows, bytes FROM chunks
         WHERE run = ?1 AND relation = ?2 AND scan = ?3 ORDER BY chunk",
    )?;
    let chunk = |row: &Row<'_>| {
        let (label, descriptor) = (row.get(0)?, row.get(1)?);
        Ok(Chunk { label, descriptor, rows: row.get(2)?, bytes: row.get(3)? })
    };
    chunks.query_map(params![run, position, scan], chunk)?.collect()
}
