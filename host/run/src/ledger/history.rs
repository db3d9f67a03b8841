//! The history of runs, for `longshore runs`. The operator limits its length.

use longshore_model::error::Result;
use rusqlite::{OptionalExtension, Row};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::Ledger;
use crate::phase::Phase;

/// A run, in one line.
#[derive(Clone, Debug, Serialize)]
pub struct RunRecord {
    /// Its id.
    pub run: String,
    /// The job's name.
    pub job: String,
    /// Its phase; scripts are told its state.
    #[serde(rename = "state", serialize_with = "serialize_state")]
    pub phase: Phase,
    /// Who runs it: `daemon` or `command`.
    pub owner: String,
    /// When it began.
    pub created: String,
    /// When it ended.
    pub finished: Option<String>,
    /// How often it restarted.
    pub restarts: u32,
    /// Its tasks.
    pub tasks: TaskCounts,
    /// Its report, when it has ended.
    pub report: Option<Value>,
}

fn serialize_state<S: Serializer>(phase: &Phase, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(phase.state())
}

/// Counts of a run's tasks.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct TaskCounts {
    /// Chunks planned.
    pub chunks: u64,
    /// Tasks done.
    pub done: u64,
    /// Attempts that failed.
    pub failed_attempts: u64,
}

/// A run with all that is known of it.
#[derive(Clone, Debug, Serialize)]
pub struct RunDetails {
    /// The run.
    #[serde(flatten)]
    pub run: RunRecord,
    /// Where its job file lies.
    pub file: String,
    /// What happened to it.
    pub events: Vec<EventRecord>,
    /// The attempts that failed or have not ended, oldest first.
    pub attempts: Vec<AttemptRecord>,
}

/// What happened to a run.
#[derive(Clone, Debug, Serialize)]
pub struct EventRecord {
    /// When.
    pub at: String,
    /// What.
    pub text: String,
}

/// An attempt at a task.
#[derive(Clone, Debug, Serialize)]
pub struct AttemptRecord {
    /// The relation's name in the job.
    pub relation: String,
    /// The chunk.
    pub chunk: u64,
    /// The attempt's number, from 0.
    pub attempt: u32,
    /// The number of restarts before it.
    pub restart: u32,
    /// When it began.
    pub started: String,
    /// When it ended; absent if it is running or was cut off.
    pub finished: Option<String>,
    /// Its error's class.
    pub class: Option<String>,
    /// Who must act.
    pub who_must_act: Option<String>,
    /// Its error.
    pub error: Option<String>,
}

const RUN: &str = "
    SELECT runs.id, jobs.name, phase, owner, created, finished, restarts, report,
           (SELECT count(*) FROM chunks WHERE run = runs.id),
           (SELECT count(*) FROM tasks WHERE run = runs.id AND done),
           (SELECT count(*) FROM attempts WHERE run = runs.id AND class IS NOT NULL), file
    FROM runs JOIN jobs ON jobs.id = runs.job";

fn run_record(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    let report: Option<String> = row.get(7)?;
    Ok(RunRecord {
        run: row.get(0)?,
        job: row.get(1)?,
        phase: row.get(2)?,
        owner: row.get(3)?,
        created: row.get(4)?,
        finished: row.get(5)?,
        restarts: row.get(6)?,
        report: report.and_then(|text| serde_json::from_str(&text).ok()),
        tasks: TaskCounts { chunks: row.get(8)?, done: row.get(9)?, failed_attempts: row.get(10)? },
    })
}

impl Ledger {
    /// The newest runs, newest first.
    pub fn runs(&self, limit: u64) -> Result<Vec<RunRecord>> {
        self.with_connection(|connection| {
            let mut statement = connection
                .prepare_cached(&format!("{RUN} ORDER BY created DESC, runs.id DESC LIMIT ?1"))?;
            let runs = statement.query_map([limit], run_record)?;
            Ok(runs.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The run of this id, or of the only id that starts with it.
    pub fn find(&self, id: &str) -> Result<Option<String>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id FROM runs WHERE substr(id, 1, length(?1)) = ?1 LIMIT 2",
            )?;
            let ids: Vec<String> =
                statement.query_map([id], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            Ok(match ids.as_slice() {
                [only] => Some(only.clone()),
                _ => ids.into_iter().find(|found| found == id),
            })
        })
    }

    /// All that is known of a run.
    pub fn details(&self, run: &str) -> Result<Option<RunDetails>> {
        self.with_connection(|connection| {
            let found = connection
                .query_row(&format!("{RUN} WHERE runs.id = ?1"), [run], |row| {
                    Ok((run_record(row)?, row.get::<_, String>(11)?))
                })
                .optional()?;
            let Some((record, file)) = found else { return Ok(None) };
            let mut statement = connection
                .prepare_cached("SELECT at, text FROM events WHERE run = ?1 ORDER BY rowid")?;
            let events = statement
                .query_map([run], |row| Ok(EventRecord { at: row.get(0)?, text: row.get(1)? }))?
                .collect::<rusqlite::Result<_>>()?;
            let mut statement = connection.prepare_cached(
                "SELECT json_extract(target, '$.relation'), chunk, attempt, restart, started, finished,
                        class, owner, error
                 FROM attempts LEFT JOIN relations
                   ON relations.run = attempts.run AND position = relation
                 WHERE attempts.run = ?1 AND (class IS NOT NULL OR finished IS NULL)
                 ORDER BY started",
            )?;
            let attempt = |row: &Row<'_>| {
                Ok(AttemptRecord {
                    relation: row.get::<_, Option<String>>(0)?.unwrap_or_default(),
                    chunk: row.get(1)?,
                    attempt: row.get(2)?,
                    restart: row.get(3)?,
                    started: row.get(4)?,
                    finished: row.get(5)?,
                    class: row.get(6)?,
                    who_must_act: row.get(7)?,
                    error: row.get(8)?,
                })
            };
            let attempts = statement.query_map([run], attempt)?.collect::<rusqlite::Result<_>>()?;
            Ok(Some(RunDetails { run: record, file, events, attempts }))
        })
    }

    /// Forgets the oldest runs that have ended, beyond the newest `keep`; gives their ids.
    pub fn prune(&self, keep: u64) -> Result<Vec<String>> {
        self.change(|change| {
            let forgotten = change
                .prepare_cached(
                    "DELETE FROM runs WHERE finished IS NOT NULL AND id NOT IN
                       (SELECT id FROM runs ORDER BY created DESC, id DESC LIMIT ?1) RETURNING id",
                )?
                .query_map([keep], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            change.execute("DELETE FROM jobs WHERE id NOT IN (SELECT job FROM runs)", [])?;
            Ok(forgotten)
        })
    }
}
