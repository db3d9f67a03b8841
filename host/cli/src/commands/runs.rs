//! `longshore runs`: what the ledger knows.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use longshore_daemon::{Submissions, given_arguments, lock};
use longshore_engine::scan::LeftOut;
use longshore_model::config::{Arguments, Job, Policy};
use longshore_model::error::{Error, Result};
use longshore_model::format::{counted, grouped};
use longshore_model::layout::INBOX_FOLDERS;
use longshore_run::ledger::{INTERRUPTED, Ledger, RunDetails, RunEntry, RunRecord};
use longshore_run::phase::{Outcome, Phase};
use longshore_run::{WindowRecord, new_run_id};
use serde_json::json;

use super::run_lines::{attempt_text, executor_text};
use super::table::Table;
use super::{App, CommandError, kept_job, run, show};
use crate::run_choice::{CANDIDATES_SHOWN, only_run};

/// How many runs are listed, unless told.
const LISTED: u64 = 20;

#[derive(Subcommand)]
pub(super) enum RunsCommand {
    /// Show a run: its attempts, its errors, what happened
    Show {
        /// The run's id, or its beginning
        run: String,
    },
    /// Stop a run that is under way; nothing of it is published
    Cancel {
        /// The run's id, or its beginning
        run: String,
    },
    /// Run a failed job again, or resume an interrupted run
    Retry {
        /// The run's id, or its beginning
        run: String,
    },
}

pub(super) fn runs(
    app: &App,
    command: Option<RunsCommand>,
    limit: Option<u64>,
) -> Result<(), CommandError> {
    let ledger = Ledger::open(&app.settings.state)?;
    match command {
        None => Ok(list(app, &ledger, limit.unwrap_or(LISTED))?),
        Some(RunsCommand::Show { run }) => Ok(details(app, &ledger, &run)?),
        Some(RunsCommand::Cancel { run }) => Ok(cancel(app, &ledger, &run)?),
        Some(RunsCommand::Retry { run }) => retry(app, &ledger, &run),
    }
}

/// The error of `--limit` where no runs are listed. Clap could refuse it only with all global options.
pub(super) fn limit_of_one() -> Error {
    Error::config("--limit belongs to the list of runs")
        .with_hint("leave it out, or list runs with `longshore runs --limit N`")
}

fn list(app: &App, ledger: &Ledger, limit: u64) -> Result<()> {
    let runs = ledger.runs(limit)?;
    if app.json {
        show::json(&runs);
        return Ok(());
    }
    if runs.is_empty() {
        show::answer(&format!("no runs in {}", app.settings.state.display()));
        return Ok(());
    }
    let headings = ["RUN", "STATE", "BEGAN", "CHUNKS", "ROWS", "JOB"];
    let mut table = Table::new(&headings).align_right(3).align_right(4);
    for run in runs {
        let began = run.created.get(..19).unwrap_or(&run.created).to_owned();
        table.add([run.run.clone(), state(&run), began, chunks(&run), rows(&run), run.job]);
    }
    show::answer(&table.to_text());
    Ok(())
}

fn chunks(run: &RunRecord) -> String {
    if run.phase.is_done() {
        return "-".into();
    }
    format!("{} of {}", run.tasks.done, run.tasks.chunks)
}

/// Its state, and for an interrupted run that was committing its phase too: half of a commit may be visible.
fn state(run: &RunRecord) -> String {
    match run.phase {
        Phase::Committing if run.state == INTERRUPTED => {
            format!("{} while {}", run.state, run.phase)
        }
        _ => run.state.to_owned(),
    }
}

/// The rows that are published, or read so far.
fn rows(run: &RunRecord) -> String {
    match &run.report {
        Some(report) if run.phase == Phase::Done(Outcome::Succeeded) => {
            report["rows"].as_u64().map(grouped).unwrap_or_default()
        }
        _ if !run.phase.is_done() => grouped(run.rows_read),
        _ => "-".into(),
    }
}

fn details(app: &App, ledger: &Ledger, id: &str) -> Result<()> {
    let details = ledger.details(&find(ledger, id)?)?.ok_or_else(|| unknown(id))?;
    if app.json {
        show::json(&details)
    } else {
        show::answer(&as_text(&details))
    }
    Ok(())
}

fn as_text(details: &RunDetails) -> String {
    let RunDetails { run, file, trigger, parameters, events, attempts, executors, .. } = details;
    let mut text = format!("run {}: {}, job {}, by {}\n", run.run, state(run), run.job, run.owner);
    let _ = writeln!(text, "job file: {file}");
    if let Some(trigger) = trigger {
        let _ = writeln!(text, "trigger: {}", trigger.to_text());
    }
    if !parameters.is_empty() {
        let _ = writeln!(text, "parameters: {parameters}");
    }
    let _ = writeln!(text, "began {}", run.created);
    if let Some(finished) = &run.finished {
        let _ = writeln!(text, "ended {finished}");
    }
    if !run.phase.is_done() {
        let _ = writeln!(text, "chunks: {} of {} done", run.tasks.done, run.tasks.chunks);
    }
    if run.restarts > 0 {
        let _ = writeln!(text, "restarted {}", counted(run.restarts.into(), "time"));
    }
    for executor in executors {
        let _ = writeln!(text, "{}", executor_text(&json!(executor)));
    }
    for event in events {
        let _ = writeln!(text, "{}  {}", event.at, event.text);
    }
    let is_over = run.phase.is_done() || run.state == INTERRUPTED;
    for attempt in attempts {
        let _ = writeln!(text, "{}", attempt_text(&json!(attempt), is_over));
    }
    if let Some(report) = &run.report {
        for relation in report["relations"].as_array().into_iter().flatten() {
            let _ = writeln!(
                text,
                "published {} rows -> {}",
                relation["rows"].as_u64().map(grouped).unwrap_or_default(),
                relation["folder"].as_str().unwrap_or_default()
            );
            for load in relation["incremental"].as_array().into_iter().flatten() {
                let _ = writeln!(text, "  {}", load_text(load));
            }
            if let Ok(left_out) = serde_json::from_value::<LeftOut>(relation["left_out"].clone()) {
                let _ = writeln!(text, "  {left_out}");
            }
        }
        if let Some(message) = report["error"]["message"].as_str() {
            let _ = writeln!(text, "error: {message}");
        }
        if let Some(next) = report["error"]["next_step"].as_str() {
            let _ = writeln!(text, "next: {next}");
        }
    }
    text
}

/// What was loaded of an incremental relation.
fn load_text(load: &serde_json::Value) -> String {
    match serde_json::from_value::<WindowRecord>(load.clone()) {
        Ok(load) => format!("{}: {}", load.relation, load.range),
        // Another version wrote it.
        Err(_) => load.to_string(),
    }
}

fn cancel(app: &App, ledger: &Ledger, id: &str) -> Result<()> {
    let run = find(ledger, id)?;
    let recorded = ledger.entry(&run)?.ok_or_else(|| unknown(id))?;
    // Only a run that nobody works on is given up here; others are asked.
    if recorded.phase.is_cancellable()
        && ledger.lock_run(&run)?.is_some()
        && lock(&app.settings.state).is_ok()
    {
        return give_up(app, ledger, &run, &recorded);
    }
    if !ledger.request_cancel(&run)? {
        let state = ledger.entry(&run)?.map_or("unknown", |run| run.phase.state());
        return Err(Error::config(format!("run {run} is {state}: there is nothing to cancel"))
            .with_hint("`longshore runs` lists the runs"));
    }
    if app.json {
        show::json(&serde_json::json!({ "run": run, "cancel": "asked" }))
    } else {
        show::answer(&format!(
            "run {run}: asked to stop; `longshore runs show {run}` tells when it has"
        ))
    }
    Ok(())
}

/// Removes what an interrupted run left, so that it never resumes.
fn give_up(app: &App, ledger: &Ledger, run: &str, recorded: &RunEntry) -> Result<()> {
    // To clean up is allowed, whatever the policy says by now.
    let policy = Policy::default();
    let job = job_of(ledger, run, recorded, &policy)?;
    let work = run::work(app, ledger, job, Some(run.to_owned()))?;
    let why = Error::cancelled("the run was cancelled");
    let report = app.io.block_on(work.give_up(why))?;
    kept_job::forget(&app.settings.state, run);
    if app.json {
        show::json(&report)
    } else {
        show::answer(&format!("run {run}: cancelled; what it left is removed"))
    }
    Ok(())
}

/// Where a daemon has the state folder, it runs the job; else this command does.
fn retry(app: &App, ledger: &Ledger, id: &str) -> Result<(), CommandError> {
    let run = find(ledger, id)?;
    let recorded = ledger.entry(&run)?.ok_or_else(|| unknown(id))?;
    if recorded.phase == Phase::Done(Outcome::Succeeded) {
        return Err(Error::config(format!("run {run} has succeeded"))
            .with_hint("run its job with `longshore run JOB`")
            .into());
    }
    let is_of_daemon = dropped_as(&recorded.file, &run).is_some();
    let _lock = match lock(&app.settings.state) {
        Ok(lock) => lock,
        Err(error) => match (recorded.phase.is_done(), is_of_daemon) {
            (true, true) => return Ok(ask_daemon(app, ledger, &run)?),
            (false, _) => {
                return Err(Error::config(format!("run {run} is under way"))
                    .with_hint(format!("`longshore runs show {run}` tells how far it is"))
                    .into());
            }
            (true, false) => return Err(error.into()),
        },
    };
    let job = job_of(ledger, &run, &recorded, &app.settings.policy)?;
    // An interrupted run keeps its id; a failed one left nothing to resume.
    let next = if recorded.phase.is_done() { new_run_id()? } else { run.clone() };
    if let Some(backfill) = ledger.backfill(&run)? {
        ledger.set_backfill(&next, &backfill)?;
    }
    run::carry_on(app, ledger, next, job)
}

/// The job of a run. Another attempt is made with the values of the first.
fn job_of(ledger: &Ledger, run: &str, recorded: &RunEntry, policy: &Policy) -> Result<Job> {
    let file = &recorded.file;
    let trigger = ledger.trigger(run)?;
    // Its name in the inbox, which `failed` and `running` lie in.
    let shown = dropped_as(file, run).unwrap_or_else(|| file.clone());
    let given = kept_job::start_of_paths(file);
    let beside = given.as_deref().or(shown.parent()).unwrap_or(Path::new("."));
    let folder = trigger.as_ref().map_or(beside, |trigger| &trigger.folder);
    let name = shown.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let arguments = match recorded.phase {
        Phase::Done(_) => Arguments::of_request(given_arguments(recorded, trigger.as_ref())?),
        _ => Arguments::of_run(&recorded.parameters),
    };
    let job = Job::read_in(file, &name, folder, &arguments, policy)?;
    if job.digest == recorded.digest || recorded.phase.is_done() {
        return Ok(job);
    }
    Err(Error::config(format!("{}: changed since the run began", file.display()))
        .with_hint("put it back as it was, or start a new run with `longshore run`"))
}

/// `INBOX/failed/shop.RUN.yaml` was dropped as `INBOX/shop.yaml`.
fn dropped_as(file: &Path, run: &str) -> Option<PathBuf> {
    let name = file.file_name()?.to_str()?.replace(&format!(".{run}."), ".");
    let folder = file.parent()?;
    let inside = INBOX_FOLDERS.iter().any(|part| folder.ends_with(part));
    inside.then(|| Some(folder.parent()?.join(name))).flatten()
}

/// Asks the daemon for another attempt.
fn ask_daemon(app: &App, ledger: &Ledger, run: &str) -> Result<()> {
    let submissions = Submissions::new(&app.settings.state, ledger.clone());
    let submitted = submissions.retry(run, None)?;
    if app.json {
        show::json(&serde_json::json!({ "run": submitted.run, "retry_of": run }))
    } else {
        let next = submitted.run;
        show::answer(&format!("run {next}: another attempt at {run}; the daemon takes it"));
    }
    Ok(())
}

fn find(ledger: &Ledger, id: &str) -> Result<String> {
    let found = ledger.find(id, CANDIDATES_SHOWN as u64)?;
    only_run(id, &found)?.ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Error {
    Error::not_found(format!("no run has an id that begins with `{id}`"))
        .with_hint("`longshore runs` lists the runs")
}
