//! Running a plan: tasks in parallel, retries, progress, and the commit of all or nothing.

mod commit;
mod manifest;
mod progress;
mod report;
mod runner;
mod task;

pub use manifest::Manifest;
pub use progress::{Progress, RelationProgress};
pub use report::{RelationReport, RunReport, Status, counted, grouped, human_bytes};
pub use runner::{Runner, new_run_id};
pub use task::{RETRY_BACKOFF_MILLIS, RETRY_LIMIT};
