//! Files that a command writes for people.

use std::path::Path;

use longshore_model::atomic_file;
use longshore_model::error::{Error, Result};

/// Refuses a file that is there, unless that `is_forced`.
pub(super) fn check(file: &Path, is_forced: bool) -> Result<()> {
    if is_forced || file.symlink_metadata().is_err() {
        return Ok(());
    }
    Err(Error::config(format!("{} is already there", file.display()))
        .with_hint("name another file, or write over it with --force"))
}

/// Writes a file that is not there yet, or any if that `is_forced`.
pub(super) fn write(file: &Path, text: &str, is_forced: bool) -> Result<()> {
    check(file, is_forced)?;
    atomic_file::write(file, text.as_bytes()).map_err(|error| Error::io(file.display(), error))
}
