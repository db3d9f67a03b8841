//! What a load mode did with what was there, for manifests and reports.

use std::fmt;

use longshore_engine::load_mode::{LoadResult, RowChanges};
use longshore_model::config::target::Mode;
use longshore_model::format::{counted, grouped, human_bytes};
use serde::{Deserialize, Serialize};

/// What a load mode did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LoadRecord {
    /// The mode.
    pub mode: Mode,
    /// What happened to rows, where the mode compares them.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowChanges>,
    /// The files that its parts took the place of.
    pub rewritten_files: u64,
    /// Their bytes.
    pub rewritten_bytes: u64,
    /// The files that stay, where the mode looks at all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_files: Option<u64>,
}

impl LoadRecord {
    pub(super) fn new(mode: Mode, loaded: &LoadResult) -> Self {
        Self {
            mode,
            rows: mode.reads_first().then_some(loaded.rows),
            rewritten_files: loaded.replaced.len() as u64,
            rewritten_bytes: loaded.replaced.iter().map(|file| file.bytes).sum(),
            kept_files: mode.reads_first().then_some(loaded.kept_files),
        }
    }
}

impl fmt::Display for LoadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.mode.name())?;
        if let Some(RowChanges { inserted, updated, deleted, unchanged }) = self.rows {
            let counts = [
                (inserted, "inserted"),
                (updated, "updated"),
                (deleted, "deleted"),
                (unchanged, "unchanged"),
            ];
            for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
                write!(f, "{} {what}, ", grouped(count))?;
            }
        }
        let files = counted(self.rewritten_files, "file");
        write!(f, "{files} of {} replaced", human_bytes(self.rewritten_bytes))?;
        match self.kept_files {
            Some(kept) => write!(f, ", {kept} kept"),
            None => Ok(()),
        }
    }
}
