//! The triggers: what asked for runs, written down before the runs begin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use longshore_model::error::Result;
use longshore_model::trace_context::TraceParent;
use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde_json::Value;
use strum::{EnumString, IntoStaticStr};

use super::events::record_event;
use super::{Ledger, now};
use crate::trigger::{Trigger, TriggerKind};

/// The state of a run that is asked for and has not begun.
pub const QUEUED: &str = "queued";

/// How far a trigger is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, EnumString)]
#[strum(serialize_all = "kebab-case")]
pub enum TriggerState {
    /// Its job file is in the spool.
    Waiting,
    /// Its job file is in the inbox's `running`.
    Placed,
    /// Its job file is put away.
    Over,
}

/// A trigger that is written down.
pub struct NewTrigger<'a> {
    /// The id that its run gets.
    pub run: &'a str,
    /// The key that asks for this run.
    pub key: &'a str,
    /// The name of the job file.
    pub job: &'a str,
    /// Where the files that the job names lie.
    pub folder: &'a Path,
    /// SHA-256 of the job file.
    pub digest: &'a str,
    /// Its kind.
    pub kind: TriggerKind,
    /// The time that the run is for, in RFC 3339.
    pub scheduled: Option<String>,
    /// Who asks.
    pub requested_by: Option<&'a str>,
    /// Values for the job's parameters.
    pub arguments: &'a BTreeMap<String, Value>,
    /// Whether it waits until no earlier trigger of its job is open.
    pub is_exclusive: bool,
    /// The span that asks.
    pub trace_parent: Option<TraceParent>,
}

/// A trigger's entry in the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct TriggerEntry {
    /// The id that its run has, or will have.
    pub run: String,
    /// The name of the job file.
    pub job: String,
    /// Where the files that the job names lie.
    pub folder: PathBuf,
    /// SHA-256 of the job file.
    pub digest: String,
    /// What the run tells of it.
    pub trigger: Trigger,
    /// Values for the job's parameters.
    pub arguments: BTreeMap<String, Value>,
    /// Whether its run was cancelled before it began.
    pub is_cancelled: bool,
    /// How far it is.
    pub state: TriggerState,
    /// The span that asked.
    pub trace_parent: Option<TraceParent>,
}

/// Whether the run of a trigger has not begun.
pub(super) const WAITING: &str = "state <> 'over' AND run NOT IN (SELECT id FROM runs)";

const TRIGGER: &str =
    "SELECT run, job, folder, digest, kind, key, scheduled, requested, requested_by, arguments,
           is_cancelled, state, trace_parent FROM triggers";

impl Ledger {
    /// Writes a trigger down, and waits until it is on the disk. Gives the run that its key asks for: the new
    /// one, or the one that the key has asked for before.
    pub fn record_trigger(&self, new: &NewTrigger<'_>) -> Result<String> {
        let arguments = serde_json::to_string(new.arguments)?;
        self.change_for_good(|change| {
            let added = change.execute(
                "INSERT INTO triggers (run, key, job, folder, digest, kind, scheduled, requested, requested_by,
                                       arguments, is_exclusive, state, trace_parent)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
                 ON CONFLICT (key) DO NOTHING",
                params![
                    new.run,
                    new.key,
                    new.job,
                    new.folder.to_string_lossy(),
                    new.digest,
                    <&str>::from(new.kind),
                    new.scheduled,
                    now(),
                    new.requested_by,
                    arguments,
                    new.is_exclusive,
                    <&str>::from(TriggerState::Waiting),
                    new.trace_parent.map(|parent| parent.to_string()),
                ],
            )?;
            if added > 0 {
                record_event(change, new.run, Some(QUEUED), QUEUED)?;
            }
            let run = "SELECT run FROM triggers WHERE key = ?1";
            Ok(change.query_row(run, [new.key], |row| row.get(0))?)
        })
    }

    /// The trigger of a run, if it has one.
    pub fn trigger(&self, run: &str) -> Result<Option<TriggerEntry>> {
        self.one_trigger("run", run)
    }

    /// The trigger of a key, if the key has asked for a run.
    pub fn trigger_of_key(&self, key: &str) -> Result<Option<TriggerEntry>> {
        self.one_trigger("key", key)
    }

    fn one_trigger(&self, column: &str, value: &str) -> Result<Option<TriggerEntry>> {
        self.with_connection(|connection| {
            let query = format!("{TRIGGER} WHERE {column} = ?1");
            let mut statement = connection.prepare_cached(&query)?;
            Ok(statement.query_row([value], entry).optional()?)
        })
    }

    /// The triggers whose job files can be placed now, oldest first.
    pub fn due_triggers(&self) -> Result<Vec<TriggerEntry>> {
        self.triggers(
            "state = 'waiting' AND NOT (is_exclusive AND EXISTS (
               SELECT 1 FROM triggers AS earlier WHERE earlier.job = triggers.job
                 AND earlier.folder = triggers.folder AND earlier.state <> 'over' AND earlier.rowid < triggers.rowid))",
        )
    }

    /// The triggers that are not over, oldest first.
    pub fn open_triggers(&self) -> Result<Vec<TriggerEntry>> {
        self.triggers("state <> 'over'")
    }

    /// The triggers whose runs have not begun, oldest first.
    pub fn waiting_triggers(&self) -> Result<Vec<TriggerEntry>> {
        self.triggers(WAITING)
    }

    fn triggers(&self, condition: &str) -> Result<Vec<TriggerEntry>> {
        self.with_connection(|connection| {
            let query = format!("{TRIGGER} WHERE {condition} ORDER BY rowid");
            let mut statement = connection.prepare_cached(&query)?;
            let triggers = statement.query_map([], entry)?;
            Ok(triggers.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Records how far a trigger is.
    pub fn set_trigger_state(&self, run: &str, state: TriggerState) -> Result<()> {
        self.change(|change| Ok(set_state(change, run, state)?))
    }
}

/// Records how far the trigger of a run is, if it has one.
pub(super) fn set_state(
    change: &Transaction<'_>,
    run: &str,
    state: TriggerState,
) -> rusqlite::Result<()> {
    change
        .prepare_cached("UPDATE triggers SET state = ?2 WHERE run = ?1")?
        .execute(params![run, <&str>::from(state)])?;
    Ok(())
}

/// Cancels a run that has not begun. False: no trigger asks for a run of this id.
pub(super) fn cancel(change: &Transaction<'_>, run: &str) -> rusqlite::Result<bool> {
    let cancelled = change
        .prepare_cached("UPDATE triggers SET is_cancelled = 1 WHERE run = ?1 AND state <> 'over'")?
        .execute([run])?;
    Ok(cancelled > 0)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<TriggerEntry> {
    let arguments: String = row.get(9)?;
    let trace_parent: Option<String> = row.get(12)?;
    Ok(TriggerEntry {
        run: row.get(0)?,
        job: row.get(1)?,
        folder: row.get::<_, String>(2)?.into(),
        digest: row.get(3)?,
        trigger: Trigger {
            kind: word(row, 4)?,
            key: row.get(5)?,
            scheduled: row.get(6)?,
            requested: row.get(7)?,
            requested_by: row.get(8)?,
        },
        arguments: serde_json::from_str(&arguments).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(9, Type::Text, error.into())
        })?,
        is_cancelled: row.get(10)?,
        state: word(row, 11)?,
        trace_parent: trace_parent.and_then(|text| text.parse().ok()),
    })
}

/// A column that holds one of several words.
fn word<T: std::str::FromStr<Err = strum::ParseError>>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    row.get::<_, String>(column)?.parse().map_err(|error: strum::ParseError| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
    })
}
