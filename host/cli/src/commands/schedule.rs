//! `longshore schedule`: the standing jobs and their schedules, with or without a daemon.

use std::fmt::Write;

use clap::Subcommand;
use longshore_daemon::{
    RequestedRun, ScheduleDetails, ScheduleRun, ScheduleSummary, Schedules, Submissions, is_running,
};
use longshore_model::error::Result;
use longshore_model::format::counted;
use longshore_run::ledger::Ledger;
use serde_json::json;

use super::params::ParamArgs;
use super::table::Table;
use super::{App, show};

/// How many times to come are listed, unless told.
const LISTED: usize = 5;

/// Why a schedule is paused, unless told.
const REASON: &str = "by hand";

#[derive(Subcommand)]
pub(super) enum ScheduleCommand {
    /// List the standing jobs, their next times, and what is wrong with them
    List,
    /// Show a standing job: its schedule, its runs, what was skipped
    Show {
        /// The job's name: that of its file, without the ending
        name: String,
    },
    /// List the next scheduled times of a standing job
    Next {
        /// The job's name
        name: String,
        /// How many to list
        #[arg(long, default_value_t = LISTED, value_name = "N")]
        count: usize,
    },
    /// Pause a schedule: its times pass without runs
    Pause {
        /// The job's name
        name: String,
        /// Why, for those who look at it later
        #[arg(long, default_value = REASON, value_name = "TEXT")]
        reason: String,
    },
    /// Resume a schedule: what passed meanwhile is not caught up
    Resume {
        /// The job's name
        name: String,
    },
    /// Run a standing job now, whatever its schedule says
    RunNow {
        /// The job's name
        name: String,
        #[command(flatten)]
        params: ParamArgs,
    },
    /// Run a standing job for each of its scheduled times in a range, one after the other
    Backfill {
        /// The job's name
        name: String,
        /// The first day or time: 2026-11-20, in the schedule's zone, or 2026-11-20T02:00:00Z
        #[arg(long, value_name = "TIME")]
        from: String,
        /// The day or time before which the range ends
        #[arg(long, value_name = "TIME")]
        to: String,
        #[command(flatten)]
        params: ParamArgs,
    },
}

pub(super) fn schedule(app: &App, command: ScheduleCommand) -> Result<()> {
    let ledger = Ledger::open(&app.settings.state)?;
    let submissions = Submissions::new(&app.settings.state, ledger.clone());
    let schedules = Schedules::read(&app.settings, ledger, submissions)?;
    match command {
        ScheduleCommand::List => list(app, &schedules),
        ScheduleCommand::Show { name } => details(app, &schedules, &name),
        ScheduleCommand::Next { name, count } => next(app, &schedules, &name, count),
        ScheduleCommand::Pause { name, reason } => {
            let is_new = schedules.pause(&name, &reason)?;
            tell_pause(app, &name, true, if is_new { "paused" } else { "it is paused already" });
            Ok(())
        }
        ScheduleCommand::Resume { name } => {
            let is_new = schedules.resume(&name)?;
            tell_pause(app, &name, false, if is_new { "resumed" } else { "it is not paused" });
            Ok(())
        }
        ScheduleCommand::RunNow { name, params } => {
            let run = schedules.run_now(&name, &params.values()?, None, None)?;
            tell_requested(app, &[run])
        }
        ScheduleCommand::Backfill { name, from, to, params } => {
            let runs = schedules.backfill(&name, &from, &to, &params.values()?, None)?;
            tell_requested(app, &runs)
        }
    }
}

fn list(app: &App, schedules: &Schedules) -> Result<()> {
    let jobs = schedules.list()?;
    if app.json {
        show::json(&jobs);
        return Ok(());
    }
    if jobs.is_empty() {
        show::answer("no standing jobs");
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "SCHEDULE", "NEXT", "LAST", "STATE"]);
    for job in &jobs {
        table.add([
            job.name.clone(),
            job.recurrence.clone().unwrap_or_else(|| "-".into()),
            job.next.clone().unwrap_or_else(|| "-".into()),
            job.last.as_ref().map_or_else(|| "-".into(), last),
            state(job),
        ]);
    }
    show::answer(&table.to_text());
    Ok(())
}

/// `succeeded 2026-11-29T02:00:00+01:00`
fn last(run: &ScheduleRun) -> String {
    format!("{} {}", run.state, run.scheduled.as_ref().unwrap_or(&run.requested))
}

fn state(job: &ScheduleSummary) -> String {
    let mut words = Vec::new();
    if let Some(pause) = &job.paused {
        words.push(format!("paused: {}", pause.reason));
    }
    match (&job.problem, job.is_active) {
        (Some(problem), true) => words.push(format!("active, but {problem}")),
        (Some(problem), false) => words.push(format!("invalid: {problem}")),
        (None, true) => {}
        (None, false) => words.push("not read yet".into()),
    }
    if words.is_empty() { "active".into() } else { words.join("; ") }
}

fn details(app: &App, schedules: &Schedules, name: &str) -> Result<()> {
    let details = schedules.show(name)?;
    if app.json {
        show::json(&details);
    } else {
        show::answer(&as_text(&details));
    }
    Ok(())
}

fn as_text(details: &ScheduleDetails) -> String {
    let job = &details.summary;
    let mut text = format!("{}: {}\n", job.name, state(job));
    let _ = writeln!(text, "job file: {}", job.job_file);
    match &job.recurrence {
        None => text += "schedule: none; it is run by its name\n",
        Some(recurrence) => {
            let _ = writeln!(text, "schedule: {recurrence}");
            let _ = writeln!(
                text,
                "catch up: {}, not older than {} s; overlap: {}; jitter: {} s",
                details.catch_up, details.window_secs, details.overlap, details.jitter_secs
            );
        }
    }
    if !details.needs.is_empty() {
        let _ = writeln!(text, "needs: {}", details.needs.join(", "));
    }
    if let Some(since) = job.paused.as_ref().and_then(|pause| pause.since.as_ref()) {
        let _ = writeln!(text, "paused since {since}");
    }
    if let Some(limit) = details.pause_after_failures {
        let _ = writeln!(text, "failures in a row: {} of {limit}", details.failures);
    }
    for next in &details.upcoming {
        let _ = writeln!(text, "next {}", next.scheduled);
    }
    for run in &details.runs {
        let _ = writeln!(text, "run {}: {} {}", run.run, run.kind, last(run));
    }
    for event in &details.events {
        let _ = writeln!(text, "{}  {}: {}", event.at, event.kind, event.text);
    }
    text
}

fn next(app: &App, schedules: &Schedules, name: &str, count: usize) -> Result<()> {
    let next = schedules.next(name, count)?;
    if app.json {
        show::json(&next);
        return Ok(());
    }
    if next.is_empty() {
        show::answer("it follows other jobs, and has no times of its own");
    }
    for next in next {
        show::answer(&next.scheduled);
    }
    Ok(())
}

fn tell_pause(app: &App, name: &str, is_paused: bool, words: &str) {
    if app.json {
        show::json(&json!({ "name": name, "paused": is_paused }));
    } else {
        show::answer(&format!("{name}: {words}"));
    }
}

/// Tells the runs, and who begins them.
fn tell_requested(app: &App, runs: &[RequestedRun]) -> Result<()> {
    if app.json {
        show::json(&runs);
        return Ok(());
    }
    for run in runs {
        show::answer(&format!("run {}: for {}", run.run, run.scheduled));
    }
    let count = counted(runs.len() as u64, "run");
    show::answer(&if is_running(&app.settings.state)? {
        format!("{count} asked for: the daemon begins")
    } else {
        format!("{count} asked for: no daemon has the state folder, and the next one begins")
    });
    Ok(())
}
