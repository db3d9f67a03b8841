//! Schedules as people and programs see them.

use schemars::JsonSchema;
use serde::Serialize;

/// A standing job and its schedule, in short. Times are in the schedule's zone.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ScheduleSummary {
    /// The job's name: that of its file, without the ending.
    pub name: String,
    /// What its file is called in the folder of standing jobs.
    pub job_file: String,
    /// What triggers it, such as `cron 0 2 * * * in Europe/Berlin`. Absent: it is run by its name only.
    pub recurrence: Option<String>,
    /// The zone of its times.
    pub time_zone: String,
    /// The next scheduled time. Absent: it is paused, or has no times of its own.
    pub next: Option<String>,
    /// Its newest run.
    pub last: Option<ScheduleRun>,
    /// Whether it is paused, and why.
    pub paused: Option<SchedulePause>,
    /// What is wrong: why the version in the folder is not active, or why it never runs.
    pub problem: Option<String>,
    /// Whether any version is active.
    pub is_active: bool,
}

/// The pause of a schedule.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SchedulePause {
    /// Since when; absent: the job file says so.
    pub since: Option<String>,
    /// Why.
    pub reason: String,
}

/// A run of a standing job.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ScheduleRun {
    /// Its id.
    pub run: String,
    /// The kind of its trigger: `schedule`, `chain`, `run-now`, `backfill` or `retry`.
    pub kind: String,
    /// The time that it is for.
    pub scheduled: Option<String>,
    /// When it was asked for.
    pub requested: String,
    /// Its state; `waiting` if it has not begun.
    pub state: String,
    /// When it ended.
    pub finished: Option<String>,
}

/// A scheduled time to come.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ScheduledStart {
    /// The time that the run is for.
    pub scheduled: String,
    /// When it starts: later by the jitter.
    pub starts: String,
}

/// What happened to a schedule.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ScheduleEventView {
    /// When.
    pub at: String,
    /// `skipped`, `paused` or `resumed`.
    pub kind: String,
    /// What.
    pub text: String,
}

/// A standing job and its schedule, with all that is known.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ScheduleDetails {
    /// In short.
    #[serde(flatten)]
    pub summary: ScheduleSummary,
    /// The parameters that each run must be given.
    pub needs: Vec<String>,
    /// How much later than its time a run may start, in seconds.
    pub jitter_secs: i64,
    /// What becomes of missed times.
    pub catch_up: String,
    /// How old a missed time may be, in seconds.
    pub window_secs: i64,
    /// What becomes of a time at which an earlier run is not over.
    pub overlap: String,
    /// How many failures in a row pause it.
    pub pause_after_failures: Option<u32>,
    /// How many failures in a row there are now.
    pub failures: u32,
    /// The next scheduled times.
    pub upcoming: Vec<ScheduledStart>,
    /// Its newest runs, newest first.
    pub runs: Vec<ScheduleRun>,
    /// What happened to it, newest first.
    pub events: Vec<ScheduleEventView>,
}

/// A run that somebody asked for.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RequestedRun {
    /// Its id.
    pub run: String,
    /// Its key.
    pub key: String,
    /// The time that it is for.
    pub scheduled: String,
    /// Whether the key asked for it for the first time.
    pub is_new: bool,
}
