//! The events of runs: what happened to them, in the order in which it happened. Readers follow them by
//! their ids.

use longshore_model::error::Result;
use rusqlite::{Connection, Row, params};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;

use super::{Ledger, now};

/// The kind of events that tell of changed columns.
const SCHEMA_CHANGE: &str = "schema-change";

/// An event of a run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EventRecord {
    /// Its id: later events have larger ones.
    pub id: i64,
    /// When it happened.
    pub at: String,
    /// What happened.
    pub text: String,
    /// The phase that the run entered, or `queued`; absent for other events.
    pub phase: Option<String>,
    /// What it tells of: `schema-change`; absent for other events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// An event, with its run and its job.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RunEvent {
    /// The run.
    pub run: String,
    /// The job's name, or that of its file where the run has not begun.
    pub job: Option<String>,
    /// The event.
    #[serde(flatten)]
    pub event: EventRecord,
}

impl Ledger {
    /// Records something that people may want to know later.
    pub fn event(&self, run: &str, text: &str) -> Result<()> {
        self.change(|change| Ok(record_event(change, run, None, text)?))
    }

    /// Records a change of a relation's columns.
    pub fn schema_change(&self, run: &str, text: &str) -> Result<()> {
        self.change(|change| {
            change
                .prepare_cached("INSERT INTO events (run, at, text, kind) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![run, now(), text, SCHEMA_CHANGE])?;
            Ok(())
        })
    }

    /// Resolves each time that this process has changed the ledger.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The id of the last event; 0 if there is none.
    pub fn last_event(&self) -> Result<i64> {
        self.with_connection(|connection| {
            let mut last = connection.prepare_cached("SELECT coalesce(max(id), 0) FROM events")?;
            Ok(last.query_row([], |row| row.get(0))?)
        })
    }

    /// The events after this id, oldest first, of one run or of all.
    pub fn events_after(&self, id: i64, run: Option<&str>, limit: u64) -> Result<Vec<RunEvent>> {
        self.with_connection(|connection| {
            let of_run = if run.is_some() { "events.run = ?2" } else { "?2 IS NULL" };
            let mut statement = connection.prepare_cached(&format!(
                "SELECT events.id, events.at, events.text, events.phase, events.kind, events.run,
                        coalesce(jobs.name, triggers.job)
                 FROM events LEFT JOIN runs ON runs.id = events.run LEFT JOIN jobs ON jobs.id = runs.job
                 LEFT JOIN triggers ON triggers.run = events.run
                 WHERE events.id > ?1 AND {of_run} ORDER BY events.id LIMIT ?3",
            ))?;
            let event = |row: &Row<'_>| {
                Ok(RunEvent { run: row.get(5)?, job: row.get(6)?, event: event_record(row)? })
            };
            Ok(statement.query_map(params![id, run, limit], event)?.collect::<Result<_, _>>()?)
        })
    }
}

/// All events of a run, oldest first.
pub(super) fn events_of(connection: &Connection, run: &str) -> rusqlite::Result<Vec<EventRecord>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, at, text, phase, kind FROM events WHERE run = ?1 ORDER BY id",
    )?;
    statement.query_map([run], event_record)?.collect()
}

fn event_record(row: &Row<'_>) -> rusqlite::Result<EventRecord> {
    let (id, at, text) = (row.get(0)?, row.get(1)?, row.get(2)?);
    Ok(EventRecord { id, at, text, phase: row.get(3)?, kind: row.get(4)? })
}

/// Records an event within a change.
pub(super) fn record_event(
    change: &Connection,
    run: &str,
    phase: Option<&str>,
    text: &str,
) -> rusqlite::Result<()> {
    change
        .prepare_cached("INSERT INTO events (run, at, phase, text) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![run, now(), phase, text])?;
    Ok(())
}
