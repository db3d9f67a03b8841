//! The runs: each has an entry with its phase.

use std::path::{Path, PathBuf};

use longshore_model::config::ParameterRecord;
use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::figures::figures;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, Type, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use strum::IntoStaticStr;

use super::claims::reset_crashes;
use super::events::record_event;
use super::fault;
use super::lineage::{self, LineageStart};
use super::outbox::{self, NewMessage};
use super::triggers::{self, TriggerState};
use super::watermarks::{self, JobAdvances};
use super::{Ledger, now};
use crate::phase::{Event, Outcome, Phase};

/// The owner of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Owner {
    /// The daemon, which finds its runs again.
    Daemon,
    /// A command in the foreground.
    Command,
}

impl Owner {
    pub(super) fn name(self) -> &'static str {
        self.into()
    }
}

/// A run that begins.
pub struct NewRun<'a> {
    /// Its id.
    pub id: &'a str,
    /// The job's name.
    pub job: &'a str,
    /// SHA-256 of the job file.
    pub digest: &'a str,
    /// Where the job file lies.
    pub file: &'a Path,
    /// The values of the job's parameters.
    pub parameters: &'a ParameterRecord,
    /// Who runs it.
    pub owner: Owner,
}

/// A run's entry in the ledger.
#[derive(Clone, Debug)]
pub struct RunEntry {
    /// Its phase.
    pub phase: Phase,
    /// SHA-256 of its job file.
    pub digest: String,
    /// Where the job file lies.
    pub file: PathBuf,
    /// The values of the job's parameters that it began with.
    pub parameters: ParameterRecord,
    /// When it began.
    pub created: String,
    /// How often it restarted.
    pub restarts: u32,
}

impl Ledger {
    /// Records a run that begins, in its first phase. A run that has an entry keeps its phase, and the values
    /// of its parameters. One that somebody has cancelled by then begins as such.
    pub fn begin(&self, new: &NewRun<'_>) -> Result<()> {
        self.begin_and_tell(new, None)
    }

    /// The same, and tells others that it begins, unless it has begun before.
    pub fn begin_and_tell(&self, new: &NewRun<'_>, tell: Option<&LineageStart>) -> Result<()> {
        let parameters = Some(new.parameters).filter(|parameters| !parameters.is_empty());
        let parameters = parameters.map(serde_json::to_string).transpose()?;
        self.change_for_good(|change| {
            let is_new = phase(change, new.id)?.is_none();
            if is_new {
                record_event(change, new.id, Some(Phase::Planning.name()), Phase::Planning.name())?;
            }
            change.execute(
                "INSERT INTO jobs (name, digest) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![new.job, new.digest],
            )?;
            change.execute(
                "INSERT INTO runs (id, job, file, owner, phase, created, parameters, cancel)
                 SELECT ?1, jobs.id, ?4, ?5, ?7, ?6, ?8,
                        EXISTS (SELECT 1 FROM triggers WHERE run = ?1 AND is_cancelled)
                 FROM jobs WHERE name = ?2 AND digest = ?3
                 ON CONFLICT DO UPDATE SET file = excluded.file, owner = excluded.owner",
                params![
                    new.id,
                    new.job,
                    new.digest,
                    new.file.to_string_lossy(),
                    new.owner.name(),
                    now(),
                    Phase::Planning,
                    parameters
                ],
            )?;
            match tell {
                Some(start) if is_new => lineage::start(change, new.id, start),
                _ => Ok(()),
            }
        })
    }

    /// A run's entry.
    pub fn entry(&self, run: &str) -> Result<Option<RunEntry>> {
        self.with_connection(|connection| {
            let found = connection.query_row(
                "SELECT phase, digest, file, created, restarts, parameters FROM runs
                 JOIN jobs ON jobs.id = runs.job WHERE runs.id = ?1",
                [run],
                |row| {
                    Ok(RunEntry {
                        phase: row.get(0)?,
                        digest: row.get(1)?,
                        file: row.get::<_, String>(2)?.into(),
                        created: row.get(3)?,
                        restarts: row.get(4)?,
                        parameters: parameters(row, 5)?,
                    })
                },
            );
            Ok(found.optional()?)
        })
    }

    /// The ids of an owner's runs that have not ended.
    pub fn unfinished(&self, owner: Owner) -> Result<Vec<String>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id FROM runs WHERE owner = ?1 AND finished IS NULL
                 ORDER BY created, id",
            )?;
            let ids = statement.query_map([owner.name()], |row| row.get(0))?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The ids of the runs whose commit is not over, oldest first.
    pub fn committing(&self) -> Result<Vec<String>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id FROM runs WHERE finished IS NULL AND phase = 'committing' ORDER BY created, id",
            )?;
            let ids = statement.query_map([], |row| row.get(0))?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Records what a run publishes, before it publishes anything, and claims the watermarks that it moves. A run
    /// that somebody has cancelled publishes nothing.
    pub fn record_commit(
        &self,
        run: &str,
        commit: &impl Serialize,
        moved: JobAdvances<'_>,
    ) -> Result<()> {
        let commit = serde_json::to_string(commit)?;
        self.change_for_good(|change| {
            let is_open = phase(change, run)?.is_some_and(Phase::is_cancellable);
            if is_open && is_cancel_requested(change, run)? {
                return Err(Error::cancelled("the run was cancelled").into());
            }
            advance(change, run, Event::Commit)?;
            watermarks::claim(change, run, moved)?;
            reset_crashes(change, run)?;
            change.execute("UPDATE runs SET manifest = ?2 WHERE id = ?1", params![run, commit])?;
            Ok(())
        })
    }

    /// The commit that a run has recorded.
    pub fn commit<M: DeserializeOwned>(&self, run: &str) -> Result<Option<M>> {
        self.with_connection(|connection| {
            let text: Option<Option<String>> = connection
                .query_row("SELECT manifest FROM runs WHERE id = ?1", [run], |row| row.get(0))
                .optional()?;
            Ok(text.flatten().map(|text| serde_json::from_str(&text)).transpose()?)
        })
    }

    /// Ends a run, if it has an entry. Its chunks and parts are forgotten: the manifest has them.
    pub fn finish(&self, run: &str, outcome: Outcome, report: &impl Serialize) -> Result<()> {
        self.finish_and_post(run, outcome, report, &[], JobAdvances::NONE)
    }

    /// The same, with messages that tell others of it, and the watermarks that it moves: all of that, or nothing.
    pub fn finish_and_post(
        &self,
        run: &str,
        outcome: Outcome,
        report: &impl Serialize,
        messages: &[NewMessage],
        moved: JobAdvances<'_>,
    ) -> Result<()> {
        let report = serde_json::to_string(report)?;
        let has_ended = self.change_for_good(|change| {
            if phase(change, run)?.is_none() {
                return Ok(false);
            }
            advance(change, run, Event::Finish(outcome))?;
            change.execute(
                "UPDATE runs SET report = ?2, finished = ?3, manifest = NULL WHERE id = ?1",
                params![run, report, now()],
            )?;
            for table in ["chunks", "parts", "measures", "source_sums", "claims", "lineage"] {
                change.execute(&format!("DELETE FROM {table} WHERE run = ?1"), [run])?;
            }
            watermarks::move_claimed(change, run, moved)?;
            watermarks::release_claims(change, run)?;
            outbox::post(change, messages)?;
            Ok(true)
        })?;
        if has_ended {
            count(outcome);
        }
        Ok(())
    }

    /// Records where the job file of a run that is over lies now. Nobody claims the run any more, and its trigger
    /// is over.
    pub fn put_away(&self, run: &str, file: &Path) -> Result<()> {
        self.change(|change| {
            change
                .prepare_cached("UPDATE runs SET file = ?2 WHERE id = ?1")?
                .execute(params![run, file.to_string_lossy()])?;
            change.prepare_cached("DELETE FROM claims WHERE run = ?1")?.execute([run])?;
            triggers::set_state(change, run, TriggerState::Over)?;
            Ok(())
        })
    }

    /// Asks the process that works on a run to cancel it, or cancels it before it begins. False: no run of this id
    /// can be cancelled.
    pub fn request_cancel(&self, run: &str) -> Result<bool> {
        self.change(|change| {
            let Some(phase) = phase(change, run)? else {
                return Ok(triggers::cancel(change, run)?);
            };
            if phase.is_cancellable() {
                change.execute("UPDATE runs SET cancel = 1 WHERE id = ?1", [run])?;
            }
            Ok(phase.is_cancellable())
        })
    }

    /// Whether somebody asked to cancel a run.
    pub fn is_cancel_requested(&self, run: &str) -> Result<bool> {
        self.with_connection(|connection| Ok(is_cancel_requested(connection, run)?))
    }
}

/// Counts a run that has ended.
fn count(outcome: Outcome) {
    let figures = figures();
    let count = match outcome {
        Outcome::Succeeded => &figures.runs_succeeded,
        Outcome::Failed => &figures.runs_failed,
        Outcome::Cancelled => &figures.runs_cancelled,
    };
    count.add(1);
}

fn is_cancel_requested(connection: &Connection, run: &str) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached("SELECT cancel FROM runs WHERE id = ?1")?;
    let asked = statement.query_row([run], |row| row.get(0)).optional()?;
    Ok(asked.unwrap_or(false))
}

/// The values of parameters in a column; none where a job has no parameters.
pub(super) fn parameters(row: &Row<'_>, column: usize) -> rusqlite::Result<ParameterRecord> {
    let Some(text) = row.get::<_, Option<String>>(column)? else {
        return Ok(ParameterRecord::default());
    };
    serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
    })
}

/// Moves a run to the phase that follows an event. The state machine refuses what no run does.
pub(super) fn advance(change: &Transaction<'_>, run: &str, event: Event) -> fault::Result<()> {
    let before = phase(change, run)?
        .ok_or_else(|| Error::internal(format!("run {run} is not in the ledger")))?;
    let after = before.after(event).context(format!("run {run}"))?;
    change
        .prepare_cached("UPDATE runs SET phase = ?2 WHERE id = ?1")?
        .execute(params![run, after])?;
    if before != after {
        record_event(change, run, Some(after.name()), after.name())?;
    }
    Ok(())
}

fn phase(change: &Transaction<'_>, run: &str) -> rusqlite::Result<Option<Phase>> {
    let mut statement = change.prepare_cached("SELECT phase FROM runs WHERE id = ?1")?;
    statement.query_row([run], |row| row.get(0)).optional()
}

impl ToSql for Phase {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.name().into())
    }
}

impl FromSql for Phase {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?;
        Self::from_name(name)
            .ok_or_else(|| FromSqlError::Other(format!("no phase is called `{name}`").into()))
    }
}
