//! The history of runs, for `longshore runs`. The operator limits its length.

use longshore_model::config::ParameterRecord;
use longshore_model::error::Result;
use rusqlite::{Connection, OptionalExtension, Row, params};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::Ledger;
use super::events::{EventRecord, events_of};
use super::executors::{EXECUTORS_OF_ATTEMPT, ExecutorRecord, executors_of};
use super::runs::parameters;
use crate::phase::Phase;
use crate::trigger::Trigger;

/// The state of a run that has not ended, and that no process works on.
pub const INTERRUPTED: &str = "interrupted";

/// A run, in one line.
#[derive(Clone, Debug, Serialize)]
pub struct RunRecord {
    /// Its id.
    pub run: String,
    /// The job's name.
    pub job: String,
    /// Its phase.
    #[serde(serialize_with = "serialize_phase")]
    pub phase: Phase,
    /// Its phase in a word; `interrupted` if it has not ended and no process works on it.
    pub state: &'static str,
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
    /// The rows of the tasks that are done.
    pub rows_read: u64,
    /// Its report, when it has ended.
    pub report: Option<Value>,
}

fn serialize_phase<S: Serializer>(phase: &Phase, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(phase)
}

/// Counts of a run's tasks.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
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
    /// What asked for it. Absent: a dropped file, or a command in the foreground.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// The values of its job's parameters.
    #[serde(skip_serializing_if = "ParameterRecord::is_empty")]
    pub parameters: ParameterRecord,
    /// What happened to it.
    pub events: Vec<EventRecord>,
    /// When it entered each of its phases.
    pub phases: Vec<EventRecord>,
    /// The attempts that failed or have not ended, oldest first.
    pub attempts: Vec<AttemptRecord>,
    /// What each executor of a cluster did for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub executors: Vec<ExecutorRecord>,
}

/// An attempt at a task.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AttemptRecord {
    /// The relation's name in the job.
    pub relation: String,
    /// The chunk.
    pub chunk: u64,
    /// The attempt's number, from 0.
    pub attempt: u32,
    /// The number of restarts before it.
    pub restart: u32,
    /// The executors of a cluster that have begun it. Absent on one machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    /// When it began.
    pub started: String,
    /// When it ended, or when a process found that the one before had left it. Absent: it is running,
    /// or was left and nobody has found it yet.
    pub finished: Option<String>,
    /// Its error's class; absent if it was left.
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
           (SELECT count(*) FROM attempts WHERE run = runs.id AND class IS NOT NULL),
           (SELECT coalesce(sum(rows), 0) FROM parts WHERE run = runs.id), file, parameters
    FROM runs JOIN jobs ON jobs.id = runs.job";

/// The attempts of a run, as far as they meet a condition.
fn attempts_of(
    connection: &Connection,
    run: &str,
    condition: &str,
) -> rusqlite::Result<Vec<AttemptRecord>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT json_extract(target, '$.relation'), chunk, attempt, restart, started, finished, class,
                owner, error, {EXECUTORS_OF_ATTEMPT}
         FROM attempts LEFT JOIN relations ON relations.run = attempts.run AND position = relation
         WHERE attempts.run = ?1 AND {condition}"
    ))?;
    statement.query_map([run], attempt_record)?.collect()
}

fn run_record(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    let report: Option<String> = row.get(7)?;
    let report: Option<Value> = report.and_then(|text| serde_json::from_str(&text).ok());
    // The chunks and parts of a run that is over are in its manifest; its report counts them.
    let published = report.as_ref().and_then(|report| report["relations"].as_array());
    let chunks =
        published.map(|relations| relations.iter().filter_map(|r| r["chunks"].as_u64()).sum());
    let rows = report.as_ref().and_then(|report| report["rows"].as_u64());
    let phase: Phase = row.get(2)?;
    Ok(RunRecord {
        run: row.get(0)?,
        job: row.get(1)?,
        phase,
        state: phase.state(),
        owner: row.get(3)?,
        created: row.get(4)?,
        finished: row.get(5)?,
        restarts: row.get(6)?,
        tasks: TaskCounts {
            chunks: chunks.unwrap_or(row.get(8)?),
            done: row.get(9)?,
            failed_attempts: row.get(10)?,
        },
        rows_read: rows.unwrap_or(row.get(11)?),
        report,
    })
}

pub(super) fn attempt_record(row: &Row<'_>) -> rusqlite::Result<AttemptRecord> {
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
        executor: row.get(9)?,
    })
}

impl Ledger {
    /// The newest runs, newest first.
    pub fn runs(&self, limit: u64) -> Result<Vec<RunRecord>> {
        let mut runs: Vec<RunRecord> = self.with_connection(|connection| {
            let mut statement = connection
                .prepare_cached(&format!("{RUN} ORDER BY created DESC, runs.id DESC LIMIT ?1"))?;
            let runs = statement.query_map([limit], run_record)?;
            Ok(runs.collect::<rusqlite::Result<_>>()?)
        })?;
        runs.iter_mut().try_for_each(|run| self.mark_interrupted(run))?;
        Ok(runs)
    }

    /// A run, in one line.
    pub fn record(&self, run: &str) -> Result<Option<RunRecord>> {
        let found = self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(&format!("{RUN} WHERE runs.id = ?1"))?;
            Ok(statement.query_row([run], run_record).optional()?)
        })?;
        let Some(mut record) = found else { return Ok(None) };
        self.mark_interrupted(&mut record)?;
        Ok(Some(record))
    }

    fn mark_interrupted(&self, run: &mut RunRecord) -> Result<()> {
        if !run.phase.is_done() && !self.is_locked(&run.run)? {
            run.state = INTERRUPTED;
        }
        Ok(())
    }

    /// The ids of the newest runs whose ids begin so, at most `limit`; only the run of this id, if there is one.
    pub fn find(&self, id: &str, limit: u64) -> Result<Vec<String>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id FROM runs WHERE substr(id, 1, length(?1)) = ?1
                 ORDER BY id = ?1 DESC, created DESC LIMIT ?2",
            )?;
            let found = statement.query_map(params![id, limit], |row| row.get(0))?;
            let mut ids: Vec<String> = found.collect::<rusqlite::Result<_>>()?;
            if ids.first().is_some_and(|first| first == id) {
                ids.truncate(1);
            }
            Ok(ids)
        })
    }

    /// All that is known of a run.
    pub fn details(&self, run: &str) -> Result<Option<RunDetails>> {
        let details = self.with_connection(|connection| {
            let found = connection
                .query_row(&format!("{RUN} WHERE runs.id = ?1"), [run], |row| {
                    Ok((run_record(row)?, row.get::<_, String>(12)?, parameters(row, 13)?))
                })
                .optional()?;
            let Some((record, file, parameters)) = found else { return Ok(None) };
            let (phases, events) =
                events_of(connection, run)?.into_iter().partition(|event| event.phase.is_some());
            let unsuccessful = "(error IS NOT NULL OR finished IS NULL) ORDER BY started";
            let attempts = attempts_of(connection, run, unsuccessful)?;
            let executors = executors_of(connection, run)?;
            let (run, trigger) = (record, None);
            Ok(Some(RunDetails {
                run,
                file,
                trigger,
                parameters,
                events,
                phases,
                attempts,
                executors,
            }))
        })?;
        let Some(mut details) = details else { return Ok(None) };
        self.mark_interrupted(&mut details.run)?;
        details.trigger = self.trigger(run)?.map(|entry| entry.trigger);
        Ok(Some(details))
    }

    /// The attempts of a run that failed, in the order in which they did.
    pub fn failed_attempts(&self, run: &str) -> Result<Vec<AttemptRecord>> {
        self.with_connection(|connection| {
            Ok(attempts_of(connection, run, "class IS NOT NULL ORDER BY finished")?)
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
                .collect::<rusqlite::Result<Vec<String>>>()?;
            for run in &forgotten {
                change.prepare_cached("DELETE FROM events WHERE run = ?1")?.execute([run])?;
            }
            change.execute("DELETE FROM jobs WHERE id NOT IN (SELECT job FROM runs)", [])?;
            change.execute(
                "DELETE FROM triggers WHERE state = 'over' AND run NOT IN (SELECT id FROM runs)",
                [],
            )?;
            Ok(forgotten)
        })
    }
}
