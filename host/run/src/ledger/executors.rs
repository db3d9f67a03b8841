//! Who carries attempts out, where a cluster does.

use longshore_model::error::Result;
use rusqlite::{Connection, Row, params};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Ledger, Task};

/// What an executor of a cluster did for a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ExecutorRecord {
    /// Its name.
    pub executor: String,
    /// Attempts that it works on.
    pub running: u64,
    /// Attempts that succeeded. One that several executors made counts for each.
    pub done: u64,
    /// Attempts that failed, or were left.
    pub failed: u64,
}

/// SQL: the executors of a row of `attempts`, in one text; NULL if there are none.
pub(super) const EXECUTORS_OF_ATTEMPT: &str = "
    (SELECT group_concat(executor, ', ') FROM executors
     WHERE (run, restart, relation, chunk, attempt)
         = (attempts.run, attempts.restart, attempts.relation, attempts.chunk, attempts.attempt))";

impl Ledger {
    /// Records that an executor has begun an attempt, or a part of it.
    pub fn begun_by(&self, run: &str, task: Task, attempt: u32, executor: &str) -> Result<()> {
        self.with_connection(|connection| {
            connection
                .prepare_cached(
                    "INSERT OR IGNORE INTO executors
                     SELECT id, restarts, ?2, ?3, ?4, ?5 FROM runs WHERE id = ?1",
                )?
                .execute(params![run, task.relation, task.chunk, attempt, executor])?;
            Ok(())
        })
    }
}

/// The executors of a run, by their names.
pub(super) fn executors_of(
    connection: &Connection,
    run: &str,
) -> rusqlite::Result<Vec<ExecutorRecord>> {
    let mut statement = connection.prepare_cached(
        "SELECT executor, sum(finished IS NULL), sum(finished IS NOT NULL AND error IS NULL),
                sum(error IS NOT NULL)
         FROM executors JOIN attempts USING (run, restart, relation, chunk, attempt)
         WHERE run = ?1 GROUP BY executor ORDER BY executor",
    )?;
    let record = |row: &Row<'_>| {
        Ok(ExecutorRecord {
            executor: row.get(0)?,
            running: row.get(1)?,
            done: row.get(2)?,
            failed: row.get(3)?,
        })
    };
    statement.query_map([run], record)?.collect()
}
