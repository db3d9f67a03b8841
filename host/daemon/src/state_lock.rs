//! The lock of the state folder: one daemon at a time has it.

use std::fs::{self, File};
use std::path::Path;

use longshore_model::error::{Error, Result};
use longshore_model::file_lock;

const LOCK: &str = "lock";

/// Holds the state folder for as long as the file is open.
pub fn lock(state: &Path) -> Result<File> {
    let path = state.join(LOCK);
    let file = fs::create_dir_all(state)
        .and_then(|()| File::options().create(true).truncate(false).write(true).open(&path))
        .map_err(|error| Error::io(format!("state folder {}", state.display()), error))?;
    if file_lock::lock(&file).map_err(|error| Error::io(path.display(), error))? {
        return Ok(file);
    }
    Err(Error::config(format!("another daemon has the state folder {}", state.display()))
        .with_hint("stop it, or name another folder with --state DIR"))
}

/// Whether a daemon holds the state folder.
pub fn is_running(state: &Path) -> Result<bool> {
    file_lock::is_locked(&state.join(LOCK))
}
