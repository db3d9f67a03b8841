//! What becomes of a relation whose columns are other ones than its target holds.

mod check;
pub(super) mod policy;

pub(super) use check::check_drift;
pub use policy::{DriftPolicy, OnAdded, OnNarrowed, OnRemoved, OnWidened};
