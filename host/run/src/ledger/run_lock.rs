//! The locks of runs: a file in the state folder for each, locked by the process that works on the run.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use longshore_model::error::{Error, Result};

use super::Ledger;

/// The folder of the locks.
const FOLDER: &str = "live";

/// How often a lock is tried for, and the wait between: who only looks whether a run is locked holds its
/// lock for a moment too.
const LOCK_TRIES: u32 = 5;
const LOCK_WAIT_MILLIS: u64 = 20;

/// The lock of a run that this process works on. It ends with the process.
#[derive(Debug)]
pub struct RunLock {
    path: PathBuf,
    _file: File,
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // The lock ends with the file. A leftover file is locked again by the next process.
        let _ = fs::remove_file(&self.path);
    }
}

impl Ledger {
    /// Locks a run for this process. None: another process works on it.
    pub fn lock_run(&self, run: &str) -> Result<Option<RunLock>> {
        let path = self.state.join(FOLDER).join(run);
        let open = || {
            fs::create_dir_all(self.state.join(FOLDER))?;
            File::options().create(true).truncate(false).write(true).open(&path)
        };
        let file = open().map_err(|error| Error::io(path.display(), error))?;
        let mut locked = file.try_lock();
        for _ in 1..LOCK_TRIES {
            if !matches!(locked, Err(TryLockError::WouldBlock)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(LOCK_WAIT_MILLIS));
            locked = file.try_lock();
        }
        match locked {
            Ok(()) => Ok(Some(RunLock { path, _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::io(path.display(), error)),
        }
    }

    /// Whether a process works on a run.
    pub fn is_locked(&self, run: &str) -> Result<bool> {
        let path = self.state.join(FOLDER).join(run);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::io(path.display(), error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(Error::io(path.display(), error)),
        }
    }
}
