//! The inbox: a folder into which job files are dropped.
//!
//! A file is taken when it is completely written, however it got there: at once when it was renamed
//! into the folder; when its writer has closed it; else when it has not changed for a while. While
//! somebody has it open for writing, it is never taken. A job's parameter file is taken with it: a job waits
//! until the parameter file that is there is completely written, too.
//!
//! Whatever lies in the folder, and whatever becomes of it, nothing here ends the daemon: what cannot be
//! taken is reported once, and a folder that goes away is waited for.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_model::config::document::DOCUMENT_LIMIT_BYTES;
use longshore_model::config::small_file::read_small_file;
use longshore_model::config::{Policy, Reach};
use longshore_model::error::{Error, Result};
use longshore_model::layout::{DONE, FAILED, RUNNING};
use notify::Event;
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};
use serde_json::json;

use super::arrival::{Arrival, ArrivingFile, FileState};
use super::inbox_folder::InboxFolder;
use super::inbox_job::{InboxJob, shown, write_public};
use super::parameter_file::{is_parameter_file, job_of_parameters, parameter_file};
use super::watched_folder::{LOCK, WatchedFolder, identity};

/// The endings of job files.
const ENDINGS: [&str; 4] = ["yaml", "yml", "toml", "json"];

/// A watched folder, with `running`, `done` and `failed` in it.
pub struct Inbox {
    folder: PathBuf,
    seen: HashMap<PathBuf, ArrivingFile>,
    /// Files that were found completely written and are not taken yet, oldest first.
    found: VecDeque<PathBuf>,
    /// What was reported: no job file, or one that was not taken in this state.
    told: HashMap<PathBuf, Option<FileState>>,
    open: Option<WatchedFolder>,
    /// Why the folder cannot be used, if it cannot.
    lost: Option<String>,
}

/// How the folder has changed since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderState {
    /// It has not.
    Unchanged,
    /// It is there, for the first time or again.
    Reopened,
    /// It cannot be used now.
    Unavailable,
}

impl Inbox {
    /// Locks and watches a folder; makes it, if need be.
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)
            .map_err(|error| Error::io(format!("inbox {}", shown(folder)), error))?;
        let folder = std::path::absolute(folder)
            .map_err(|error| Error::io(format!("inbox {}", shown(folder)), error))?;
        let open = Some(WatchedFolder::open(&folder, None)?);
        Ok(Self {
            folder,
            seen: HashMap::new(),
            found: VecDeque::new(),
            told: HashMap::new(),
            open,
            lost: None,
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Sees to it that the folder is the one that is watched and locked, and whole.
    pub fn refresh(&mut self) -> FolderState {
        if self.is_as_opened() {
            return FolderState::Unchanged;
        }
        let held = self.open.take().map(|open| open.lock);
        match WatchedFolder::open(&self.folder, held) {
            Ok(open) => {
                self.open = Some(open);
                self.seen.clear();
                self.found.clear();
                self.told.clear();
                self.lost = None;
                tracing::info!("inbox {}: the folder is back", shown(&self.folder));
                FolderState::Reopened
            }
            Err(error) => {
                let text = error.to_string();
                if self.lost.as_ref() != Some(&text) {
                    tracing::error!("{text}: no jobs are taken until the folder is back");
                    self.lost = Some(text);
                }
                FolderState::Unavailable
            }
        }
    }

    /// Waits until something happens in the folder, but not longer than this.
    pub async fn changed(&mut self, at_most: Duration) {
        let Some(open) = &mut self.open else { return tokio::time::sleep(at_most).await };
        if let Ok(Some(event)) = tokio::time::timeout(at_most, open.events.recv()).await {
            self.note(&event);
            self.note_news();
        }
    }

    /// Notes what has happened in the folder so far.
    fn note_news(&mut self) {
        let events = self
            .open
            .iter_mut()
            .flat_map(|open| std::iter::from_fn(|| open.events.try_recv().ok()));
        for event in events.collect::<Vec<Event>>() {
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
        let own = [RUNNING, DONE, FAILED, LOCK];
        let name = path.file_name().unwrap_or_default();
        if own.iter().any(|own| name == *own) || name.as_bytes().starts_with(b".") {
            return false;
        }
        if !has_jobs_ending(path) || path.is_dir() {
            if self.told.insert(path.to_owned(), None).is_none() {
                tracing::warn!("{}: no job file, it is left alone", shown(path));
            }
            return false;
        }
        // A link counts as what it leads to.
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            // Its job is refused when it is taken.
            Err(_) if is_parameter_file(path) => return true,
            Err(error) => {
                if let Ok(own) = fs::symlink_metadata(path) {
                    self.refuse_once(path, FileState::of(&own), &Error::io(shown(path), error));
                }
                return false;
            }
        };
        let state = FileState::of(&metadata);
        if self.told.get(path) == Some(&Some(state.clone())) {
            return false;
        }
        let seen =
            self.seen.entry(path.to_owned()).or_insert_with(|| ArrivingFile::new(state.clone()));
        seen.note(state, arrival);
        seen.is_complete(path)
    }

    /// Up to `room` files that are completely written, oldest first. The folder is looked through when
    /// no file is left that was found before: a look costs as much as there are files.
    pub fn ready(&mut self, room: usize) -> Vec<PathBuf> {
        if room > 0 && self.found.is_empty() {
            self.found = self.look_through().into();
        }
        let mut ready: Vec<PathBuf> = self.found.drain(..room.min(self.found.len())).collect();
        // Somebody may have opened it again while it waited.
        ready.retain(|path| self.look(path, Arrival::Unknown));
        ready
    }

    /// All files that are completely written, oldest first.
    fn look_through(&mut self) -> Vec<PathBuf> {
        if self.open.is_none() {
            return Vec::new();
        }
        self.note_news();
        // A folder that cannot be listed is found gone the next time that it is looked after.
        let listed = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = listed.map(|entry| entry.path()).collect();
        self.seen.retain(|path, _| is_there(path));
        self.told.retain(|path, _| is_there(path));
        paths.retain(|path| self.look(path, Arrival::Unknown));
        let (parameters, mut jobs): (Vec<PathBuf>, Vec<PathBuf>) =
            paths.into_iter().partition(|path| is_parameter_file(path));
        let waits = |job: &Path| {
            parameter_file(job).is_some_and(|file| is_there(&file) && !parameters.contains(&file))
        };
        jobs.retain(|job| !waits(job));
        jobs.sort_by_cached_key(|path| {
            let state = self.seen.get(path).map(|seen| seen.state.modified);
            (state, path.clone())
        });
        jobs
    }

    /// Moves a job file and its parameter file to `running`. None: somebody else was faster, or it cannot be,
    /// which has been told. A link leads no further than the policy lets jobs read.
    pub fn take(&mut self, path: &Path, run: &str, policy: &Policy) -> Option<InboxJob> {
        let parameters = parameter_file(path).filter(|file| is_there(file));
        // It may have come since the job was found ready.
        if parameters.as_ref().is_some_and(|file| !self.look(file, Arrival::Unknown)) {
            return None;
        }
        self.seen.remove(path);
        let taken = InboxJob::new(&self.folder, path.file_name()?, run);
        if !is_there(path) {
            return None;
        }
        let Ok(running) = InboxFolder::open(&self.folder, RUNNING) else {
            // The inbox is at fault, not the job: it waits until the inbox is whole.
            self.open.iter_mut().for_each(|open| open.identity.clear());
            return None;
        };
        let moved = self.take_both(path, parameters.as_deref(), &taken, &running, policy);
        let Err(error) = moved else { return Some(taken) };
        if let Ok(metadata) = fs::metadata(path).or_else(|_| fs::symlink_metadata(path))
            && self.is_as_opened()
        {
            self.refuse_once(path, FileState::of(&metadata), &error);
        }
        None
    }

    /// The parameter file goes first: a job in `running` never lacks it.
    fn take_both(
        &self,
        job: &Path,
        parameters: Option<&Path>,
        taken: &InboxJob,
        running: &InboxFolder,
        policy: &Policy,
    ) -> Result<()> {
        let to = running.file(taken.parameter_file_name());
        if let Some(parameters) = parameters {
            self.take_file("the parameter file", parameters, &to, policy)?;
        }
        let moved = self.take_file("the job file", job, &running.file(taken.file_name()), policy);
        if let (Err(_), Some(parameters)) = (&moved, parameters) {
            // A failure leaves it in `running`, where it is found when the daemon starts.
            let _ = fs::rename(&to, parameters);
        }
        moved
    }

    /// What cannot be read is no job, wherever it lies. A link's content becomes the job, as Kubernetes mounts
    /// files; the link goes.
    fn take_file(&self, what: &str, path: &Path, to: &Path, policy: &Policy) -> Result<()> {
        if !path.is_symlink() {
            read_small_file(what, path, DOCUMENT_LIMIT_BYTES)?;
            return fs::rename(path, to).map_err(|error| Error::io(shown(path), error));
        }
        Reach::new(policy, &self.folder).file(what, path)?;
        let bytes = read_small_file(what, path, DOCUMENT_LIMIT_BYTES)?;
        write_public(to, &bytes).map_err(|error| Error::io(shown(path), error))?;
        fs::remove_file(path).map_err(|error| {
            // What cannot be taken away would be taken again and again.
            let _ = fs::remove_file(to);
            Error::io(format!("taking {}", shown(path)), error)
        })
    }

    /// Whether the folders are still those that were opened.
    fn is_as_opened(&self) -> bool {
        let opened = self.open.as_ref().map(|open| &open.identity);
        identity(&self.folder).is_ok_and(|now| Some(&now) == opened)
    }

    /// Says once that a file is not taken, and sets it aside where that is possible.
    fn refuse_once(&mut self, path: &Path, state: FileState, error: &Error) {
        if self.told.get(path) == Some(&Some(state.clone())) {
            return;
        }
        self.seen.remove(path);
        self.told.insert(path.to_owned(), Some(state));
        tracing::error!("{}: not taken: {error}", shown(path));
        let Some(name) = path.file_name() else { return };
        let failed = match InboxFolder::open(&self.folder, FAILED) {
            Ok(failed) => failed,
            Err(error) => return tracing::warn!("its report cannot be written: {error}"),
        };
        let plain = InboxJob::new(&self.folder, name, "not-taken");
        let aside = plain.file_name();
        let report = json!({ "status": "failed", "error": error.report() });
        let report_name = format!("{aside}.report.json");
        let text = serde_json::to_vec_pretty(&report).unwrap_or_default();
        if let Err(error) = write_public(&failed.file(report_name), &text) {
            tracing::warn!("its report cannot be written: {error}");
        }
        if fs::rename(path, failed.file(aside)).is_err() {
            tracing::warn!("{}: it cannot be set aside, and is left where it is", shown(path));
        } else if let Some(parameters) = parameter_file(path) {
            // The next job of this name gets its own.
            let _ = fs::rename(parameters, failed.file(plain.parameter_file_name()));
        }
    }

    /// The job files that a daemon which died had taken.
    pub fn left_running(&self) -> Result<Vec<InboxJob>> {
        let running = self.folder.join(RUNNING);
        let listed =
            InboxFolder::open(&self.folder, RUNNING).and_then(|open| fs::read_dir(open.path()));
        let listed = listed.map_err(|error| Error::io(shown(&running), error))?;
        let named = listed.flatten().map(|entry| running.join(entry.file_name()));
        Ok(named.filter_map(InboxJob::of).collect())
    }

    /// Gives back the parameter files of jobs that were not taken: the daemon died in between. `is_known` tells
    /// whether a run has begun.
    pub fn give_back_parameters(&self, is_known: impl Fn(&str) -> bool) {
        let Ok(running) = InboxFolder::open(&self.folder, RUNNING) else { return };
        for entry in fs::read_dir(running.path()).into_iter().flatten().flatten() {
            let path = running.file(entry.file_name());
            let Some(job) = job_of_parameters(&path).filter(|job| !is_there(job)) else { continue };
            let Some(taken) = InboxJob::of(job).filter(|taken| !is_known(&taken.run)) else {
                continue;
            };
            let Some(back) = parameter_file(&self.folder.join(&taken.name)) else { continue };
            // One that was dropped since takes its place.
            if !is_there(&back) && fs::rename(&path, &back).is_ok() {
                tracing::info!("{}: its job was not taken: given back", shown(&back));
            }
        }
    }
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

pub(super) fn has_jobs_ending(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ENDINGS.contains(&ending.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::time::Instant;

    use super::*;
    use crate::arrival::QUIET_MILLIS;

    const RUN: &str = "20261128T083137Z-0a1b2c3d";

    async fn wait_ready(inbox: &mut Inbox, patience: Duration) -> Vec<String> {
        let until = Instant::now() + patience;
        loop {
            let ready = inbox.ready(usize::MAX);
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
        inbox.take(&folder.path().join("before.yaml"), RUN, &Policy::default()).unwrap();

        fs::write(outside.path().join("renamed.toml"), "x").unwrap();
        fs::rename(outside.path().join("renamed.toml"), folder.path().join("renamed.toml"))
            .unwrap();
        assert_eq!(wait_ready(&mut inbox, Duration::from_secs(9)).await, ["renamed.toml"]);
        inbox.take(&folder.path().join("renamed.toml"), RUN, &Policy::default()).unwrap();

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
    async fn a_file_that_is_opened_again_while_it_waits_for_room_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir_in(folder.path().parent().unwrap()).unwrap();
        let mut inbox = Inbox::open(folder.path()).unwrap();
        let (a, b) = (folder.path().join("a.yaml"), folder.path().join("b.yaml"));
        for path in [&a, &b] {
            fs::write(outside.path().join("next"), "x").unwrap();
            fs::rename(outside.path().join("next"), path).unwrap();
        }
        while inbox.ready(1).is_empty() {
            inbox.changed(Duration::from_millis(20)).await;
        }
        inbox.take(&a, RUN, &Policy::default()).unwrap();
        let writer = File::options().append(true).open(&b).unwrap();
        assert!(inbox.ready(1).is_empty());
        drop(writer);
        assert_eq!(wait_ready(&mut inbox, Duration::from_secs(9)).await, ["b.yaml"]);
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
            inbox.ready(usize::MAX);
            inbox.changed(Duration::from_millis(100)).await;
        }
        assert!(started.elapsed() >= Duration::from_millis(300), "woken by its own looking");
    }

    #[test]
    fn a_folder_that_goes_away_is_waited_for_and_found_again() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("inbox");
        let mut inbox = Inbox::open(&folder).unwrap();
        assert_eq!(inbox.refresh(), FolderState::Unchanged);
        fs::rename(&folder, parent.path().join("away")).unwrap();
        assert_eq!(
            (inbox.refresh(), inbox.refresh()),
            (FolderState::Unavailable, FolderState::Unavailable)
        );
        assert!(inbox.ready(usize::MAX).is_empty());
        fs::create_dir(&folder).unwrap();
        assert_eq!(
            (inbox.refresh(), inbox.refresh()),
            (FolderState::Reopened, FolderState::Unchanged)
        );
        fs::remove_dir(folder.join("running")).unwrap();
        assert_eq!(
            (inbox.refresh(), folder.join("running").is_dir()),
            (FolderState::Reopened, true)
        );
    }

    #[test]
    fn a_job_waits_while_its_inbox_is_not_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut inbox = Inbox::open(folder.path()).unwrap();
        let (job, running) = (folder.path().join("job.yaml"), folder.path().join("running"));
        fs::remove_dir(&running).unwrap();
        fs::write(&running, "a file").unwrap();
        fs::write(&job, "x").unwrap();
        assert!(inbox.take(&job, RUN, &Policy::default()).is_none());
        assert!(job.exists(), "the inbox is at fault, and the job was refused");
        assert_eq!(inbox.refresh(), FolderState::Unavailable);
        fs::remove_file(&running).unwrap();
        assert_eq!(inbox.refresh(), FolderState::Reopened);
        assert!(inbox.take(&job, RUN, &Policy::default()).is_some());
    }

    #[test]
    fn a_folder_has_one_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let first = Inbox::open(folder.path()).unwrap();
        let second = Inbox::open(folder.path()).err().unwrap().to_string();
        assert!(second.starts_with("another daemon has the inbox"), "{second}");
        drop(first);
        assert!(Inbox::open(folder.path()).is_ok());
    }
}
