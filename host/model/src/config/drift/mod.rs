//! What happens to a relation whose columns differ from those of its target.

mod check;
pub(super) mod policy;

pub(super) use check::check_drift;
pub use policy::{DriftPolicy, OnAdded, OnNarrowed, OnRemoved, OnWidened};
