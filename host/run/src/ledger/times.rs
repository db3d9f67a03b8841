//! The times of a run's attempts, for traces.

use longshore_model::error::Result;
use rusqlite::{Row, params};

use super::Ledger;
use super::executors::EXECUTORS_OF_ATTEMPT;

/// The attempts at the chunks of a relation, together.
#[derive(Clone, Debug)]
pub struct RelationTimes {
    /// The relation's position in the job.
    pub position: usize,
    /// Its name in the job.
    pub relation: String,
    /// When the first attempt began.
    pub started: String,
    /// When the last one ended.
    pub finished: Option<String>,
    /// How many there were.
    pub attempts: u64,
    /// How many of them failed.
    pub failed: u64,
}

/// One attempt at a chunk.
#[derive(Clone, Debug)]
pub struct AttemptTimes {
    /// The relation's position in the job.
    pub relation: usize,
    /// The chunk.
    pub chunk: u64,
    /// The attempt's number, from 0.
    pub attempt: u32,
    /// The number of restarts before it.
    pub restart: u32,
    /// The executors of a cluster that have begun it.
    pub executor: Option<String>,
    /// When it began.
    pub started: String,
    /// When it ended.
    pub finished: Option<String>,
    /// The class of its error.
    pub class: Option<String>,
    /// Its error.
    pub error: Option<String>,
}

impl Ledger {
    /// The relations of a run of which something was attempted, in the job's order; at most `limit`.
    pub fn relation_times(&self, run: &str, limit: usize) -> Result<Vec<RelationTimes>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT relation, coalesce(json_extract(target, '$.relation'), ''), min(started),
                        max(finished), count(*), count(error)
                 FROM attempts LEFT JOIN relations
                   ON relations.run = attempts.run AND position = relation
                 WHERE attempts.run = ?1 GROUP BY relation ORDER BY relation LIMIT ?2",
            )?;
            let times = |row: &Row<'_>| {
                Ok(RelationTimes {
                    position: row.get(0)?,
                    relation: row.get(1)?,
                    started: row.get(2)?,
                    finished: row.get(3)?,
                    attempts: row.get(4)?,
                    failed: row.get(5)?,
                })
            };
            let found = statement.query_map(params![run, limit], times)?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The attempts of a run, in their order; none if there are more than `limit`.
    pub fn attempt_times(&self, run: &str, limit: usize) -> Result<Vec<AttemptTimes>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT relation, chunk, attempt, restart, started, finished, class, error, {EXECUTORS_OF_ATTEMPT}
                 FROM attempts WHERE run = ?1 AND (SELECT count(*) FROM attempts WHERE run = ?1) <= ?2
                 ORDER BY started"
            ))?;
            let times = |row: &Row<'_>| {
                Ok(AttemptTimes {
                    relation: row.get(0)?,
                    chunk: row.get(1)?,
                    attempt: row.get(2)?,
                    restart: row.get(3)?,
                    started: row.get(4)?,
                    finished: row.get(5)?,
                    class: row.get(6)?,
                    error: row.get(7)?,
                    executor: row.get(8)?,
                })
            };
            let found = statement.query_map(params![run, limit], times)?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
    }
}
