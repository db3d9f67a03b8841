//! What checks found in the tasks of a run that are done. It belongs to the attempt that succeeded: what an attempt
//! that failed has found is not kept.

use std::collections::HashMap;

use longshore_engine::check::ChunkChecks;
use longshore_model::error::Result;
use rusqlite::{Connection, params};

use super::{Ledger, Task, fault};

/// The counts of rows of a relation, as the report of a run has them.
const LAST_ROWS: &str = "
    SELECT json_extract(relation.value, '$.rows')
    FROM runs JOIN jobs ON jobs.id = runs.job, json_each(runs.report, '$.relations') AS relation
    WHERE jobs.name = ?1 AND runs.phase = 'succeeded' AND runs.id <> ?3
      AND json_extract(relation.value, '$.relation') = ?2
      AND json_extract(relation.value, '$.rows') > 0
    ORDER BY runs.finished DESC LIMIT 1";

impl Ledger {
    /// What checks found in the tasks that are done.
    pub fn measures(&self, run: &str) -> Result<HashMap<Task, ChunkChecks>> {
        self.with_connection(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT relation, task, found FROM measures WHERE run = ?1")?;
            let mut rows = statement.query([run])?;
            let mut measures = HashMap::new();
            while let Some(row) = rows.next()? {
                let task = Task { relation: row.get(0)?, chunk: row.get(1)? };
                measures.insert(task, serde_json::from_str(&row.get::<_, String>(2)?)?);
            }
            Ok(measures)
        })
    }

    /// Records what the source said of a check.
    pub fn record_source_sum(
        &self,
        run: &str,
        relation: usize,
        position: usize,
        sum: &str,
    ) -> Result<()> {
        self.change(|change| {
            change
                .prepare_cached("INSERT OR REPLACE INTO source_sums VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![run, relation, position, sum])?;
            Ok(())
        })
    }

    /// What the source said, by relation and check.
    pub fn source_sums(&self, run: &str) -> Result<HashMap<(usize, usize), String>> {
        self.with_connection(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT relation, position, sum FROM source_sums WHERE run = ?1")?;
            let sums =
                statement.query_map([run], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
            Ok(sums.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The rows that a job has published of a relation in its last successful run that had any, this run left out.
    pub fn last_rows(&self, job: &str, relation: &str, run: &str) -> Result<Option<u64>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(LAST_ROWS)?;
            let mut rows = statement.query(params![job, relation, run])?;
            Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
        })
    }
}

/// Records what checks found in a task, within a change.
pub(super) fn record(
    change: &Connection,
    run: &str,
    task: Task,
    found: &ChunkChecks,
) -> fault::Result<()> {
    change
        .prepare_cached("INSERT OR REPLACE INTO measures VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![run, task.relation, task.chunk, serde_json::to_string(found)?])?;
    Ok(())
}

/// Forgets what checks found in a task, within a change.
pub(super) fn forget(change: &Connection, run: &str, task: Task) -> fault::Result<()> {
    change
        .prepare_cached("DELETE FROM measures WHERE run = ?1 AND relation = ?2 AND task = ?3")?
        .execute(params![run, task.relation, task.chunk])?;
    Ok(())
}
