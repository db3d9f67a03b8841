//! Runs: their phases, tasks in parallel, retries, progress, and the commit of all or nothing.

mod commit;
mod control;
mod destination;
mod drift;
mod execution;
mod fingerprint;
pub mod ledger;
mod lifecycle;
mod manifest;
mod panic;
pub mod phase;
mod plan_record;
mod preparation;
mod progress;
mod relation_tasks;
mod report;
mod retention;
mod retry;
mod run;
mod run_end;
mod run_id;
mod runner;
mod snapshot_holder;
mod stop;
mod task;

pub use control::RunControl;
pub use fingerprint::Fingerprint;
pub use manifest::{Manifest, RelationRecord};
pub use progress::{Progress, RelationProgress};
pub use report::{RelationReport, RunReport, Status};
pub use retention::forget_old_runs;
pub use retry::{RESUME_WAIT, TakeOver};
pub use run_id::new_run_id;
pub use runner::Runner;
pub use snapshot_holder::{HOLDER_START_SECS, HolderLauncher, hold};
