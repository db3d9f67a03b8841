//! The folder of an inbox as it is now: whole, locked, and watched.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use longshore_model::error::{Error, Result};
use longshore_model::file_lock;
use longshore_model::layout::{DONE, FAILED, RUNNING};
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{Receiver, channel};

use super::inbox_folder::InboxFolder;
use super::inbox_job::shown;

/// What the daemon that has the folder holds locked. It is never removed: who comes next locks the same.
pub(super) const LOCK: &str = ".longshore.lock";

/// How many events wait. The files of those that find no room are found by the next look, a little later.
const EVENT_LIMIT: usize = 4_096;

/// The folder as it is now, locked and watched.
pub(super) struct WatchedFolder {
    /// Which folders these are: others may have their names by now.
    pub(super) identity: Vec<(u64, u64)>,
    pub(super) lock: File,
    pub(super) events: Receiver<Event>,
    _watcher: Option<RecommendedWatcher>,
}

impl WatchedFolder {
    /// Makes the folder whole, locks and watches it; `held` is the lock of the folder that was there before.
    pub(super) fn open(folder: &Path, held: Option<File>) -> Result<Self> {
        let fault = |error| Error::io(format!("inbox {}", shown(folder)), error);
        // The folder itself is not made: where one is mounted, another would hide it.
        fs::metadata(folder).map_err(fault)?;
        for name in [RUNNING, DONE, FAILED] {
            let path = folder.join(name);
            InboxFolder::open(folder, name)
                .map_err(|error| Error::io(format!("inbox {}", shown(&path)), error))?;
        }
        let lock = lock(folder, held)?;
        let (send, events) = channel(EVENT_LIMIT);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Looking at the folder makes events too: they are not news.
            if let Some(event) = event.ok().filter(|event| is_news(&event.kind)) {
                // There is no room, or whoever listened is gone.
                let _ = send.try_send(event);
            }
        });
        let watcher = watcher.and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::NonRecursive).map(|()| watcher)
        });
        // Without news the folder is looked through all the same, a little later.
        let told = |error: notify::Error| tracing::warn!("watching {}: {error}", shown(folder));
        let _watcher = watcher.map_err(told).ok();
        let identity = identity(folder).map_err(fault)?;
        Ok(Self { identity, lock, events, _watcher })
    }
}

/// The numbers of the folders and of the lock.
pub(super) fn identity(folder: &Path) -> io::Result<Vec<(u64, u64)>> {
    let numbers = |m: Metadata| (m.dev(), m.ino());
    // The folder itself may be a link.
    let own = fs::metadata(folder).map(numbers);
    let of = |name: &str| fs::symlink_metadata(folder.join(name)).map(numbers);
    std::iter::once(own).chain([RUNNING, DONE, FAILED, LOCK].into_iter().map(of)).collect()
}

/// Holds the folder for as long as the file is open.
fn lock(folder: &Path, held: Option<File>) -> Result<File> {
    let path = folder.join(LOCK);
    let fault = |error| Error::io(format!("inbox {}", shown(folder)), error);
    let is_there = |held: &File| file_lock::is_at(held, &path).unwrap_or(false);
    if let Some(held) = held.filter(is_there) {
        return Ok(held);
    }
    // Not where a link leads, and without waiting for whoever reads a pipe.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let mut options = File::options();
    options.create(true).truncate(false).write(true).custom_flags(flags);
    let file = options.open(&path).map_err(fault)?;
    if file_lock::lock(&file).map_err(fault)? {
        return Ok(file);
    }
    Err(Error::config(format!("another daemon has the inbox {}", shown(folder)))
        .with_hint("stop it, or name another folder with --inbox DIR"))
}

fn is_news(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(access) => matches!(access, AccessKind::Close(AccessMode::Write)),
        _ => true,
    }
}
