//! How a run in the foreground is watched: by people, or by the program that started it.

use std::future::pending;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::time::sleep;

/// How often it is looked whether the process that started the run is still there.
const PARENT_LOOK_MILLIS: u64 = 250;

#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct WatchArgs {
    /// How progress is told on stderr
    #[arg(long, value_enum, value_name = "FORM", default_value_t)]
    pub(super) progress: ProgressForm,
    /// End the run, as SIGTERM does, when the process that started it, of this id, has ended
    #[arg(long, value_name = "PID")]
    parent_pid: Option<u32>,
}

/// How progress is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressForm {
    /// For people: drawn on a terminal, a line every few seconds elsewhere
    #[default]
    Text,
    /// For programs: a line of JSON every half second, `{"progress": {..}}`
    Json,
}

impl WatchArgs {
    /// Resolves when the process that started this one has ended, if it is to be looked after.
    pub(super) async fn parent_ended(self) {
        let Some(parent) = self.parent_pid else { return pending().await };
        while std::os::unix::process::parent_id() == parent {
            sleep(Duration::from_millis(PARENT_LOOK_MILLIS)).await;
        }
    }
}
