//! A run's life: begun, committing, over.

use std::path::{Path, PathBuf};

use longshore_model::error::Result;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use strum::{EnumString, IntoStaticStr};

use super::takes::got_on;
use super::{Ledger, now};

/// Who runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Owner {
    /// The daemon: it finds its runs again.
    Daemon,
    /// A command in the foreground.
    Command,
}

impl Owner {
    pub(super) fn name(self) -> &'static str {
        self.into()
    }
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum RunState {
    /// Reads and writes, or was cut off.
    Running,
    /// Publishes: only forward from here.
    Committing,
    /// Everything is published.
    Succeeded,
    /// Nothing is published.
    Failed,
    /// Nothing is published: somebody stopped it.
    Cancelled,
}

impl RunState {
    /// As the ledger writes it.
    pub fn name(self) -> &'static str {
        self.into()
    }

    pub(super) fn of(name: &str) -> Self {
        name.parse().unwrap_or(Self::Failed)
    }

    /// Whether nothing more will happen.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Running | Self::Committing)
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
    /// Who runs it.
    pub owner: Owner,
}

/// What is recorded of a run that was begun before.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Where it is.
    pub state: RunState,
    /// SHA-256 of its job file.
    pub digest: String,
    /// Where the job file lies.
    pub file: PathBuf,
    /// When it began.
    pub created: String,
    /// How often it was begun anew.
    pub restarts: u32,
}

impl Ledger {
    /// Writes down that a run begins; one that is there already goes on.
    pub fn begin(&self, new: &NewRun<'_>) -> Result<()> {
        self.change_for_good(|change| {
            change.execute(
                "INSERT INTO jobs (name, digest) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![new.job, new.digest],
            )?;
            change.execute(
                "INSERT INTO runs (id, job, file, owner, state, created)
                 SELECT ?1, jobs.id, ?4, ?5, 'running', ?6 FROM jobs WHERE name = ?2 AND digest = ?3
                 ON CONFLICT DO UPDATE SET file = excluded.file, owner = excluded.owner",
                params![
                    new.id,
                    new.job,
                    new.digest,
                    new.file.to_string_lossy(),
                    new.owner.name(),
                    now()
                ],
            )?;
            Ok(())
        })
    }

    /// What is known of a run.
    pub fn recorded(&self, run: &str) -> Result<Option<Recorded>> {
        self.with_connection(|connection| {
            let found = connection.query_row(
                "SELECT state, digest, file, created, restarts FROM runs
                 JOIN jobs ON jobs.id = runs.job WHERE runs.id = ?1",
                [run],
                |row| {
                    Ok(Recorded {
                        state: RunState::of(&row.get::<_, String>(0)?),
                        digest: row.get(1)?,
                        file: row.get::<_, String>(2)?.into(),
                        created: row.get(3)?,
                        restarts: row.get(4)?,
                    })
                },
            );
            Ok(found.optional()?)
        })
    }

    /// Runs that are not over, by their owner.
    pub fn unfinished(&self, owner: Owner) -> Result<Vec<String>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id FROM runs WHERE owner = ?1 AND state IN ('running', 'committing')
                 ORDER BY created, id",
            )?;
            let ids = statement.query_map([owner.name()], |row| row.get(0))?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// From here a run only goes forward: what it publishes is written down.
    pub fn committing(&self, run: &str, manifest: &impl Serialize) -> Result<()> {
        let manifest = serde_json::to_string(manifest)?;
        self.change_for_good(|change| {
            got_on(change, run)?;
            change.execute(
                "UPDATE runs SET state = 'committing', manifest = ?2 WHERE id = ?1",
                params![run, manifest],
            )?;
            Ok(())
        })
    }

    /// What a commit under way publishes.
    pub fn manifest<M: DeserializeOwned>(&self, run: &str) -> Result<Option<M>> {
        self.with_connection(|connection| {
            let text: Option<Option<String>> = connection
                .query_row("SELECT manifest FROM runs WHERE id = ?1", [run], |row| row.get(0))
                .optional()?;
            Ok(text.flatten().map(|text| serde_json::from_str(&text)).transpose()?)
        })
    }

    /// A run is over. Its chunks and parts are forgotten: the manifest has them.
    pub fn finish(&self, run: &str, state: RunState, report: &impl Serialize) -> Result<()> {
        let report = serde_json::to_string(report)?;
        self.change_for_good(|change| {
            change.execute(
                "UPDATE runs SET state = ?2, report = ?3, finished = ?4, manifest = NULL
                 WHERE id = ?1",
                params![run, state.name(), report, now()],
            )?;
            for table in ["chunks", "parts", "takes"] {
                change.execute(&format!("DELETE FROM {table} WHERE run = ?1"), [run])?;
            }
            Ok(())
        })
    }

    /// A run's job file lies elsewhere now.
    pub fn moved(&self, run: &str, file: &Path) -> Result<()> {
        self.with_connection(|connection| {
            connection.execute(
                "UPDATE runs SET file = ?2 WHERE id = ?1",
                params![run, file.to_string_lossy()],
            )?;
            Ok(())
        })
    }

    /// Asks that a run be stopped; false if it is over or not known.
    pub fn ask_to_cancel(&self, run: &str) -> Result<bool> {
        self.with_connection(|connection| {
            let asked = connection
                .execute("UPDATE runs SET cancel = 1 WHERE id = ?1 AND state = 'running'", [run])?;
            Ok(asked > 0)
        })
    }

    /// Whether somebody asked for it.
    pub fn is_cancelled(&self, run: &str) -> Result<bool> {
        self.with_connection(|connection| {
            let asked = connection
                .prepare_cached("SELECT cancel FROM runs WHERE id = ?1")?
                .query_row([run], |row| row.get(0))
                .optional()?;
            Ok(asked.unwrap_or(false))
        })
    }

    /// Writes down what people may want to know later.
    pub fn event(&self, run: &str, text: &str) -> Result<()> {
        self.with_connection(|connection| {
            connection
                .prepare_cached("INSERT INTO events (run, at, text) VALUES (?1, ?2, ?3)")?
                .execute(params![run, now(), text])?;
            Ok(())
        })
    }
}
