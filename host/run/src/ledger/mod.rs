//! The ledger: the durable state of runs, in SQLite. It records each step before the step happens.
//!
//! Other processes may read and write it too: `longshore runs` beside a daemon.

mod audit;
mod chunk_map;
mod claims;
mod drift;
mod events;
mod executors;
mod fault;
mod history;
mod lineage;
mod listing;
mod measures;
mod outbox;
mod plan;
mod run_keys;
mod run_lock;
mod runs;
mod schedules;
mod tasks;
mod times;
mod tokens;
mod totals;
mod triggers;
mod watermarks;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{SecondsFormat, Utc};
use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::figures::figures;
use longshore_model::layout::LEDGER;
use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use rustix::process::getuid;
use tokio::sync::watch;

use fault::LedgerError;

pub use audit::{AUDIT_LIMIT, AuditEntry, NewAuditEntry};
pub use chunk_map::{ChunkDetails, RelationChunks, RelationCounts};
pub use drift::AcceptedSchema;
pub use events::{EventRecord, RunEvent};
pub use executors::ExecutorRecord;
pub use history::{AttemptRecord, INTERRUPTED, RunDetails, RunRecord, TaskCounts};
pub use lineage::LineageStart;
pub use listing::{OutcomeCounts, RunFilter, RunPage};
pub use outbox::{MESSAGE_LIFE_DAYS, Message, MessageKind, NewMessage, OUTBOX_LIMIT};
pub use run_keys::{KeyedJob, KeyedRun};
pub use run_lock::RunLock;
pub use runs::{NewRun, Owner, RunEntry};
pub use schedules::{
    ChainLink, Failures, PauseRecord, ScheduleEntry, ScheduleEvent, StandingRun, StandingRuns,
};
pub use tasks::{Progress as TaskProgress, Task};
pub use times::{AttemptTimes, RelationTimes};
pub use tokens::{
    NewToken, Role, TOKEN_LIFE_LIMIT_DAYS, TOKEN_NAME_LIMIT_BYTES, TokenKind, TokenRecord,
};
pub use totals::{LastSuccess, WaitingRuns};
pub use triggers::{NewTrigger, QUEUED, TriggerEntry, TriggerState};
pub use watermarks::{JobAdvances, WatermarkEntry};

/// The migrations from one version to the next. The number of those that are done is the version.
const MIGRATIONS: [&str; 19] = [
    include_str!("schema.sql"),
    include_str!("takes.sql"),
    include_str!("phase.sql"),
    include_str!("checksum.sql"),
    include_str!("parameters.sql"),
    include_str!("triggers.sql"),
    include_str!("events.sql"),
    include_str!("tokens.sql"),
    include_str!("audit.sql"),
    include_str!("schedules.sql"),
    include_str!("run_keys.sql"),
    include_str!("outbox.sql"),
    include_str!("measures.sql"),
    include_str!("watermarks.sql"),
    include_str!("drift.sql"),
    include_str!("lineage.sql"),
    include_str!("executors.sql"),
    include_str!("trigger_traces.sql"),
    include_str!("left_out.sql"),
];

/// How long a statement waits for another process that writes.
const BUSY_SECS: u64 = 30;

/// The wait between two attempts to open a ledger that other processes open.
const BUSY_LOOK_MILLIS: u64 = 10;

/// A ledger.
#[derive(Clone)]
pub struct Ledger {
    connection: Arc<Mutex<Connection>>,
    state: PathBuf,
    /// Tells readers in this process that something has changed.
    changed: Arc<watch::Sender<()>>,
}

/// Makes the file, if it is not there, for this user alone: reports can hold values of rows. If it cannot be made,
/// SQLite tells why.
///
/// A file that is there is never opened: to close it would end the locks that SQLite holds in this process, and
/// another process could then take the log away that this one still writes to.
fn keep_private(path: &Path) {
    let _ = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
}

impl Ledger {
    /// The ledger of a state folder that has one. A look makes none.
    pub fn open_existing(state: &Path) -> Result<Option<Self>> {
        state.join(LEDGER).exists().then(|| Self::open(state)).transpose()
    }

    /// Opens the ledger of a state folder, and brings it to this version.
    pub fn open(state: &Path) -> Result<Self> {
        fs::create_dir_all(state)
            .map_err(|error| Error::io(format!("state folder {}", state.display()), error))?;
        let path = state.join(LEDGER);
        let open = || -> fault::Result<Self> {
            keep_private(&path);
            let connection = Connection::open(&path)?;
            write_ahead(&connection)?;
            // NORMAL: a power cut can lose the last steps of a run, which are then done again, and
            // never harms the file. Steps that must not be lost use FULL.
            connection.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;")?;
            Ok(Self::prepare(connection, state)?)
        };
        open().context(format!("ledger {}", path.display()))
    }

    /// The same ledger by another connection: whoever reads by it keeps no writer of this process waiting. Readers
    /// of changes are told of those of both.
    pub fn reopen(&self) -> Result<Self> {
        Ok(Self { changed: self.changed.clone(), ..Self::open(&self.state)? })
    }

    /// A ledger in memory, for a command whose state folder cannot be written. Its locks are among the
    /// temporary files.
    pub fn in_memory() -> Result<Self> {
        let open = || -> fault::Result<Connection> {
            let connection = Connection::open_in_memory()?;
            connection.execute_batch("PRAGMA foreign_keys = ON;")?;
            Ok(connection)
        };
        // Each user has a folder: nobody else could write into it.
        let folder = format!("longshore-{}", getuid().as_raw());
        Self::prepare(open()?, &std::env::temp_dir().join(folder))
    }

    fn prepare(connection: Connection, state: &Path) -> Result<Self> {
        connection.busy_timeout(Duration::from_secs(BUSY_SECS)).map_err(LedgerError::from)?;
        let ledger = Self {
            connection: Arc::new(Mutex::new(connection)),
            state: state.to_owned(),
            changed: Arc::default(),
        };
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
                .with_hint("use the newer Longshore that wrote it")
                .into());
            }
            for migration in &MIGRATIONS[version..] {
                change.execute_batch(migration)?;
            }
            change.pragma_update(None, "user_version", MIGRATIONS.len())?;
            Ok(())
        })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock()
    }

    /// Queries, or changes one row.
    fn with_connection<T>(&self, work: impl FnOnce(&Connection) -> fault::Result<T>) -> Result<T> {
        Ok(work(&self.connection())?)
    }

    /// Changes several rows: all of them, or none.
    fn change<T>(&self, work: impl FnOnce(&Transaction<'_>) -> fault::Result<T>) -> Result<T> {
        let done = change(&mut self.connection(), work)?;
        self.changed.send_replace(());
        Ok(done)
    }

    /// The same, and waits until the change is on the disk.
    fn change_for_good<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> fault::Result<T>,
    ) -> Result<T> {
        let mut connection = self.connection();
        let synchronous = |connection: &Connection, level: &str| {
            connection.pragma_update(None, "synchronous", level).map_err(LedgerError::from)
        };
        synchronous(&connection, "FULL")?;
        let done = change(&mut connection, work);
        synchronous(&connection, "NORMAL")?;
        self.changed.send_replace(());
        Ok(done?)
    }
}

fn change<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> fault::Result<T>,
) -> fault::Result<T> {
    let begun = Instant::now();
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = work(&change)?;
    change.commit()?;
    figures().ledger_write.observe(begun.elapsed());
    Ok(done)
}

/// Gives a new ledger a write-ahead log. SQLite does not wait for other processes that do the same.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let until = Instant::now() + Duration::from_secs(BUSY_SECS);
    loop {
        match connection.execute_batch("PRAGMA journal_mode = WAL;") {
            Err(error) if is_busy(&error) && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(BUSY_LOOK_MILLIS));
            }
            done => return done,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
}

/// The current moment, as the ledger writes it.
fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests;
