//! Running a plan: tasks in parallel, retries, progress, and the commit of all or nothing.

mod commit;
mod control;
mod destination;
mod drift;
mod execution;
mod fingerprint;
pub mod ledger;
mod manifest;
pub mod phase;
mod progress;
mod record;
mod relation_tasks;
mod report;
mod retention;
mod retry;
mod runner;
mod snapshot_holder;
mod stopped;
mod task;

pub use control::RunControl;
pub use fingerprint::Fingerprint;
pub use manifest::{Manifest, RelationRecord};
pub use progress::{Progress, RelationProgress};
pub use report::{RelationReport, RunReport, Status};
pub use retention::forget_old_runs;
pub use retry::{RESUME_WAIT, TakeOver};
pub use runner::{Runner, new_run_id};
pub use snapshot_holder::{HOLDER_START_SECS, HolderLauncher, hold};
