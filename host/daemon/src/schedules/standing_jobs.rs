//! The folder of standing jobs. The last valid version of each job is kept as a copy in the state folder: a version
//! that is not valid takes nothing away, also after a restart.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use longshore_model::atomic_file;
use longshore_model::config::document::DOCUMENT_LIMIT_BYTES;
use longshore_model::config::schedule::check_standing_name;
use longshore_model::config::small_file::read_small_file;
use longshore_model::config::{Arguments, Job, Policy, Reach, Recurrence, Schedule, StandingJob};
use longshore_model::error::{Error, Result};
use longshore_model::layout::JOB_COPIES;
use longshore_run::ledger::StandingRuns;
use serde_json::Value;

use crate::inbox::has_jobs_ending;
use crate::inbox_job::shown;
use crate::lease::{Writers, writers};
use crate::log_error::next_step;
use crate::parameter_file::is_parameter_file;

/// Job files may hold secrets.
const COPY_MODE: u32 = 0o600;

/// The role of a process that reads the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The daemon, which keeps the copies.
    Keeper,
    /// A command, which only reads.
    Reader,
}

/// The standing jobs, by their names.
pub(super) struct StandingJobs {
    folder: PathBuf,
    copies: PathBuf,
    role: Role,
    policy: Policy,
    jobs: BTreeMap<String, StandingFile>,
    /// Why the folder cannot be read, if it cannot.
    problem: Option<String>,
    /// Files that are ignored, which was told.
    told: BTreeSet<PathBuf>,
    /// Whether the copies of files that went while no daemon was there are removed.
    has_tidied: bool,
}

/// The files of the folder that are jobs.
#[derive(Default)]
struct Listing {
    /// The files, by the names of their jobs.
    files: BTreeMap<String, String>,
    /// Files whose job has another file already, by its name.
    rivals: BTreeMap<String, String>,
    /// Files whose names are no text.
    unreadable: Vec<PathBuf>,
}

/// The standing jobs, as they are at a moment.
#[derive(Clone)]
pub(super) struct Snapshot {
    pub(super) folder: PathBuf,
    pub(super) jobs: Arc<BTreeMap<String, StandingFile>>,
}

impl Snapshot {
    /// Whether all files were read as they were found.
    pub(super) fn is_settled(&self) -> bool {
        self.jobs.values().all(|job| job.read == job.found)
    }

    /// The runs of the jobs that a schedule follows, of those that are there.
    pub(super) fn followed(&self, schedule: &Schedule) -> Vec<StandingRuns<'_>> {
        let Recurrence::After(names) = &schedule.recurrence else { return Vec::new() };
        let files = names.iter().filter_map(|name| self.jobs.get(name));
        files.map(|file| StandingRuns { job: &file.file_name, folder: &self.folder }).collect()
    }
}

/// The job file of a standing job.
#[derive(Clone, Debug)]
pub(super) struct StandingFile {
    /// What the file is called: `shop.yaml`.
    pub(super) file_name: String,
    /// The version that is active; absent: there was none that was valid.
    pub(super) active: Option<Arc<ActiveJob>>,
    /// Why the file is not the version that is active, or cannot be used.
    pub(super) problem: Option<String>,
    /// Another file that has the same name, and is ignored.
    pub(super) rival: Option<String>,
    /// The state in which the file was read.
    read: Option<FileState>,
    /// The state in which the file was found; it is read when it is found so twice.
    found: Option<FileState>,
}

/// A valid version of a job.
#[derive(Debug)]
pub(super) struct ActiveJob {
    /// The text of the file.
    pub(super) document: Vec<u8>,
    /// The checked job.
    pub(super) job: StandingJob,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct FileState {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl FileState {
    fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

impl StandingFile {
    /// The version that is active.
    pub(super) fn active(&self) -> Result<&ActiveJob> {
        self.active.as_deref().ok_or_else(|| {
            Error::config(format!("{}: no version of it is valid", self.file_name))
                .with_hint("`longshore schedule list` shows what is wrong; correct it")
        })
    }

    /// The schedule of the active version.
    pub(super) fn schedule(&self) -> Option<&Schedule> {
        self.active.as_ref().and_then(|active| active.job.schedule.as_ref())
    }
}

impl StandingJobs {
    pub(super) fn new(folder: &Path, state: &Path, role: Role) -> Self {
        Self {
            folder: folder.to_owned(),
            copies: state.join(JOB_COPIES),
            role,
            policy: Policy::default(),
            jobs: BTreeMap::new(),
            problem: None,
            told: BTreeSet::new(),
            has_tidied: false,
        }
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The jobs as they are now.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot { folder: self.folder.clone(), jobs: Arc::new(self.jobs.clone()) }
    }

    /// The jobs, by their names.
    pub(super) fn jobs(&self) -> &BTreeMap<String, StandingFile> {
        &self.jobs
    }

    /// The job of a name.
    pub(super) fn get(&self, name: &str) -> Result<&StandingFile> {
        self.jobs.get(name).ok_or_else(|| {
            let error = Error::not_found(format!(
                "no standing job in {} is called `{name}`",
                self.folder.display()
            ));
            error.with_hint("`longshore schedule list` lists them")
        })
    }

    /// What keeps a job from its runs, although its file is valid: a job that it follows is not there or follows it,
    /// or another file has its name.
    pub(super) fn obstacle(&self, name: &str, file: &StandingFile) -> Option<String> {
        if let Some(rival) = &file.rival {
            return Some(format!("{rival} is ignored: {} has the same name", file.file_name));
        }
        let Recurrence::After(names) = &file.schedule()?.recurrence else { return None };
        if let Some(missing) = names.iter().find(|name| !self.jobs.contains_key(*name)) {
            return Some(format!("`schedule.after`: no standing job is called `{missing}`"));
        }
        let circle = names.iter().find(|next| self.follows(next, name))?;
        Some(format!(
            "`schedule.after`: `{circle}` itself follows `{name}`, so that none ever starts"
        ))
    }

    /// Whether a job is another one, or follows it by way of others.
    fn follows(&self, name: &str, other: &str) -> bool {
        let (mut open, mut seen) = (vec![name], BTreeSet::new());
        while let Some(name) = open.pop() {
            if name == other {
                return true;
            }
            let schedule = self.jobs.get(name).and_then(StandingFile::schedule);
            if let Some(Recurrence::After(names)) = schedule.map(|schedule| &schedule.recurrence)
                && seen.insert(name)
            {
                open.extend(names.iter().map(String::as_str));
            }
        }
        false
    }

    /// Refuses values that the parameters of a job cannot have.
    pub(super) fn check_arguments(
        &self,
        name: &str,
        arguments: &BTreeMap<String, Value>,
        scheduled: DateTime<Utc>,
    ) -> Result<()> {
        self.job(name, arguments, scheduled).map(drop)
    }

    /// The active version of a job, with these values.
    pub(super) fn job(
        &self,
        name: &str,
        arguments: &BTreeMap<String, Value>,
        scheduled: DateTime<Utc>,
    ) -> Result<Job> {
        let file = self.get(name)?;
        let arguments = Arguments::of_request(arguments.clone()).scheduled_for(scheduled);
        with_file(&file.file_name, &file.active()?.document, |held| {
            let path = self.folder.join(&file.file_name);
            Job::read_at(held, &path, &file.file_name, &self.folder, &arguments, &self.policy)
        })
    }

    /// Takes note of files that came, changed or went. Gives whether the folder could be read: else all stays as it
    /// was.
    pub(super) fn refresh(&mut self, policy: &Policy) -> Result<()> {
        self.policy.clone_from(policy);
        let listed = self.list();
        match listed {
            Ok(Listing { files, rivals, unreadable }) => {
                self.problem = None;
                self.forget_removed(&files);
                self.tell_ignored(&rivals, &unreadable);
                for (name, file_name) in files {
                    self.look(&name, file_name);
                    let rival = rivals.get(&name).cloned();
                    self.jobs.entry(name).and_modify(|job| job.rival = rival);
                }
                Ok(())
            }
            Err(error) => {
                let text = error.to_string();
                if self.problem.as_ref() != Some(&text) && self.role == Role::Keeper {
                    tracing::error!("{text}: the standing jobs stay as they were");
                    self.problem = Some(text);
                }
                Err(error)
            }
        }
    }

    /// The job files by the names of their jobs. Of two that have one name, the one that is in use stays its file;
    /// else it is the first.
    fn list(&self) -> Result<Listing> {
        let fault = |error| Error::io(format!("jobs folder {}", shown(&self.folder)), error);
        let mut names: Vec<String> = Vec::new();
        let mut listing = Listing::default();
        for entry in fs::read_dir(&self.folder).map_err(fault)? {
            let path = entry.map_err(fault)?.path();
            let is_job = has_jobs_ending(&path) && !is_parameter_file(&path);
            if !is_job || path.is_dir() {
                continue;
            }
            match path.file_name().and_then(|name| name.to_str()) {
                Some(name) if name.starts_with('.') => {}
                Some(name) => names.push(name.to_owned()),
                None => listing.unreadable.push(path),
            }
        }
        names.sort_by_cached_key(|name| (!self.is_in_use(name), name.clone()));
        for file in names {
            let Some((stem, _)) = file.rsplit_once('.') else { continue };
            match listing.files.entry(stem.to_owned()) {
                Entry::Vacant(place) => {
                    place.insert(file);
                }
                Entry::Occupied(place) => {
                    listing.rivals.entry(place.key().clone()).or_insert(file);
                }
            }
        }
        Ok(listing)
    }

    /// Whether a file is that of a job, or was when the last daemon ended.
    fn is_in_use(&self, file_name: &str) -> bool {
        let stem = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
        match self.jobs.get(stem) {
            Some(job) => job.file_name == file_name,
            None => self.copies.join(file_name).exists(),
        }
    }

    /// Says once which files are ignored.
    fn tell_ignored(&mut self, rivals: &BTreeMap<String, String>, unreadable: &[PathBuf]) {
        let ignored = rivals.values().map(|name| self.folder.join(name));
        let ignored: BTreeSet<PathBuf> = ignored.chain(unreadable.iter().cloned()).collect();
        for path in ignored.difference(&self.told).filter(|_| self.role == Role::Keeper) {
            let why = if unreadable.contains(path) {
                "its name is not UTF-8"
            } else {
                "another file has the same name but for its ending"
            };
            tracing::warn!("{}: ignored: {why}; rename it, or remove it", shown(path));
        }
        self.told = ignored;
    }

    fn forget_removed(&mut self, files: &BTreeMap<String, String>) {
        if self.role == Role::Keeper && !self.has_tidied {
            self.remove_old_copies(files);
            self.has_tidied = true;
        }
        let (folder, copies, role) = (&self.folder, &self.copies, self.role);
        self.jobs.retain(|name, job| {
            let stays = files.get(name) == Some(&job.file_name);
            if !stays && role == Role::Keeper {
                tracing::info!("{}: removed", shown(&folder.join(&job.file_name)));
                let _ = fs::remove_file(copies.join(&job.file_name));
            }
            stays
        });
    }

    /// Removes the copies of files that went while no daemon was there.
    fn remove_old_copies(&self, files: &BTreeMap<String, String>) {
        for copy in fs::read_dir(&self.copies).into_iter().flatten().flatten() {
            let is_there = files.values().any(|file| copy.file_name() == file.as_str());
            if !is_there {
                let _ = fs::remove_file(copy.path());
            }
        }
    }

    fn look(&mut self, name: &str, file_name: String) {
        let path = self.folder.join(&file_name);
        let state = FileState::of(&path).ok();
        let is_first = !self.jobs.contains_key(name);
        let job = self.jobs.entry(name.to_owned()).or_insert_with(|| StandingFile {
            file_name,
            active: None,
            problem: None,
            rival: None,
            read: None,
            found: state.clone(),
        });
        // What a job names may have come since: it is tried again.
        if !is_first && job.read == state && job.problem.is_none() {
            return;
        }
        let is_settled =
            (is_first || job.found == state) && !matches!(writers(&path), Ok(Writers::Some));
        job.found.clone_from(&state);
        if is_settled {
            job.read = state;
            self.read(name);
        } else if is_first {
            self.restore(name);
        }
    }

    /// Reads the file of a job. What is valid becomes active; else what is active stays.
    fn read(&mut self, name: &str) {
        let Some(job) = self.jobs.get(name) else { return };
        let path = self.folder.join(&job.file_name);
        match self.read_file(name, &path) {
            Ok(active) => {
                let is_new = job.active.as_ref().map(|job| &job.document) != Some(&active.document);
                if is_new && self.role == Role::Keeper {
                    tracing::info!("{}: active", shown(&path));
                    active.job.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                }
                let problem = self.keep(&job.file_name, &active);
                self.jobs.entry(name.to_owned()).and_modify(|job| {
                    (job.active, job.problem) = (Some(Arc::new(active)), problem);
                });
            }
            Err(error) => self.refuse(name, &error),
        }
    }

    fn refuse(&mut self, name: &str, error: &Error) {
        if self.jobs.get(name).is_some_and(|job| job.active.is_none()) {
            self.restore(name);
        }
        let Some(job) = self.jobs.get_mut(name) else { return };
        let stays = if job.active.is_some() { ": the last valid version stays" } else { "" };
        let text = format!("{error}{}", next_step(error));
        if self.role == Role::Keeper && job.problem.as_ref() != Some(&text) {
            tracing::error!("{text}{stays}");
        }
        job.problem = Some(text);
    }

    /// Makes the copy of the last valid version active, if there is one.
    fn restore(&mut self, name: &str) {
        let Some(job) = self.jobs.get_mut(name) else { return };
        let copy = self.copies.join(&job.file_name);
        let read = read_small_file("the last valid version", &copy, DOCUMENT_LIMIT_BYTES);
        let checked = StandingJob::read(&copy, &job.file_name, &self.folder, &self.policy);
        if let (Ok(document), Ok(checked)) = (read, checked) {
            job.active = Some(Arc::new(ActiveJob { document, job: checked }));
        }
    }

    /// Reads and checks a file. It is checked where nobody changes it.
    fn read_file(&self, name: &str, path: &Path) -> Result<ActiveJob> {
        check_standing_name(name)?;
        if path.is_symlink() {
            Reach::new(&self.policy, &self.folder).file("the job's file", path)?;
        }
        let document = read_small_file("the job file", path, DOCUMENT_LIMIT_BYTES)?;
        let file_name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let checked = with_file(file_name, &document, |held| {
            StandingJob::read(held, file_name, &self.folder, &self.policy)
        });
        Ok(ActiveJob { job: checked?, document })
    }

    /// Keeps a copy of a valid version. Gives why it cannot be kept, if it cannot.
    fn keep(&self, file_name: &str, active: &ActiveJob) -> Option<String> {
        if self.role == Role::Reader {
            return None;
        }
        let copy = self.copies.join(file_name);
        if fs::read(&copy).is_ok_and(|kept| kept == active.document) {
            return None;
        }
        let kept = fs::create_dir_all(&self.copies)
            .and_then(|()| atomic_file::write_with_mode(&copy, &active.document, COPY_MODE));
        let error = Error::io(format!("keeping a copy of {file_name}"), kept.err()?);
        tracing::error!("{error}{}", next_step(&error));
        Some(error.to_string())
    }
}

/// Works on a document as a file that nobody else changes.
fn with_file<T>(name: &str, document: &[u8], work: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let fault = |error| Error::io(format!("checking {name}"), error);
    let folder = tempfile::tempdir().map_err(fault)?;
    let held = folder.path().join(name);
    fs::write(&held, document).map_err(fault)?;
    work(&held)
}
