//! Running a plan: tasks in parallel, retries, progress, and the commit of all or nothing.

mod commit;
mod destination;
mod drift;
mod execution;
mod fingerprint;
mod holder;
mod holding;
mod load;
mod manifest;
mod progress;
mod record;
mod report;
mod retention;
mod retry;
mod runner;
mod socket;
mod task;

pub use fingerprint::Fingerprint;
pub use holder::{HOLD_SECS, hold};
pub use holding::{HOLDER_START_SECS, Keeper};
pub use manifest::{Manifest, RelationRecord};
pub use progress::{Progress, RelationProgress};
pub use report::{RelationReport, RunReport, Status};
pub use retention::forget_old_runs;
pub use retry::{
    RELATION_RETRY_LIMIT, RETRY_BACKOFF_LIMIT_MILLIS, RETRY_BACKOFF_MILLIS, RETRY_LIMIT,
    RetryPolicy,
};
pub use runner::{RESTART_LIMIT, Runner, Wish, new_run_id};
