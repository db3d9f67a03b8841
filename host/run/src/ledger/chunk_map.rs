//! The chunks of a run, as people look at them: the state of each in one letter, and one chunk in full.

use longshore_model::error::Result;
use rusqlite::{Connection, OptionalExtension, Row, params};
use schemars::JsonSchema;
use serde::Serialize;

use super::Ledger;
use super::executors::EXECUTORS_OF_ATTEMPT;
use super::history::{AttemptRecord, attempt_record};
use crate::phase::{Outcome, Phase};

/// The counts of a relation of a run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RelationCounts {
    /// Its name in the job.
    pub name: String,
    /// Its chunks.
    pub chunks: u64,
    /// Its chunks that are done.
    pub done: u64,
    /// The rows of those.
    pub rows: u64,
    /// The bytes of those.
    pub bytes: u64,
}

/// The chunks of a relation of a run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RelationChunks {
    /// The relation's name in the job.
    pub name: String,
    /// The number of its chunks.
    pub chunks: usize,
    /// A letter for each chunk: `d` done, `r` running, `a` failed and to be tried again, `f` failed for good,
    /// `.` waiting.
    pub states: String,
    /// The chunks that took more than one attempt, each with the number of its attempts.
    pub attempts: Vec<(usize, u32)>,
}

/// A chunk of a run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ChunkDetails {
    /// What the connector calls it; empty where the run is over.
    pub label: String,
    /// Its rows, or an estimate of them.
    pub rows: Option<u64>,
    /// Its bytes, or an estimate of them.
    pub bytes: Option<u64>,
    /// All attempts at it, oldest first.
    pub attempts: Vec<AttemptRecord>,
}

/// A relation in the ledger.
struct RelationRow {
    position: usize,
    name: String,
    /// Chunks in the plan. They are forgotten when the run ends.
    planned: usize,
}

/// A task in the ledger.
struct TaskRow {
    chunk: usize,
    attempts: u32,
    is_done: bool,
    is_running: bool,
}

impl Ledger {
    /// The counts of the relations of a run that has not ended.
    pub fn relation_counts(&self, run: &str) -> Result<Vec<RelationCounts>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT json_extract(target, '$.relation'),
                        (SELECT count(*) FROM chunks WHERE run = ?1 AND relation = position),
                        (SELECT count(*) FROM tasks WHERE run = ?1 AND relation = position AND done),
                        (SELECT coalesce(sum(rows), 0) FROM parts WHERE run = ?1 AND relation = position),
                        (SELECT coalesce(sum(bytes), 0) FROM parts WHERE run = ?1 AND relation = position)
                 FROM relations WHERE run = ?1 ORDER BY position",
            )?;
            let counts = |row: &Row<'_>| {
                Ok(RelationCounts {
                    name: row.get(0)?,
                    chunks: row.get(1)?,
                    done: row.get(2)?,
                    rows: row.get(3)?,
                    bytes: row.get(4)?,
                })
            };
            Ok(statement.query_map([run], counts)?.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The chunks of a run's relations; none if no run has this id.
    pub fn chunk_map(&self, run: &str) -> Result<Option<Vec<RelationChunks>>> {
        let Some(entry) = self.entry(run)? else { return Ok(None) };
        self.with_connection(|connection| {
            let relations = relations(connection, run)?;
            let map = relations.into_iter().map(|relation| {
                let tasks = tasks(connection, run, relation.position)?;
                Ok(chunks(relation, &tasks, entry.phase))
            });
            Ok(Some(map.collect::<rusqlite::Result<_>>()?))
        })
    }

    /// A chunk of a run's relation; none if there is no such chunk.
    pub fn chunk(&self, run: &str, relation: &str, chunk: usize) -> Result<Option<ChunkDetails>> {
        self.with_connection(|connection| {
            let relations = relations(connection, run)?;
            let Some(found) = relations.into_iter().find(|found| found.name == relation) else {
                return Ok(None);
            };
            let planned = planned_chunk(connection, run, found.position, chunk)?;
            let attempts = attempts(connection, run, &found, chunk)?;
            if planned.is_none() && attempts.is_empty() {
                return Ok(None);
            }
            let (label, rows, bytes) = planned.unwrap_or_default();
            Ok(Some(ChunkDetails { label, rows, bytes, attempts }))
        })
    }
}

fn relations(connection: &Connection, run: &str) -> rusqlite::Result<Vec<RelationRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT position, json_extract(target, '$.relation'),
                (SELECT count(*) FROM chunks WHERE run = ?1 AND relation = position)
         FROM relations WHERE run = ?1 ORDER BY position",
    )?;
    let relation = |row: &Row<'_>| {
        Ok(RelationRow { position: row.get(0)?, name: row.get(1)?, planned: row.get(2)? })
    };
    statement.query_map([run], relation)?.collect()
}

fn tasks(connection: &Connection, run: &str, relation: usize) -> rusqlite::Result<Vec<TaskRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT chunk, attempts, done,
                EXISTS (SELECT 1 FROM attempts WHERE run = ?1 AND relation = ?2
                        AND chunk = tasks.chunk AND attempt = tasks.attempts - 1
                        AND restart = (SELECT restarts FROM runs WHERE id = ?1) AND finished IS NULL)
         FROM tasks WHERE run = ?1 AND relation = ?2",
    )?;
    let task = |row: &Row<'_>| {
        Ok(TaskRow {
            chunk: row.get(0)?,
            attempts: row.get(1)?,
            is_done: row.get(2)?,
            is_running: row.get(3)?,
        })
    };
    statement.query_map(params![run, relation], task)?.collect()
}

fn chunks(relation: RelationRow, tasks: &[TaskRow], phase: Phase) -> RelationChunks {
    let begun = tasks.iter().map(|task| task.chunk + 1).max().unwrap_or(0);
    let count = relation.planned.max(begun);
    // Where chunks cannot be made alone, the first stands for all.
    let is_whole = matches!(phase, Phase::Committing | Phase::Done(Outcome::Succeeded))
        && tasks.iter().all(|task| task.is_done);
    let waiting = if is_whole { b'd' } else { b'.' };
    let mut states = vec![waiting; count];
    for task in tasks {
        states[task.chunk] = letter(task, phase);
    }
    let attempts = tasks.iter().filter(|task| task.attempts > 1);
    RelationChunks {
        name: relation.name,
        chunks: count,
        states: states.into_iter().map(char::from).collect(),
        attempts: attempts.map(|task| (task.chunk, task.attempts)).collect(),
    }
}

fn letter(task: &TaskRow, phase: Phase) -> u8 {
    match (task.is_done, task.is_running, phase.is_done()) {
        (true, _, _) => b'd',
        (false, true, false) => b'r',
        (false, false, false) => b'a',
        (false, _, true) => b'f',
    }
}

type PlannedChunk = (String, Option<u64>, Option<u64>);

/// A chunk of the plan, by its number among all of the relation's.
fn planned_chunk(
    connection: &Connection,
    run: &str,
    relation: usize,
    chunk: usize,
) -> rusqlite::Result<Option<PlannedChunk>> {
    let mut statement = connection.prepare_cached(
        "SELECT label, rows, bytes FROM chunks WHERE run = ?1 AND relation = ?2
         ORDER BY scan, chunk LIMIT 1 OFFSET ?3",
    )?;
    let found = statement.query_row(params![run, relation, chunk], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    });
    found.optional()
}

fn attempts(
    connection: &Connection,
    run: &str,
    relation: &RelationRow,
    chunk: usize,
) -> rusqlite::Result<Vec<AttemptRecord>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT ?4, chunk, attempt, restart, started, finished, class, owner, error, {EXECUTORS_OF_ATTEMPT}
         FROM attempts WHERE run = ?1 AND relation = ?2 AND chunk = ?3 ORDER BY started, attempt"
    ))?;
    let values = params![run, relation.position, chunk, relation.name];
    statement.query_map(values, attempt_record)?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(chunk: usize, attempts: u32, is_done: bool, is_running: bool) -> TaskRow {
        TaskRow { chunk, attempts, is_done, is_running }
    }

    fn states(planned: usize, tasks: &[TaskRow], phase: Phase) -> String {
        chunks(RelationRow { position: 0, name: "orders".into(), planned }, tasks, phase).states
    }

    #[test]
    fn each_chunk_has_the_letter_of_its_state() {
        let tasks = [task(0, 1, true, false), task(1, 1, false, true), task(3, 2, false, false)];
        assert_eq!(states(5, &tasks, Phase::Reading), "dr.a.");
        assert_eq!(states(0, &tasks, Phase::Done(Outcome::Failed)), "df.f");
    }

    #[test]
    fn a_relation_that_is_made_as_a_whole_is_done_when_its_first_task_is() {
        let tasks = [task(0, 1, true, false)];
        assert_eq!(states(3, &tasks, Phase::Reading), "d..");
        assert_eq!(states(3, &tasks, Phase::Committing), "ddd");
    }
}
