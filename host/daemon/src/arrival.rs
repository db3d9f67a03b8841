//! A file in the inbox that is not taken yet: how it got there, and whether it is completely written.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::lease::{Writers, writers};

/// After its writer closed a file: scripts often open and close it several times.
const SETTLE_MILLIS: u64 = 200;

/// Without news of a writer: hard links, network file systems, files from before the start.
pub(super) const QUIET_MILLIS: u64 = 2_000;

/// The same, where the kernel does not say who writes.
const QUIET_UNKNOWN_MILLIS: u64 = 5_000;

/// What is known of a file that is not taken yet.
pub(super) struct ArrivingFile {
    pub(super) state: FileState,
    since: Instant,
    arrival: Arrival,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Arrival {
    Unknown,
    Closed,
    Renamed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileState {
    inode: u64,
    length: u64,
    pub(super) modified: (i64, i64),
    mode: u32,
}

impl FileState {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            mode: metadata.mode(),
        }
    }
}

impl ArrivingFile {
    /// A file that was not seen before.
    pub(super) fn new(state: FileState) -> Self {
        Self { state, since: Instant::now(), arrival: Arrival::Unknown }
    }

    /// Notes its state, and how it got there.
    pub(super) fn note(&mut self, state: FileState, arrival: Arrival) {
        if self.state != state {
            self.state = state;
            self.since = Instant::now();
        }
        self.arrival = self.arrival.max(arrival);
    }

    /// Whether nobody writes it any more.
    pub(super) fn is_complete(&self, path: &Path) -> bool {
        let quiet = match (self.arrival, writers(path)) {
            (_, Ok(Writers::Some)) => return false,
            (Arrival::Renamed, _) => 0,
            (Arrival::Closed, _) => SETTLE_MILLIS,
            (Arrival::Unknown, Ok(Writers::None)) => QUIET_MILLIS,
            (Arrival::Unknown, _) => QUIET_UNKNOWN_MILLIS,
        };
        self.since.elapsed() >= Duration::from_millis(quiet)
    }
}
