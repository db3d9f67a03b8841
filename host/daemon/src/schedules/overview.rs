//! The answers of the API about schedules.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use chrono_tz::Tz;
use longshore_model::config::Schedule;
use longshore_model::error::Result;
use longshore_run::ledger::{ScheduleEntry, StandingRun, StandingRuns};
use serde::Serialize;

use super::standing_jobs::{StandingFile, StandingJobs};
use super::view::{
    ScheduleDetails, ScheduleEventView, ScheduleRun, ScheduleSummary, ScheduledStart,
};
use super::{Schedules, no_schedule, pause};

/// How many times to come, runs and events are shown.
const UPCOMING_SHOWN: usize = 5;
const RUNS_SHOWN: u64 = 10;
const EVENTS_SHOWN: u64 = 20;

impl Schedules {
    /// The standing jobs, by name.
    pub fn list(&self) -> Result<Vec<ScheduleSummary>> {
        let entries = self.ledger.schedules()?;
        let jobs = self.jobs.lock();
        let names = jobs.jobs().keys();
        names.map(|name| self.summary(name, &jobs, entries.get(name))).collect()
    }

    /// A standing job, with all that is known of its schedule.
    pub fn show(&self, name: &str) -> Result<ScheduleDetails> {
        let entries = self.ledger.schedules()?;
        let jobs = self.jobs.lock();
        let file = jobs.get(name)?;
        let runs = StandingRuns { job: &file.file_name, folder: jobs.folder() };
        let entry = entries.get(name);
        let summary = self.summary(name, &jobs, entry)?;
        let (schedule, zone) = (file.schedule(), zone(file));
        let failures = match entry {
            Some(entry) => self.ledger.schedule_failures(entry, runs)?.count,
            None => 0,
        };
        let is_paused = summary.paused.is_some();
        let running = schedule.filter(|_| !is_paused);
        Ok(ScheduleDetails {
            summary,
            needs: file.active.iter().flat_map(|active| active.job.needs.clone()).collect(),
            jitter_secs: schedule.map_or(0, |schedule| schedule.jitter.num_seconds()),
            catch_up: schedule.map(|schedule| word(schedule.catch_up)).unwrap_or_default(),
            window_secs: schedule.map_or(0, |schedule| schedule.window.num_seconds()),
            overlap: schedule.map(|schedule| word(schedule.overlap)).unwrap_or_default(),
            pause_after_failures: schedule.and_then(|schedule| schedule.pause_after_failures),
            failures,
            upcoming: running
                .map(|schedule| upcoming(name, schedule, entry, UPCOMING_SHOWN))
                .unwrap_or_default(),
            runs: self.shown_runs(runs, RUNS_SHOWN, zone)?,
            events: self.shown_events(name, zone)?,
        })
    }

    /// The next scheduled times of a job, whether it is paused or not.
    pub fn next(&self, name: &str, count: usize) -> Result<Vec<ScheduledStart>> {
        let entries = self.ledger.schedules()?;
        let jobs = self.jobs.lock();
        let schedule = jobs.get(name)?.schedule().ok_or_else(|| no_schedule(name))?;
        Ok(upcoming(name, schedule, entries.get(name), count))
    }

    fn summary(
        &self,
        name: &str,
        jobs: &StandingJobs,
        entry: Option<&ScheduleEntry>,
    ) -> Result<ScheduleSummary> {
        let file = jobs.get(name)?;
        let runs = StandingRuns { job: &file.file_name, folder: jobs.folder() };
        let schedule = file.schedule();
        let mut paused = pause(schedule, entry);
        if let Some(since) = paused.as_mut().and_then(|paused| paused.since.as_mut()) {
            *since = shown_text(since, zone(file));
        }
        let next = schedule.filter(|_| paused.is_none());
        let next = next.and_then(|schedule| upcoming(name, schedule, entry, 1).pop());
        Ok(ScheduleSummary {
            name: name.to_owned(),
            job_file: file.file_name.clone(),
            recurrence: schedule.map(|schedule| schedule.recurrence.to_string()),
            time_zone: zone(file).to_string(),
            next: next.map(|next| next.scheduled),
            last: self.shown_runs(runs, 1, zone(file))?.pop(),
            paused,
            problem: file.problem.clone().or_else(|| jobs.obstacle(name, file)),
            is_active: file.active.is_some(),
        })
    }

    fn shown_runs(&self, runs: StandingRuns<'_>, limit: u64, zone: Tz) -> Result<Vec<ScheduleRun>> {
        let runs = self.ledger.standing_runs(runs, limit)?;
        Ok(runs.into_iter().map(|run| shown_run(run, zone)).collect())
    }

    fn shown_events(&self, name: &str, zone: Tz) -> Result<Vec<ScheduleEventView>> {
        let events = self.ledger.schedule_events(name, EVENTS_SHOWN)?;
        let shown = events.into_iter().map(|event| ScheduleEventView {
            at: shown_text(&event.at, zone),
            kind: event.kind,
            text: event.text,
        });
        Ok(shown.collect())
    }
}

/// The zone that a job's times are shown in.
fn zone(file: &StandingFile) -> Tz {
    file.schedule().map_or(Tz::UTC, |schedule| schedule.time_zone)
}

/// The times whose runs have not started yet.
fn upcoming(
    name: &str,
    schedule: &Schedule,
    entry: Option<&ScheduleEntry>,
    count: usize,
) -> Vec<ScheduledStart> {
    let Some(times) = schedule.times() else { return Vec::new() };
    let now = Utc::now();
    let cursor = entry.map_or(now, |entry| entry.cursor);
    let from = cursor.max(now - schedule.jitter - TimeDelta::seconds(1));
    let times = std::iter::successors(times.next_after(from), |time| times.next_after(*time));
    let starts = times.map(|time| (time, schedule.start_of(name, time)));
    let coming = starts.filter(|(_, start)| *start > now).take(count);
    let zone = schedule.time_zone;
    coming
        .map(|(time, start)| ScheduledStart {
            scheduled: shown(time, zone),
            starts: shown(start, zone),
        })
        .collect()
}

fn shown_run(run: StandingRun, zone: Tz) -> ScheduleRun {
    ScheduleRun {
        run: run.run,
        kind: run.kind,
        scheduled: run.scheduled.map(|time| shown_text(&time, zone)),
        requested: shown_text(&run.requested, zone),
        state: run.phase.map_or("waiting", |phase| phase.state()).to_owned(),
        finished: run.finished.map(|time| shown_text(&time, zone)),
    }
}

pub(super) fn shown(time: DateTime<Utc>, zone: Tz) -> String {
    time.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, false)
}

/// A time of the ledger, in a zone.
fn shown_text(text: &str, zone: Tz) -> String {
    text.parse().map_or_else(|_| text.to_owned(), |time| shown(time, zone))
}

/// A word of the job file.
fn word(value: impl Serialize) -> String {
    let word = serde_json::to_value(value).ok();
    word.and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}
