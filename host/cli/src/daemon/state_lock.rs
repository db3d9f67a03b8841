//! The lock of the state folder: one daemon at a time has it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_model::error::{Error, Result};

/// How often the state folder's lock is tried for, and the wait between.
const LOCK_TRIES: u32 = 5;
const LOCK_WAIT_MILLIS: u64 = 50;

/// Holds the state folder for as long as the file is open.
pub fn lock(state: &Path) -> Result<File> {
    let path: PathBuf = state.join("lock");
    let file = fs::create_dir_all(state)
        .and_then(|()| File::options().create(true).truncate(false).write(true).open(&path))
        .map_err(|error| Error::io(format!("state folder {}", state.display()), error))?;
    let mut locked = file.try_lock();
    for _ in 0..LOCK_TRIES {
        if !matches!(locked, Err(TryLockError::WouldBlock)) {
            break;
        }
        // Who only looks whether a daemon runs holds it for a moment too.
        std::thread::sleep(Duration::from_millis(LOCK_WAIT_MILLIS));
        locked = file.try_lock();
    }
    match locked {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::config(format!("another daemon has the state folder {}", state.display()))
                .with_hint("stop it, or name another folder with --state DIR"))
        }
        Err(TryLockError::Error(error)) => Err(Error::io(path.display(), error)),
    }
}

/// Whether a daemon holds the state folder.
pub fn is_running(state: &Path) -> Result<bool> {
    let path = state.join("lock");
    match File::open(&path) {
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(Error::io(path.display(), error)),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io(path.display(), error)),
    }
}
