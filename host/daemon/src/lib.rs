//! The daemon: takes jobs from a folder, runs them, and puts them away with their reports.

mod active_runs;
pub mod api;
mod arrival;
mod daemon;
mod inbox;
mod inbox_folder;
mod inbox_job;
mod lease;
mod log_error;
mod manager;
mod metrics;
mod notify;
mod outbox;
mod parameter_file;
mod read_job;
mod run_log;
mod run_queue;
mod schedules;
mod serve;
mod state_lock;
mod submissions;
mod watched_folder;
mod work;

pub use active_runs::{ActiveRuns, Watch};
pub use daemon::Daemon;
pub use inbox::Inbox;
pub use manager::Manager;
pub use notify::notify;
pub use run_log::RunLogLayer;
pub use schedules::{
    RequestedRun, ScheduleDetails, ScheduleEventView, SchedulePause, ScheduleRun, ScheduleSummary,
    ScheduledStart, Schedules,
};
pub use serve::{DRAIN_SECS, Signal};
pub use state_lock::{is_running, lock};
pub use submissions::{Submission, Submissions, SubmittedRun, given_arguments};
