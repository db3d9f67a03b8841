//! `schedule:` as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When the daemon runs a standing job, which lies in the folder of `--jobs-dir`. Elsewhere, it is only
/// checked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawSchedule {
    /// Times, as a cron expression of five fields, or of six with the seconds first: `0 2 * * *`.
    pub(super) cron: Option<String>,
    /// Times that are so far apart, such as `15m`. They are counted from 1970-01-01T00:00:00Z.
    pub(super) every: Option<String>,
    /// Other standing jobs, instead of times: the job runs when each of them has succeeded since it was
    /// last triggered. Its scheduled time is the latest of theirs.
    pub(super) after: Option<Vec<String>>,
    /// The IANA time zone of `cron`, in which times are shown; UTC if absent.
    pub(super) time_zone: Option<String>,
    /// How much later a run may start, such as `5m`: each starts at a moment within it. At once if absent.
    pub(super) jitter: Option<String>,
    /// What becomes of times at which no daemon was there.
    #[serde(default)]
    pub(super) catch_up: CatchUp,
    /// How old a missed time may be, such as `12h`; one day if absent.
    pub(super) window: Option<String>,
    /// What becomes of a time at which an earlier run is not over.
    #[serde(default)]
    pub(super) overlap: Overlap,
    /// How many failures in a row pause the schedule; none if absent.
    #[schemars(range(min = 1))]
    pub(super) pause_after_failures: Option<u32>,
    /// Whether the schedule is paused.
    #[serde(default)]
    pub(super) paused: bool,
}

/// What becomes of missed times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CatchUp {
    /// The latest is run.
    #[default]
    Latest,
    /// All are run, one after the other: the latest 100 of them.
    All,
    /// None is run.
    None,
}

/// What becomes of a time at which an earlier run is not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// It is skipped.
    #[default]
    Skip,
    /// It is run when the earlier ones are over.
    Queue,
    /// The earlier ones are cancelled, and it is run then.
    CancelOther,
}
