//! Reading a job that was taken, with its parameter file.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::DateTime;
use longshore_model::config::{Arguments, Job, ParameterRecord, Policy, Reach};
use longshore_model::error::{Error, Result};
use longshore_model::layout::RUNNING;
use longshore_run::ledger::TriggerEntry;

use super::inbox_folder::InboxFolder;
use super::inbox_job::{InboxJob, shown};
use super::parameter_file::parameter_file;

/// How long reading a job and the files that it names may take.
const READ_JOB_SECS: u64 = 30;

/// The stack of the thread that reads a job.
const READER_STACK_BYTES: usize = 64 << 20;

/// Reads a job in `running`, and nowhere that a link in its place leads. A run that has begun keeps the values of
/// its parameters; one that was asked for by a trigger has its values and its folder.
pub(super) fn read_job(
    taken: &InboxJob,
    inbox: &Path,
    begun_with: Option<ParameterRecord>,
    trigger: Option<TriggerEntry>,
    policy: &Policy,
) -> Result<Job> {
    let InboxJob { name, path, .. } = taken;
    let running = InboxFolder::open(inbox, RUNNING)
        .map_err(|error| Error::io(format!("inbox {}", shown(&inbox.join(RUNNING))), error))?;
    let arguments = match (begun_with, &trigger) {
        (Some(record), _) => Arguments::of_run(&record),
        (None, Some(trigger)) => arguments_of_trigger(trigger),
        (None, None) => read_arguments(taken, &running, inbox, policy)?,
    };
    let folder = trigger.as_ref().map_or(inbox, |trigger| &trigger.folder);
    Job::read_at(&running.file(taken.file_name()), path, name, folder, &arguments, policy)
}

fn arguments_of_trigger(entry: &TriggerEntry) -> Arguments {
    let arguments = Arguments::of_request(entry.arguments.clone());
    let scheduled = entry.trigger.scheduled.as_deref().unwrap_or(&entry.trigger.requested);
    match DateTime::parse_from_rfc3339(scheduled) {
        Ok(scheduled) => arguments.scheduled_for(scheduled.to_utc()),
        Err(_) => arguments,
    }
}

/// What the parameter file gives that was taken with a job.
fn read_arguments(
    taken: &InboxJob,
    running: &InboxFolder,
    inbox: &Path,
    policy: &Policy,
) -> Result<Arguments> {
    let held = running.file(taken.parameter_file_name());
    let name = PathBuf::from(&taken.name);
    let name = parameter_file(&name).unwrap_or(name);
    if held.is_symlink() {
        Reach::new(policy, inbox).file("the parameter file", &held)?;
    } else if !held.exists() {
        return Ok(Arguments::without_file(&name));
    }
    Arguments::of_file(&held, &name)
}

/// Reads a job where nobody else waits for it: a file may lie on a server that does not answer.
pub(super) async fn on_own_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (send, receive) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("reader".into()).stack_size(READER_STACK_BYTES);
    thread
        .spawn(move || {
            let done = std::panic::catch_unwind(AssertUnwindSafe(work));
            // Nobody waits any more.
            let _ = send.send(done);
        })
        .map_err(|error| Error::io("starting a thread", error))?;
    let patience = Duration::from_secs(READ_JOB_SECS);
    match tokio::time::timeout(patience, receive).await {
        Ok(Ok(Ok(done))) => done,
        Ok(_) => Err(Error::internal("reading the job panicked")
            .with_hint("this is a fault of Longshore: report it, with the job file")),
        Err(_) => Err(Error::timeout(format!(
            "the job, or a file that it names, was not read in {READ_JOB_SECS} s"
        ))
        .with_hint("look whether the server of its folder answers")),
    }
}
