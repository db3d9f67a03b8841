//! The inbox: a folder into which job files are dropped.
//!
//! A file is taken when it is completely written, however it got there: at once when it was renamed
//! into the folder; when its writer has closed it; else when it has not changed for a while. While
//! somebody has it open for writing, it is never taken.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use serde::Serialize;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::lease::{Writers, writers};
use crate::error::{Error, Result};

/// After its writer closed a file: scripts often open and close it several times.
const SETTLE_MILLIS: u64 = 200;

/// Without news of a writer: hard links, network file systems, files from before the start.
const QUIET_MILLIS: u64 = 2_000;

/// The same, where the kernel does not say who writes.
const QUIET_UNKNOWN_MILLIS: u64 = 5_000;

/// The endings of job files.
const ENDINGS: [&str; 4] = ["yaml", "yml", "toml", "json"];

/// A watched folder, with `running`, `done` and `failed` in it.
pub struct Inbox {
    folder: PathBuf,
    seen: HashMap<PathBuf, Seen>,
    events: UnboundedReceiver<Event>,
    _watcher: RecommendedWatcher,
}

/// What is known of a file that is not taken yet.
struct Seen {
    state: FileState,
    since: Instant,
    arrival: Arrival,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Arrival {
    Unknown,
    Closed,
    Renamed,
}

#[derive(PartialEq, Eq)]
struct FileState {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl FileState {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// A job file that was taken: it lies in `running`, under a name that holds the run's id.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Its name when it was dropped.
    pub name: String,
    /// The run's id.
    pub run: String,
    /// Where it lies.
    pub path: PathBuf,
}

/// Where a job file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// To `done`.
    Done,
    /// To `failed`.
    Failed,
}

impl Inbox {
    /// Watches a folder; makes it, if need be.
    pub fn open(folder: &Path) -> Result<Self> {
        for part in ["running", "done", "failed"] {
            let path = folder.join(part);
            fs::create_dir_all(&path)
                .map_err(|error| Error::io(format!("inbox {}", path.display()), error))?;
        }
        let (send, events) = unbounded_channel();
        let fault = |error: notify::Error| {
            Error::resource(format!("watching {}: {error}", folder.display()))
        };
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Looking at the folder makes events too: they are not news.
            if let Some(event) = event.ok().filter(|event| is_news(&event.kind)) {
                // Whoever listened is gone when the daemon stops.
                let _ = send.send(event);
            }
        })
        .map_err(fault)?;
        watcher.watch(folder, RecursiveMode::NonRecursive).map_err(fault)?;
        Ok(Self { folder: folder.to_owned(), seen: HashMap::new(), events, _watcher: watcher })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Waits until something happens in the folder, but not longer than this.
    pub async fn changed(&mut self, at_most: Duration) {
        if let Ok(Some(event)) = tokio::time::timeout(at_most, self.events.recv()).await {
            self.note(&event);
        }
    }

    fn note(&mut self, event: &Event) {
        let arrival = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => Arrival::Closed,
            EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => {
                Arrival::Renamed
            }
            _ => return,
        };
        for path in &event.paths {
            if let Some(name) = path.file_name() {
                self.look(&self.folder.join(name), arrival);
            }
        }
    }

    /// Notes a file's state; gives when it is ready.
    fn look(&mut self, path: &Path, arrival: Arrival) -> bool {
        let Some(metadata) = fs::symlink_metadata(path).ok().filter(|m| is_job(path, m)) else {
            self.seen.remove(path);
            return false;
        };
        let state = FileState::of(&metadata);
        let now = Instant::now();
        let seen = self.seen.entry(path.to_owned()).or_insert(Seen {
            state: FileState::of(&metadata),
            since: now,
            arrival,
        });
        if seen.state != state {
            *seen = Seen { state, since: now, arrival: seen.arrival };
        }
        seen.arrival = seen.arrival.max(arrival);
        let Ok(writers) = writers(path) else { return false };
        let quiet = match (seen.arrival, writers) {
            (_, Writers::Some) => return false,
            (Arrival::Renamed, _) => 0,
            (Arrival::Closed, _) => SETTLE_MILLIS,
            (Arrival::Unknown, Writers::None) => QUIET_MILLIS,
            (Arrival::Unknown, Writers::Unknown) => QUIET_UNKNOWN_MILLIS,
        };
        now.duration_since(seen.since) >= Duration::from_millis(quiet)
    }

    /// The files that are completely written, oldest first.
    pub fn ready(&mut self) -> Result<Vec<PathBuf>> {
        while let Ok(event) = self.events.try_recv() {
            self.note(&event);
        }
        let listed =
            fs::read_dir(&self.folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        let listed =
            listed.map_err(|error| Error::io(format!("inbox {}", self.folder.display()), error))?;
        let mut paths: Vec<PathBuf> = listed.into_iter().map(|entry| entry.path()).collect();
        self.seen.retain(|path, _| path.exists());
        paths.retain(|path| self.look(path, Arrival::Unknown));
        paths.sort_by_cached_key(|path| {
            let state = self.seen.get(path).map(|seen| seen.state.modified);
            (state, path.clone())
        });
        Ok(paths)
    }

    /// Moves a file to `running`. None: somebody else was faster.
    pub fn take(&mut self, path: &Path, run: &str) -> Result<Option<Taken>> {
        self.seen.remove(path);
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(Error::config(format!("{}: its name is not UTF-8", path.display())));
        };
        let taken = Taken {
            name: name.to_owned(),
            run: run.to_owned(),
            path: self.folder.join("running").join(with_run(name, run)),
        };
        match fs::rename(path, &taken.path) {
            Ok(()) => Ok(Some(taken)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(format!("taking {}", path.display()), error)),
        }
    }

    /// Puts a job file away, with its report beside it.
    pub fn put_away(
        &self,
        taken: &Taken,
        outcome: Outcome,
        report: &impl Serialize,
    ) -> Result<PathBuf> {
        put_away(&self.folder, taken, outcome, report)
    }

    /// The job files that a daemon which died had taken.
    pub fn left_running(&self) -> Result<Vec<Taken>> {
        let running = self.folder.join("running");
        let listed = fs::read_dir(&running).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        let listed = listed.map_err(|error| Error::io(running.display(), error))?;
        Ok(listed.into_iter().filter_map(|entry| taken_of(entry.path())).collect())
    }
}

/// Puts a job file away, with its report beside it; gives where it lies then.
pub(super) fn put_away(
    inbox: &Path,
    taken: &Taken,
    outcome: Outcome,
    report: &impl Serialize,
) -> Result<PathBuf> {
    let folder = inbox.join(match outcome {
        Outcome::Done => "done",
        Outcome::Failed => "failed",
    });
    let job = folder.join(with_run(&taken.name, &taken.run));
    let report_path = folder.join(format!("{}.report.json", stem_and_run(&taken.name, &taken.run)));
    let text =
        serde_json::to_vec_pretty(report).map_err(|error| Error::internal(error.to_string()))?;
    // The report first: whoever sees the job file there finds it.
    let partial = report_path.with_extension("partial");
    fs::write(&partial, text)
        .and_then(|()| fs::rename(&partial, &report_path))
        .and_then(|()| fs::rename(&taken.path, &job))
        .map_err(|error| Error::io(format!("putting {} away", taken.path.display()), error))?;
    Ok(job)
}

fn is_news(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(access) => matches!(access, AccessKind::Close(AccessMode::Write)),
        _ => true,
    }
}

fn is_job(path: &Path, metadata: &Metadata) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    metadata.is_file()
        && !name.starts_with('.')
        && ENDINGS.contains(&ending.to_ascii_lowercase().as_str())
}

/// `shop.yaml` becomes `shop.RUN.yaml`.
fn with_run(name: &str, run: &str) -> String {
    match name.rsplit_once('.') {
        Some((stem, ending)) => format!("{stem}.{run}.{ending}"),
        None => format!("{name}.{run}"),
    }
}

fn stem_and_run(name: &str, run: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    format!("{stem}.{run}")
}

/// The inverse of `with_run`.
fn taken_of(path: PathBuf) -> Option<Taken> {
    let name = path.file_name()?.to_str()?;
    let (rest, ending) = name.rsplit_once('.')?;
    let (stem, run) = rest.rsplit_once('.')?;
    Some(Taken { name: format!("{stem}.{ending}"), run: run.to_owned(), path: path.clone() })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    async fn wait_ready(inbox: &mut Inbox, patience: Duration) -> Vec<String> {
        let until = Instant::now() + patience;
        loop {
            let ready = inbox.ready().unwrap();
            if !ready.is_empty() || Instant::now() > until {
                return ready
                    .iter()
                    .map(|p| p.file_name().unwrap().to_str().unwrap().to_owned())
                    .collect();
            }
            inbox.changed(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn a_file_is_taken_however_it_got_there() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir_in(folder.path().parent().unwrap()).unwrap();
        fs::write(folder.path().join("before.yaml"), "x").unwrap();
        let mut inbox = Inbox::open(folder.path()).unwrap();
        assert_eq!(wait_ready(&mut inbox, Duration::from_secs(9)).await, ["before.yaml"]);
        inbox.take(&folder.path().join("before.yaml"), "r0").unwrap().unwrap();

        fs::write(outside.path().join("renamed.toml"), "x").unwrap();
        fs::rename(outside.path().join("renamed.toml"), folder.path().join("renamed.toml"))
            .unwrap();
        assert_eq!(wait_ready(&mut inbox, Duration::from_secs(9)).await, ["renamed.toml"]);
        inbox.take(&folder.path().join("renamed.toml"), "r1").unwrap().unwrap();

        fs::write(outside.path().join("linked.json"), "x").unwrap();
        fs::hard_link(outside.path().join("linked.json"), folder.path().join("linked.json"))
            .unwrap();
        assert_eq!(wait_ready(&mut inbox, Duration::from_secs(9)).await, ["linked.json"]);
    }

    #[tokio::test]
    async fn a_file_that_is_still_written_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let mut inbox = Inbox::open(folder.path()).unwrap();
        let mut writer = fs::File::create(folder.path().join("slow.yaml")).unwrap();
        writer.write_all(b"name: ").unwrap();
        let patience = Duration::from_millis(QUIET_MILLIS + 500);
        assert!(wait_ready(&mut inbox, patience).await.is_empty());
        writer.write_all(b"slow").unwrap();
        drop(writer);
        assert_eq!(wait_ready(&mut inbox, Duration::from_secs(9)).await, ["slow.yaml"]);
    }

    #[tokio::test]
    async fn what_is_no_job_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut inbox = Inbox::open(folder.path()).unwrap();
        for name in [".hidden.yaml", "notes.txt", "job.yaml~"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        assert!(wait_ready(&mut inbox, Duration::from_millis(600)).await.is_empty());
    }

    #[tokio::test]
    async fn looking_at_the_folder_is_no_news() {
        let folder = tempfile::tempdir().unwrap();
        let mut inbox = Inbox::open(folder.path()).unwrap();
        fs::write(folder.path().join("slow.yaml"), "x").unwrap();
        wait_ready(&mut inbox, Duration::from_millis(600)).await;
        let started = Instant::now();
        for _ in 0..3 {
            inbox.ready().unwrap();
            inbox.changed(Duration::from_millis(100)).await;
        }
        assert!(started.elapsed() >= Duration::from_millis(300), "woken by its own looking");
    }

    #[test]
    fn names_hold_the_run_and_give_it_back() {
        let taken = taken_of(PathBuf::from("/in/running/my.shop.r7.yaml")).unwrap();
        assert_eq!((taken.name.as_str(), taken.run.as_str()), ("my.shop.yaml", "r7"));
        assert_eq!(with_run(&taken.name, &taken.run), "my.shop.r7.yaml");
    }
}
