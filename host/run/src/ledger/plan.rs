//! A run's plan: where its relations go, and the chunks that they are read in.

use longshore_model::error::Result;
use longshore_model::part::Spot;
use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::Ledger;
use super::claims::reset_crashes;
use super::runs::advance;
use crate::phase::Event;

/// What a run has planned.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanRecord {
    /// What the plan is only good for: versions of the program and of its plugins.
    pub built_by: String,
    /// The snapshot, as the planner keeps it.
    pub hold: String,
    /// What the run will see of the source.
    pub consistency: String,
    /// The relations, in the job's order.
    pub relations: Vec<RelationRecord>,
}

/// One relation of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct RelationRecord {
    /// Its place in the target.
    pub spot: Spot,
    /// How it is read.
    pub scans: Vec<ScanRecord>,
}

/// One scan of a relation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScanRecord {
    /// Which of the relation's inputs is read.
    #[serde(default)]
    pub input: usize,
    /// The columns, if not all.
    pub projection: Option<Vec<String>>,
    /// The condition.
    pub filter: Option<String>,
    /// The limit.
    pub limit: Option<u64>,
    /// What each chunk sees.
    pub consistency: String,
    /// How it was cut.
    pub strategy: String,
    /// The chunks.
    #[serde(skip)]
    pub chunks: Vec<ChunkRecord>,
}

/// One chunk.
#[derive(Clone, Debug, PartialEq)]
pub struct ChunkRecord {
    /// For people.
    pub label: String,
    /// For the connector.
    pub descriptor: Vec<u8>,
    /// Estimated rows.
    pub rows: Option<u64>,
    /// Estimated bytes.
    pub bytes: Option<u64>,
}

impl Ledger {
    /// Writes down the places that a run has reserved, before it plans.
    pub fn reserve(&self, run: &str, spots: &[Spot]) -> Result<()> {
        self.change(|change| {
            for (position, spot) in spots.iter().enumerate() {
                change.execute(
                    "INSERT OR REPLACE INTO relations (run, position, spot) VALUES (?1, ?2, ?3)",
                    params![run, position, serde_json::to_string(spot)?],
                )?;
            }
            Ok(())
        })
    }

    /// Writes a plan down, before anything of it is done.
    pub fn plan(&self, run: &str, plan: &PlanRecord) -> Result<()> {
        self.change(|change| {
            advance(change, run, Event::Plan)?;
            reset_crashes(change, run)?;
            change.execute(
                "UPDATE runs SET built_by = ?2, hold = ?3, consistency = ?4 WHERE id = ?1",
                params![run, plan.built_by, plan.hold, plan.consistency],
            )?;
            let mut insert = change.prepare(
                "INSERT INTO chunks (run, relation, scan, chunk, label, descriptor, rows, bytes)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?;
            for (position, relation) in plan.relations.iter().enumerate() {
                change.execute(
                    "INSERT OR REPLACE INTO relations (run, position, spot, scans)
                     VALUES (?1, ?2, ?3, ?4)",
                    params![
                        run,
                        position,
                        serde_json::to_string(&relation.spot)?,
                        serde_json::to_string(&relation.scans)?
                    ],
                )?;
                for (scan, record) in relation.scans.iter().enumerate() {
                    for (chunk, c) in record.chunks.iter().enumerate() {
                        insert.execute(params![
                            run,
                            position,
                            scan,
                            chunk,
                            c.label,
                            c.descriptor,
                            c.rows,
                            c.bytes
                        ])?;
                    }
                }
            }
            Ok(())
        })
    }

    /// The plan of a run, if it got that far.
    pub fn planned(&self, run: &str) -> Result<Option<PlanRecord>> {
        self.with_connection(|connection| {
            let found: Option<(Option<String>, Option<String>, Option<String>)> = connection
                .query_row(
                    "SELECT built_by, hold, consistency FROM runs WHERE id = ?1",
                    [run],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )
                .optional()?;
            let Some((Some(built_by), Some(hold), Some(consistency))) = found else {
                return Ok(None);
            };
            let mut relations = Vec::new();
            let mut statement = connection.prepare(
                "SELECT position, spot, scans FROM relations WHERE run = ?1 ORDER BY position",
            )?;
            let mut rows = statement.query([run])?;
            while let Some(row) = rows.next()? {
                let position: usize = row.get(0)?;
                let Some(scans) = row.get::<_, Option<String>>(2)? else { return Ok(None) };
                let mut scans: Vec<ScanRecord> = serde_json::from_str(&scans)?;
                for (index, scan) in scans.iter_mut().enumerate() {
                    let mut chunks = connection.prepare_cached(
                        "SELECT label, descriptor, rows, bytes FROM chunks
                         WHERE run = ?1 AND relation = ?2 AND scan = ?3 ORDER BY chunk",
                    )?;
                    let chunks = chunks.query_map(params![run, position, index], |row| {
                        Ok(ChunkRecord {
                            label: row.get(0)?,
                            descriptor: row.get(1)?,
                            rows: row.get(2)?,
                            bytes: row.get(3)?,
                        })
                    })?;
                    scan.chunks = chunks.collect::<rusqlite::Result<_>>()?;
                }
                let spot = serde_json::from_str(&row.get::<_, String>(1)?)?;
                relations.push(RelationRecord { spot, scans });
            }
            Ok(Some(PlanRecord { built_by, hold, consistency, relations }))
        })
    }

    /// The places that a run has reserved.
    pub fn spots(&self, run: &str) -> Result<Vec<Spot>> {
        self.with_connection(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT spot FROM relations WHERE run = ?1 ORDER BY position")?;
            let texts = statement.query_map([run], |row| row.get::<_, String>(0))?;
            texts.map(|text| Ok(serde_json::from_str(&text?)?)).collect()
        })
    }

    /// Forgets a run's plan, its parts and its commit. Its targets stay reserved.
    pub fn restart(&self, run: &str, reason: &str) -> Result<()> {
        self.change(|change| {
            advance(change, run, Event::Restart)?;
            change.execute(
                "UPDATE runs SET built_by = NULL, hold = NULL, manifest = NULL,
                                 restarts = restarts + 1 WHERE id = ?1",
                [run],
            )?;
            for table in ["chunks", "tasks", "parts"] {
                change.execute(&format!("DELETE FROM {table} WHERE run = ?1"), [run])?;
            }
            change.execute(
                "INSERT INTO events (run, at, text) VALUES (?1, ?2, ?3)",
                params![run, super::now(), format!("begun anew: {reason}")],
            )?;
            Ok(())
        })
    }
}
