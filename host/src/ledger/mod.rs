//! The ledger: the durable state of runs, in SQLite. What happens next is written here first.
//!
//! Other processes may read and write it too: `longshore runs` beside a daemon.

mod history;
mod live;
mod plan;
mod runs;
mod takes;
mod tasks;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{SecondsFormat, Utc};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::error::{Class, Error, Result, ResultExt};

pub use history::{AttemptRecord, EventRecord, RunDetails, RunRecord, TaskCounts};
pub use live::Live;
pub use plan::{ChunkRecord, PlanRecord, RelationRecord, ScanRecord};
pub use runs::{NewRun, Owner, Recorded, RunState};
pub use tasks::{Progress as TaskProgress, Task};

/// The ledger's file in the state folder.
const FILE: &str = "ledger.sqlite";

/// What brings a ledger from one version to the next; the number of those done is its version.
const MIGRATIONS: [&str; 2] = [include_str!("schema.sql"), include_str!("takes.sql")];

/// How long a statement waits for another process that writes.
const BUSY_SECS: u64 = 30;

/// How often it is looked whether a ledger that others open can be opened.
const BUSY_LOOK_MILLIS: u64 = 10;

/// How many runs are kept, unless the operator says.
pub const DEFAULT_HISTORY_RUNS: u64 = 10_000;

/// A ledger.
#[derive(Clone)]
pub struct Ledger {
    connection: Arc<Mutex<Connection>>,
    state: PathBuf,
}

impl Ledger {
    /// Opens the ledger of a state folder, and brings it to this version.
    pub fn open(state: &Path) -> Result<Self> {
        fs::create_dir_all(state)
            .map_err(|error| Error::io(format!("state folder {}", state.display()), error))?;
        let path = state.join(FILE);
        let open = || -> Result<Self> {
            let connection = Connection::open(&path)?;
            write_ahead(&connection)?;
            // NORMAL: a power cut can lose the last steps of a run, which are then done again, and
            // never harms the file. What must not be lost asks for more.
            connection.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;")?;
            Self::prepare(connection, state)
        };
        open().context(format!("ledger {}", path.display()))
    }

    /// A ledger that is forgotten: for a command whose state folder cannot be written. What locks
    /// need lies among the temporary files.
    pub fn in_memory() -> Result<Self> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch("PRAGMA foreign_keys = ON;")?;
        Self::prepare(connection, &std::env::temp_dir().join("longshore"))
    }

    fn prepare(connection: Connection, state: &Path) -> Result<Self> {
        connection.busy_timeout(Duration::from_secs(BUSY_SECS))?;
        let ledger = Self { connection: Arc::new(Mutex::new(connection)), state: state.to_owned() };
        ledger.migrate()?;
        Ok(ledger)
    }

    fn migrate(&self) -> Result<()> {
        self.change(|change| {
            let version: usize = change.query_row("PRAGMA user_version", [], |row| row.get(0))?;
            if version > MIGRATIONS.len() {
                return Err(Error::config(format!(
                    "it is of version {version}, this program knows {}",
                    MIGRATIONS.len()
                ))
                .with_hint("use the newer Longshore that wrote it"));
            }
            for migration in &MIGRATIONS[version..] {
                change.execute_batch(migration)?;
            }
            change.pragma_update(None, "user_version", MIGRATIONS.len())?;
            Ok(())
        })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of it or nothing.
    fn change<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        change(&mut self.connection(), work)
    }

    /// The same, and on the disk before anything else is done.
    fn change_for_good<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut connection = self.connection();
        connection.pragma_update(None, "synchronous", "FULL")?;
        let done = change(&mut connection, work);
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        done
    }
}

fn change<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T>,
) -> Result<T> {
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = work(&change)?;
    change.commit()?;
    Ok(done)
}

/// Makes a new ledger one with a write-ahead log. SQLite does not wait for others that do the same.
fn write_ahead(connection: &Connection) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(BUSY_SECS);
    loop {
        match connection.execute_batch("PRAGMA journal_mode = WAL;") {
            Err(error) if is_busy(&error) && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(BUSY_LOOK_MILLIS));
            }
            done => return Ok(done?),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
}

/// Now, as the ledger keeps moments.
fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let hint = match error.sqlite_error_code() {
            Some(Code::DiskFull) => {
                return Self::new(Class::Full, format!("the ledger: {error}"))
                    .with_hint("make room where the state folder is")
                    .with_source(error);
            }
            Some(Code::CannotOpen | Code::PermissionDenied | Code::ReadOnly) => {
                "let the user that Longshore runs as write the state folder"
            }
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => {
                "move the ledger away, and run again: what is published is not touched"
            }
            _ => "look at the state folder",
        };
        Self::resource(format!("the ledger: {error}")).with_hint(hint).with_source(error)
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(format!("JSON: {error}"))
    }
}

#[cfg(test)]
mod tests;
