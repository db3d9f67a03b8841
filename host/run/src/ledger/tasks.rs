//! The tasks of runs: the attempts at each, and their parts.

use std::collections::HashMap;

use longshore_engine::write::WriteResult;
use longshore_model::error::{Error, Result};
use longshore_model::part::Part;
use rusqlite::params;

use super::claims::reset_crashes;
use super::{Ledger, measures, now};

/// One task of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    /// The relation's position in the job.
    pub relation: usize,
    /// The chunk; 0 for a relation that is made as a whole.
    pub chunk: usize,
}

/// The progress of a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// The attempts so far.
    pub attempts: u32,
    /// Its parts and what its checks found, if it is done.
    pub written: Option<WriteResult>,
}

impl Ledger {
    /// Records that an attempt starts; gives its number, from 0, which no other attempt has.
    pub fn attempt(&self, run: &str, task: Task) -> Result<u32> {
        self.change(|change| {
            let attempts: u32 = change
                .prepare_cached(
                    "INSERT INTO tasks (run, relation, chunk, attempts) VALUES (?1, ?2, ?3, 1)
                     ON CONFLICT DO UPDATE SET attempts = attempts + 1 RETURNING attempts",
                )?
                .query_row(params![run, task.relation, task.chunk], |row| row.get(0))?;
            change
                .prepare_cached(
                    "INSERT OR REPLACE INTO attempts (run, restart, relation, chunk, attempt, started)
                     SELECT id, restarts, ?2, ?3, ?4, ?5 FROM runs WHERE id = ?1",
                )?
                .execute(params![run, task.relation, task.chunk, attempts - 1, now()])?;
            Ok(attempts - 1)
        })
    }

    /// Records that an attempt failed.
    pub fn failed(&self, run: &str, task: Task, attempt: u32, error: &Error) -> Result<()> {
        self.with_connection(|connection| {
            connection
                .prepare_cached(
                    "UPDATE attempts SET finished = ?5, class = ?6, owner = ?7, error = ?8
                     WHERE run = ?1 AND relation = ?2 AND chunk = ?3 AND attempt = ?4
                       AND restart = (SELECT restarts FROM runs WHERE id = ?1)",
                )?
                .execute(params![
                    run,
                    task.relation,
                    task.chunk,
                    attempt,
                    now(),
                    error.class().name(),
                    error.class().owner(),
                    error.to_string()
                ])?;
            Ok(())
        })
    }

    /// Ends the attempts that a process left when it ended. Only for who has the run's lock.
    pub fn end_left_attempts(&self, run: &str) -> Result<()> {
        self.with_connection(|connection| {
            connection.execute(
                "UPDATE attempts SET finished = ?2, error = 'the process that worked on it ended'
                 WHERE run = ?1 AND finished IS NULL",
                params![run, now()],
            )?;
            Ok(())
        })
    }

    /// Records that an attempt succeeded, its parts, which are durable, and what its checks found.
    pub fn done(&self, run: &str, task: Task, attempt: u32, written: &WriteResult) -> Result<()> {
        let left_out = &written.left_out;
        let left_out =
            (!left_out.is_empty()).then(|| serde_json::to_string(left_out)).transpose()?;
        self.change(|change| {
            reset_crashes(change, run)?;
            if let Some(found) = &written.checks {
                measures::record(change, run, task, found)?;
            }
            for part in &written.parts {
                change
                    .prepare_cached(
                        "INSERT OR REPLACE INTO parts
                         (run, relation, task, file, chunk, rows, bytes, checksum, token)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                    )?
                    .execute(params![
                        run,
                        task.relation,
                        task.chunk,
                        part.file,
                        part.chunk,
                        part.rows,
                        part.bytes,
                        part.checksum.as_ref().map(ToString::to_string),
                        part.token
                    ])?;
            }
            change
                .prepare_cached(
                    "UPDATE tasks SET done = 1, left_out = ?4
                     WHERE run = ?1 AND relation = ?2 AND chunk = ?3",
                )?
                .execute(params![run, task.relation, task.chunk, left_out])?;
            change
                .prepare_cached(
                    "UPDATE attempts SET finished = ?5
                     WHERE run = ?1 AND relation = ?2 AND chunk = ?3 AND attempt = ?4
                       AND restart = (SELECT restarts FROM runs WHERE id = ?1)",
                )?
                .execute(params![run, task.relation, task.chunk, attempt, now()])?;
            Ok(())
        })
    }

    /// Forgets that a task is done: its parts are not as they were.
    pub fn redo(&self, run: &str, task: Task) -> Result<()> {
        self.change(|change| {
            change.execute(
                "DELETE FROM parts WHERE run = ?1 AND relation = ?2 AND task = ?3",
                params![run, task.relation, task.chunk],
            )?;
            change.execute(
                "UPDATE tasks SET done = 0 WHERE run = ?1 AND relation = ?2 AND chunk = ?3",
                params![run, task.relation, task.chunk],
            )?;
            measures::forget(change, run, task)
        })
    }

    /// Every task that was started.
    pub fn tasks(&self, run: &str) -> Result<HashMap<Task, Progress>> {
        let mut measures = self.measures(run)?;
        self.with_connection(|connection| {
            let mut tasks = HashMap::new();
            let mut statement = connection.prepare_cached(
                "SELECT relation, chunk, attempts, done, left_out FROM tasks WHERE run = ?1",
            )?;
            let mut rows = statement.query([run])?;
            while let Some(row) = rows.next()? {
                let task = Task { relation: row.get(0)?, chunk: row.get(1)? };
                let checks = measures.remove(&task);
                let left_out: Option<String> = row.get(4)?;
                let left_out = left_out.map(|text| serde_json::from_str(&text)).transpose()?;
                let left_out = left_out.unwrap_or_default();
                let written = WriteResult { checks, left_out, ..WriteResult::default() };
                let written = row.get::<_, bool>(3)?.then_some(written);
                tasks.insert(task, Progress { attempts: row.get(2)?, written });
            }
            let mut statement = connection.prepare_cached(
                "SELECT relation, task, file, chunk, rows, bytes, checksum, token FROM parts
                 WHERE run = ?1 ORDER BY relation, chunk, file",
            )?;
            let mut rows = statement.query([run])?;
            while let Some(row) = rows.next()? {
                let task = Task { relation: row.get(0)?, chunk: row.get(1)? };
                let part = Part {
                    file: row.get(2)?,
                    chunk: row.get(3)?,
                    rows: row.get(4)?,
                    bytes: row.get(5)?,
                    checksum: row.get::<_, Option<String>>(6)?.map(Into::into),
                    token: row.get(7)?,
                };
                let progress = tasks.get_mut(&task);
                if let Some(written) = progress.and_then(|progress| progress.written.as_mut()) {
                    written.parts.push(part);
                }
            }
            Ok(tasks)
        })
    }
}
