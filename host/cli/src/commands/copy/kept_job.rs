//! The job of a copy that is under way or has failed: `longshore runs retry` and `longshore runs cancel` read it.

use std::path::{Path, PathBuf};

use longshore_model::atomic_file;
use longshore_model::config::Settings;
use longshore_model::layout::COPIES;

use super::super::show;

/// The text of a job, in the state folder for as long as its run may go on.
pub(super) struct KeptJob {
    path: PathBuf,
}

impl KeptJob {
    /// Writes it. A copy whose user has no state folder still runs.
    pub(super) fn write(settings: &Settings, run: &str, text: &str) -> Self {
        let folder = settings.state.join(COPIES);
        let path = folder.join(format!("{run}.yaml"));
        let written = std::fs::create_dir_all(&folder)
            .and_then(|()| atomic_file::write(&path, text.as_bytes()));
        if let Err(error) = written {
            show::warning(&format!("{}: {error}: the run cannot be retried", path.display()));
        }
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Nothing goes on with the run.
    pub(super) fn remove(self) {
        // It names no secret, and retention removes it with its run.
        let _ = std::fs::remove_file(self.path);
    }
}
