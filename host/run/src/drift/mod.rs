//! Schema drift in runs: what the target holds is looked up before anything is read, and what differs is told
//! or refused.

mod expected;
mod look;
mod recheck;
mod refusal;
mod told;

pub use look::{RelationDrift, drift_of_job};

pub(crate) use expected::{ExpectedColumns, as_published};
pub(crate) use look::expected_of;
pub(crate) use refusal::{DRIFT, check_columns};
