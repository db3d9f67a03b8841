//! The locks of runs: a file in the state folder for each, locked by the process that works on the run.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use longshore_model::error::{Error, Result};
use longshore_model::file_lock;

use super::Ledger;

/// The folder of the locks.
const FOLDER: &str = "live";

/// The lock of a run that this process works on. It ends with the process.
#[derive(Debug)]
pub struct RunLock {
    path: PathBuf,
    _file: File,
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // The lock ends with the file, after this. A leftover file is locked again by the next process.
        let _ = fs::remove_file(&self.path);
    }
}

impl Ledger {
    /// Locks a run for this process. None: another process works on it.
    pub fn lock_run(&self, run: &str) -> Result<Option<RunLock>> {
        let folder = self.state.join(FOLDER);
        let path = folder.join(run);
        let locked = fs::create_dir_all(folder).and_then(|()| lock_file(&path));
        let locked = locked.map_err(|error| Error::io(path.display(), error))?;
        Ok(locked.map(|file| RunLock { path, _file: file }))
    }

    /// Whether a process works on a run.
    pub fn is_locked(&self, run: &str) -> Result<bool> {
        file_lock::is_locked(&self.state.join(FOLDER).join(run))
    }
}

/// Locks a file, which is made if need be. None: another process has the lock.
fn lock_file(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        if !file_lock::lock(&file)? {
            return Ok(None);
        }
        // Whoever had the lock may have removed the file meanwhile: others would lock a new one.
        if file_lock::is_at(&file, path)? {
            return Ok(Some(file));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_locked_run_is_locked_for_all_however_often_locks_end_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let work = || {
            for _ in 0..30 {
                let lock = ledger.lock_run("r1").unwrap();
                assert!(lock.is_none() || ledger.is_locked("r1").unwrap());
            }
        };
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(work);
            }
        });
    }
}
