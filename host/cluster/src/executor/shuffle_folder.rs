//! The folder of the rows that executors send to each other. It goes with its executor. One that was killed leaves it,
//! and the next one of the same state folder removes it.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use longshore_model::error::{Error, Result};
use tempfile::TempDir;

/// What the names of these folders begin with.
const PREFIX: &str = "executor-";

/// Rows of tables are in it.
const ONLY_THIS_USER: u32 = 0o700;

/// Locked by the executor whose folder it is, for as long as it runs.
const LOCK: &str = "lock";

/// Locked while a folder is made or removed.
const TURN: &str = "executors.lock";

/// The folder of this executor.
pub(super) struct ShuffleFolder {
    folder: TempDir,
    _lock: File,
}

impl ShuffleFolder {
    /// Makes it in a state folder, and removes those that nobody has any more.
    pub(super) fn make(state: &Path) -> Result<Self> {
        let fault =
            |error| Error::io(format!("a folder of the executor's in {}", state.display()), error);
        fs::create_dir_all(state).map_err(fault)?;
        let turn = locked(&state.join(TURN)).map_err(fault)?;
        remove_left(state);
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(ONLY_THIS_USER))
            .tempdir_in(state)
            .map_err(fault)?;
        let lock = locked(&folder.path().join(LOCK)).map_err(fault)?;
        drop(turn);
        Ok(Self { folder, _lock: lock })
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn locked(path: &Path) -> std::io::Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    file.lock()?;
    Ok(file)
}

/// What cannot be removed takes room, and does no other harm.
fn remove_left(state: &Path) {
    for entry in fs::read_dir(state).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !name.to_string_lossy().starts_with(PREFIX) || !is_left(&entry.path()) {
            continue;
        }
        if let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::warn!("{}: {error}: an executor left it", entry.path().display());
        }
    }
}

fn is_left(folder: &Path) -> bool {
    folder.is_dir()
        && match File::options().write(true).open(folder.join(LOCK)) {
            Ok(lock) => lock.try_lock().is_ok(),
            // It was killed before it had one.
            Err(_) => true,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executor_removes_what_others_left_and_nothing_that_they_have() {
        let state = tempfile::tempdir().unwrap();
        let running = ShuffleFolder::make(state.path()).unwrap();
        let left = state.path().join("executor-left");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("data.arrow"), "rows").unwrap();
        fs::write(state.path().join("executor-notes"), "a file of somebody's").unwrap();
        let next = ShuffleFolder::make(state.path()).unwrap();
        assert!(running.path().exists() && next.path().exists() && !left.exists());
        assert!(state.path().join("executor-notes").exists());
        let mode = fs::metadata(next.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, ONLY_THIS_USER);
        let path = next.path().to_owned();
        drop(next);
        assert!(!path.exists());
    }
}
