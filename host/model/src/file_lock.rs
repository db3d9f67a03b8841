//! Locks of files, by which processes tell that they work on something. A lock ends with its process.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use crate::error::{Error, Result};

/// How often a lock is tried for, and the wait between: who only looks whether a file is locked holds its
/// lock for a moment too.
const TRIES: u32 = 5;
const WAIT_MILLIS: u64 = 50;

/// Locks a file for as long as it is open. False: another process has the lock.
pub fn lock(file: &File) -> io::Result<bool> {
    for attempt in 1..=TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if attempt < TRIES => {
                sleep(Duration::from_millis(WAIT_MILLIS));
            }
            Err(TryLockError::WouldBlock) => {}
        }
    }
    Ok(false)
}

/// Whether a file is still the one at a path: it may have been removed, and another made there.
pub fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((own.dev(), own.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a process has the lock of a file. There may be no such file.
pub fn is_locked(path: &Path) -> Result<bool> {
    let fault = |error| Error::io(path.display(), error);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(fault(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(fault(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_locked_for_as_long_as_it_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert!(!is_locked(&path).unwrap());
        let (first, second) = (File::create(&path).unwrap(), File::create(&path).unwrap());
        assert!(lock(&first).unwrap() && is_locked(&path).unwrap());
        assert!(!lock(&second).unwrap());
        drop(first);
        assert!(!is_locked(&path).unwrap() && lock(&second).unwrap());
    }

    #[test]
    fn a_file_that_was_removed_is_not_the_one_at_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = File::create(&path).unwrap();
        assert!(is_at(&first, &path).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&first, &path).unwrap());
        let second = File::create(&path).unwrap();
        assert!(!is_at(&first, &path).unwrap() && is_at(&second, &path).unwrap());
    }
}
