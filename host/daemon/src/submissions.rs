//! Submissions: jobs that a schedule, the API or a command gives to the daemon. They go the way of dropped files.
//!
//! The job file goes into the spool, then the trigger into the ledger, then the file into the inbox's `running`,
//! under the id that the run gets. A crash between any two of these is made good at the next look: a trigger that
//! is written down has its run, and a key has one.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use longshore_model::atomic_file;
use longshore_model::config::Arguments;
use longshore_model::config::document::DOCUMENT_LIMIT_BYTES;
use longshore_model::config::small_file::read_small_file;
use longshore_model::error::{Error, Result};
use longshore_model::layout::{RUNNING, SPOOL};
use longshore_model::trace_context::TraceParent;
use longshore_run::ledger::{Ledger, NewTrigger, RunEntry, TriggerEntry, TriggerState};
use longshore_run::{TriggerKind, new_run_id};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use super::inbox_folder::InboxFolder;
use super::inbox_job::{InboxJob, move_file};
use super::parameter_file::parameter_file;

/// Job files may hold secrets.
const SPOOLED_MODE: u32 = 0o600;

/// A file in the spool that no trigger names is removed when it is as old as this.
const ORPHAN_SECS: u64 = 3_600;

/// Gives jobs to the daemon that has the state folder, whether it lives or comes later.
#[derive(Clone)]
pub struct Submissions {
    ledger: Ledger,
    spool: PathBuf,
    news: Arc<Notify>,
}

/// A job that asks for a run.
#[derive(Clone, Debug)]
pub struct Submission<'a> {
    /// The key that asks for this run: the same key never gives a second one.
    pub key: &'a str,
    /// The name of the job file, which ends as its format asks: `shop.yaml`.
    pub job: &'a str,
    /// The job file.
    pub document: &'a [u8],
    /// Where the files that the job names lie.
    pub folder: &'a Path,
    /// Values for the job's parameters.
    pub arguments: &'a BTreeMap<String, Value>,
    /// What kind of trigger it is.
    pub kind: TriggerKind,
    /// The time that the run is for.
    pub scheduled: Option<DateTime<Utc>>,
    /// Who asks.
    pub requested_by: Option<&'a str>,
    /// Whether it waits until no earlier submission of its job is open.
    pub is_exclusive: bool,
    /// The span that asks.
    pub trace_parent: Option<TraceParent>,
}

/// The run that a submission gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmittedRun {
    /// The run's id.
    pub run: String,
    /// Whether the key asked for it for the first time.
    pub is_new: bool,
    /// Whether the key asked for it with this job file and these values.
    pub is_same_job: bool,
}

impl Submissions {
    /// To the daemon of a state folder.
    pub fn new(state: &Path, ledger: Ledger) -> Self {
        Self { ledger, spool: state.join(SPOOL), news: Arc::default() }
    }

    /// Writes a submission down. Whatever happens after that, its run begins.
    pub fn submit(&self, submission: &Submission<'_>) -> Result<SubmittedRun> {
        if submission.document.len() as u64 > DOCUMENT_LIMIT_BYTES {
            return Err(Error::config(format!(
                "{}: the job file has more than {DOCUMENT_LIMIT_BYTES} bytes",
                submission.job
            ))
            .with_hint("move what it lists into files of their own"));
        }
        let digest = hex::encode(Sha256::digest(submission.document));
        let known = |entry: TriggerEntry| SubmittedRun {
            is_same_job: entry.digest == digest
                && entry.job == submission.job
                && entry.arguments == *submission.arguments,
            run: entry.run,
            is_new: false,
        };
        if let Some(entry) = self.ledger.trigger_of_key(submission.key)? {
            return Ok(known(entry));
        }
        let run = new_run_id()?;
        let spooled = self.spooled(&InboxJob::new(Path::new(""), submission.job.as_ref(), &run));
        fs::create_dir_all(&self.spool)
            .and_then(|()| {
                atomic_file::write_with_mode(&spooled, submission.document, SPOOLED_MODE)
            })
            .map_err(|error| Error::io(format!("spooling {}", submission.job), error))?;
        let scheduled = submission.scheduled;
        let given = self.ledger.record_trigger(&NewTrigger {
            run: &run,
            key: submission.key,
            job: submission.job,
            folder: submission.folder,
            digest: &digest,
            kind: submission.kind,
            scheduled: scheduled.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)),
            requested_by: submission.requested_by,
            arguments: submission.arguments,
            is_exclusive: submission.is_exclusive,
            trace_parent: submission.trace_parent,
        })?;
        if given != run {
            // Somebody was faster with the same key.
            let _ = fs::remove_file(&spooled);
            let entry = self.ledger.trigger(&given)?;
            return entry.map(known).ok_or_else(|| Error::internal("a trigger is gone"));
        }
        self.news.notify_one();
        Ok(SubmittedRun { run, is_new: true, is_same_job: true })
    }

    /// Asks for another attempt at a run of the daemon that has ended, with the values and the folder that it had. A
    /// run has one such attempt: who asks again is given it, and may try that one again.
    pub fn retry(&self, run: &str, requested_by: Option<&str>) -> Result<SubmittedRun> {
        let gone = || Error::not_found(format!("run {run} has left no job file"));
        let recorded = self.ledger.entry(run)?.ok_or_else(gone)?;
        let trigger = self.ledger.trigger(run)?;
        let ended = InboxJob::of(recorded.file.clone()).ok_or_else(gone)?;
        let document = read_small_file("the job file", &recorded.file, DOCUMENT_LIMIT_BYTES)?;
        let inbox = recorded.file.parent().and_then(Path::parent).ok_or_else(gone)?;
        let arguments = given_arguments(&recorded, trigger.as_ref())?;
        let scheduled = trigger.as_ref().and_then(|trigger| trigger.trigger.scheduled.as_deref());
        let scheduled = scheduled.and_then(|at| DateTime::parse_from_rfc3339(at).ok());
        self.submit(&Submission {
            key: &format!("retry/{run}"),
            job: &ended.name,
            document: &document,
            folder: trigger.as_ref().map_or(inbox, |trigger| &trigger.folder),
            arguments: &arguments,
            kind: TriggerKind::Retry,
            scheduled: scheduled.map(|at| at.to_utc()),
            requested_by,
            is_exclusive: false,
            trace_parent: None,
        })
    }

    /// Resolves when something was submitted in this process.
    pub(super) async fn submitted(&self) {
        self.news.notified().await;
    }

    /// Moves the job files of due triggers into the inbox, but for `known` runs, whose files are there. Gives those
    /// that came, oldest first.
    pub(super) fn place_due(&self, inbox: &Path, known: &HashSet<String>) -> Result<Vec<InboxJob>> {
        let mut placed = Vec::new();
        for entry in self.ledger.due_triggers()? {
            let job = InboxJob::new(inbox, entry.job.as_ref(), &entry.run);
            if !known.contains(&entry.run) {
                self.place(inbox, &job)?;
                placed.push(job);
            }
            self.ledger.set_trigger_state(&entry.run, TriggerState::Placed)?;
        }
        Ok(placed)
    }

    fn place(&self, inbox: &Path, job: &InboxJob) -> Result<()> {
        let fault = |error| Error::io(format!("placing {}", job.name), error);
        let running = InboxFolder::open(inbox, RUNNING).map_err(fault)?;
        match move_file(&self.spooled(job), &running.file(job.file_name())) {
            // It is told when the job is read.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                tracing::error!("{}: its file in the spool is gone", job.name);
                Ok(())
            }
            moved => moved.map_err(fault),
        }
    }

    /// Ends the triggers whose job files somebody took away, and removes files that no trigger names. `is_there`
    /// tells whether a run's file is in the inbox. Gives the triggers that it ended.
    pub(super) fn tidy(&self, is_there: impl Fn(&str) -> bool) -> Result<Vec<TriggerEntry>> {
        let open = self.ledger.open_triggers()?;
        let mut ended = Vec::new();
        for entry in &open {
            if entry.state == TriggerState::Placed && !is_there(&entry.run) {
                tracing::warn!("{}: the job file of run {} was taken away", entry.job, entry.run);
                self.ledger.set_trigger_state(&entry.run, TriggerState::Over)?;
                ended.push(entry.clone());
            }
        }
        let runs: HashSet<&str> = open.iter().map(|entry| entry.run.as_str()).collect();
        let Ok(files) = fs::read_dir(&self.spool) else { return Ok(ended) };
        for file in files.flatten() {
            let job = InboxJob::of(file.path());
            if job.is_none_or(|job| !runs.contains(job.run.as_str())) && is_old(&file) {
                let _ = fs::remove_file(file.path());
            }
        }
        Ok(ended)
    }

    fn spooled(&self, job: &InboxJob) -> PathBuf {
        self.spool.join(job.file_name())
    }
}

/// What was given for the parameters of a run's job: the values that it began with, or, if its job could not be
/// read, what its trigger or its parameter file says.
pub fn given_arguments(
    recorded: &RunEntry,
    trigger: Option<&TriggerEntry>,
) -> Result<BTreeMap<String, Value>> {
    if !recorded.parameters.is_empty() {
        return Ok(recorded.parameters.values().clone());
    }
    if let Some(trigger) = trigger {
        return Ok(trigger.arguments.clone());
    }
    match parameter_file(&recorded.file).filter(|file| file.exists()) {
        Some(file) => Ok(Arguments::of_file(&file, &file)?.into_values()),
        None => Ok(BTreeMap::new()),
    }
}

/// A file that is written right now has no trigger yet.
fn is_old(file: &fs::DirEntry) -> bool {
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    let age = modified.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    age.is_some_and(|age| age > Duration::from_secs(ORPHAN_SECS))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        folder: tempfile::TempDir,
        submissions: Submissions,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let submissions = Submissions::new(folder.path(), Ledger::open(folder.path()).unwrap());
            Self { folder, submissions }
        }

        fn inbox(&self) -> PathBuf {
            self.folder.path().join("inbox")
        }

        fn submit(&self, key: &str, document: &str) -> SubmittedRun {
            let submission = Submission {
                key,
                job: "shop.yaml",
                document: document.as_bytes(),
                folder: self.folder.path(),
                arguments: &BTreeMap::new(),
                kind: TriggerKind::Api,
                scheduled: None,
                requested_by: None,
                is_exclusive: false,
                trace_parent: None,
            };
            self.submissions.submit(&submission).unwrap()
        }

        fn place(&self, known: &[&str]) -> Vec<InboxJob> {
            fs::create_dir_all(self.inbox()).unwrap();
            let known = known.iter().map(|&run| run.to_owned()).collect();
            self.submissions.place_due(&self.inbox(), &known).unwrap()
        }
    }

    #[test]
    fn a_submission_comes_into_the_inbox_once_and_unchanged() {
        let bench = Bench::new();
        let submitted = bench.submit("k", "a: 1");
        assert!(submitted.is_new);
        let again = bench.submit("k", "a: 2");
        assert_eq!((&again.run, again.is_new, again.is_same_job), (&submitted.run, false, false));
        let [job] = bench.place(&[]).try_into().unwrap();
        assert_eq!(fs::read_to_string(&job.path).unwrap(), "a: 1");
        assert!(bench.place(&[]).is_empty());
    }

    #[test]
    fn a_crash_after_the_file_was_placed_places_it_no_second_time() {
        let bench = Bench::new();
        let SubmittedRun { run, .. } = bench.submit("k", "a: 1");
        let [job] = bench.place(&[]).try_into().unwrap();
        bench.submissions.ledger.set_trigger_state(&run, TriggerState::Waiting).unwrap();
        assert!(bench.place(&[&run]).is_empty());
        let entry = bench.submissions.ledger.trigger(&run).unwrap().unwrap();
        assert_eq!(entry.state, TriggerState::Placed);
        assert!(job.path.exists());
    }

    #[test]
    fn a_trigger_whose_file_was_taken_away_is_over() {
        let bench = Bench::new();
        let SubmittedRun { run, .. } = bench.submit("k", "a: 1");
        bench.place(&[]);
        assert!(bench.submissions.tidy(|_| true).unwrap().is_empty());
        assert_eq!(bench.submissions.ledger.open_triggers().unwrap().len(), 1);
        let ended = bench.submissions.tidy(|there| there != run).unwrap();
        assert_eq!((ended.len(), &ended[0].run), (1, &run));
        assert!(bench.submissions.ledger.open_triggers().unwrap().is_empty());
    }
}
