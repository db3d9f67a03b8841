//! Running a plan: tasks in parallel, retries, progress, and the commit of all or nothing.

mod commit;
mod destination;
mod drift;
mod execution;
mod fingerprint;
mod holder;
mod holding;
pub mod ledger;
mod load;
mod manifest;
mod progress;
mod record;
mod report;
mod retention;
mod runner;
mod socket;
mod stopped;
mod task;

pub use fingerprint::Fingerprint;
pub use holder::hold;
pub use holding::{HOLDER_START_SECS, Keeper};
pub use manifest::{Manifest, RelationRecord};
pub use progress::{Progress, RelationProgress};
pub use report::{RelationReport, RunReport, Status};
pub use retention::forget_old_runs;
pub use runner::{RESTART_LIMIT, Runner, Wish, new_run_id};
