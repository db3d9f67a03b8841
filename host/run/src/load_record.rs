//! What a load mode did with what was there, for manifests and reports.

use std::fmt;

use longshore_engine::destination::DataFile;
use longshore_model::config::target::Mode;
use longshore_model::format::{counted, human_bytes};
use serde::{Deserialize, Serialize};

/// What a load mode did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadRecord {
    /// The mode.
    pub mode: Mode,
    /// The files that its parts took the place of.
    pub rewritten_files: u64,
    /// Their bytes.
    pub rewritten_bytes: u64,
}

impl LoadRecord {
    pub(super) fn new(mode: Mode, rewritten: &[DataFile]) -> Self {
        Self {
            mode,
            rewritten_files: rewritten.len() as u64,
            rewritten_bytes: rewritten.iter().map(|file| file.bytes).sum(),
        }
    }
}

impl fmt::Display for LoadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} of {} replaced",
            self.mode.name(),
            counted(self.rewritten_files, "file"),
            human_bytes(self.rewritten_bytes)
        )
    }
}
