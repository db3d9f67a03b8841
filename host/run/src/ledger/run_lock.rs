//! The locks of runs: a file in the state folder for each, locked by the process that works on the run.

use std::fs::{self, File};
use std::path::PathBuf;

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
        let is_locked = file_lock::lock(&file).map_err(|error| Error::io(path.display(), error))?;
        Ok(is_locked.then(|| RunLock { path, _file: file }))
    }

    /// Whether a process works on a run.
    pub fn is_locked(&self, run: &str) -> Result<bool> {
        file_lock::is_locked(&self.state.join(FOLDER).join(run))
    }
}
