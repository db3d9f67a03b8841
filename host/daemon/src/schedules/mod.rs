//! Schedules: when standing jobs are run, and what people may ask of them. Files say what is wanted, the ledger
//! says how far it is; whoever has both can look, with or without a daemon.

mod backfill;
mod due;
mod overview;
mod scheduler;
mod standing_jobs;
mod view;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use longshore_model::config::{Job, Schedule, Settings};
use longshore_model::error::{Error, Result};
use longshore_run::ledger::{Ledger, ScheduleEntry};
use longshore_run::{TriggerKind, new_run_id};
use parking_lot::Mutex;
use serde_json::Value;

use crate::submissions::{Submission, Submissions};
pub(crate) use scheduler::Scheduler;
use standing_jobs::{Role, StandingFile, StandingJobs};
pub use view::{
    RequestedRun, ScheduleDetails, ScheduleEventView, SchedulePause, ScheduleRun, ScheduleSummary,
    ScheduledStart,
};

/// The standing jobs and their schedules.
#[derive(Clone)]
pub struct Schedules {
    ledger: Ledger,
    submissions: Submissions,
    jobs: Arc<Mutex<StandingJobs>>,
}

impl Schedules {
    /// Reads the folder of standing jobs, for a command.
    pub fn read(settings: &Settings, ledger: Ledger, submissions: Submissions) -> Result<Self> {
        let folder = settings.jobs_dir.as_deref().ok_or_else(|| {
            Error::config("no folder of standing jobs is named")
                .with_hint("name it with --jobs-dir DIR, LONGSHORE_JOBS_DIR or `jobs_dir`")
        })?;
        let schedules = Self::new(folder, settings, ledger, submissions, Role::Reader);
        schedules.jobs.lock().refresh(&settings.policy)?;
        Ok(schedules)
    }

    /// Keeps the folder of standing jobs, for the daemon. None: it has no such folder.
    pub fn keep(settings: &Settings, ledger: Ledger, submissions: Submissions) -> Option<Self> {
        let folder = settings.jobs_dir.as_deref()?;
        Some(Self::new(folder, settings, ledger, submissions, Role::Keeper))
    }

    fn new(
        folder: &Path,
        settings: &Settings,
        ledger: Ledger,
        submissions: Submissions,
        role: Role,
    ) -> Self {
        let jobs = Arc::new(Mutex::new(StandingJobs::new(folder, &settings.state, role)));
        Self { ledger, submissions, jobs }
    }

    /// Pauses a job's schedule. False: it is paused already.
    pub fn pause(&self, name: &str, reason: &str) -> Result<bool> {
        self.jobs.lock().get(name)?;
        self.ledger.pause_schedule(name, reason)
    }

    /// Resumes a job's schedule: its failures count anew, and what passed meanwhile is not caught up. False: it is
    /// not paused.
    pub fn resume(&self, name: &str) -> Result<bool> {
        let jobs = self.jobs.lock();
        let file = jobs.get(name)?;
        let schedule = file.schedule().ok_or_else(|| no_schedule(name))?;
        if schedule.is_paused {
            return Err(Error::config(format!("the job file of `{name}` pauses it"))
                .with_hint("remove `paused: true` there"));
        }
        let found = jobs.snapshot();
        let after = found.followed(schedule);
        self.ledger.resume_schedule(name, &fingerprint(schedule), Utc::now(), &after)
    }

    /// Asks for a run of a job, now. The same key asks once; each call has its own if none is given.
    pub fn run_now(
        &self,
        name: &str,
        arguments: &BTreeMap<String, Value>,
        key: Option<&str>,
        requested_by: Option<&str>,
    ) -> Result<RequestedRun> {
        let jobs = self.jobs.lock();
        let (file, folder) = (jobs.get(name)?.clone(), jobs.folder().to_owned());
        let now = Utc::now();
        jobs.check_arguments(name, arguments, now)?;
        drop(jobs);
        let key = match key {
            Some(key) => key.to_owned(),
            None => format!("run-now/{name}/{}", new_run_id()?),
        };
        self.submit(
            &file,
            &folder,
            &Request {
                key,
                kind: TriggerKind::RunNow,
                scheduled: now,
                arguments,
                requested_by,
                is_exclusive: false,
            },
        )
    }

    /// When the run of a scheduled time starts: later by its jitter.
    pub(crate) fn start_of(&self, job_file: &str, scheduled: DateTime<Utc>) -> DateTime<Utc> {
        let name = job_file.rsplit_once('.').map_or(job_file, |(stem, _)| stem);
        let jobs = self.jobs.lock();
        let schedule = jobs.get(name).ok().and_then(StandingFile::schedule);
        schedule.map_or(scheduled, |schedule| schedule.start_of(name, scheduled))
    }

    /// The active version of a standing job, as it would run now.
    pub(crate) fn job(&self, name: &str) -> Result<Job> {
        self.jobs.lock().job(name, &BTreeMap::new(), Utc::now())
    }

    fn submit(
        &self,
        file: &StandingFile,
        folder: &Path,
        request: &Request<'_>,
    ) -> Result<RequestedRun> {
        let active = file.active()?;
        let submitted = self.submissions.submit(&Submission {
            key: &request.key,
            job: &file.file_name,
            document: &active.document,
            folder,
            arguments: request.arguments,
            kind: request.kind,
            scheduled: Some(request.scheduled),
            requested_by: request.requested_by,
            is_exclusive: request.is_exclusive,
            trace_parent: None,
        })?;
        Ok(RequestedRun {
            run: submitted.run,
            key: request.key.clone(),
            scheduled: key_time(request.scheduled),
            is_new: submitted.is_new,
        })
    }
}

/// What is asked for of a standing job.
struct Request<'a> {
    key: String,
    kind: TriggerKind,
    scheduled: DateTime<Utc>,
    arguments: &'a BTreeMap<String, Value>,
    requested_by: Option<&'a str>,
    is_exclusive: bool,
}

/// A time as keys have it.
fn key_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn no_schedule(name: &str) -> Error {
    Error::config(format!("`{name}` has no schedule"))
        .with_hint("add `schedule:` to its job file, or run it with `longshore schedule run-now`")
}

/// What the cursor of a schedule belongs to. If it changes, another schedule begins.
fn fingerprint(schedule: &Schedule) -> String {
    let paused = if schedule.is_paused { ", paused" } else { "" };
    format!("{}{paused}", schedule.recurrence)
}

/// Why a schedule is paused, if it is.
fn pause(schedule: Option<&Schedule>, entry: Option<&ScheduleEntry>) -> Option<SchedulePause> {
    if let Some(pause) = entry.and_then(|entry| entry.pause.clone()) {
        return Some(SchedulePause { since: Some(pause.since), reason: pause.reason });
    }
    let reason = "the job file says so".to_owned();
    schedule.filter(|schedule| schedule.is_paused).map(|_| SchedulePause { since: None, reason })
}
