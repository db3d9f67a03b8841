//! What happens to each kind of difference, as it is written and as it is checked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens to a relation whose columns differ from those of its target. A key that is left out
/// means `fail`.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawDrift {
    /// A column that the target does not have.
    pub(in crate::config) on_added: Option<OnAdded>,
    /// A column of the target that the source does not have any more.
    pub(in crate::config) on_removed: Option<OnRemoved>,
    /// A column whose type holds more than that of the target, or that may be NULL now.
    pub(in crate::config) on_widened: Option<OnWidened>,
    /// A column whose type does not go with that of the target.
    pub(in crate::config) on_narrowed: Option<OnNarrowed>,
}

/// What happens to a column that the target does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnAdded {
    /// It is written, after the others. Rows that are there have NULL in it.
    Evolve,
    /// It is not read.
    Ignore,
    /// The run fails.
    #[default]
    Fail,
}

/// What happens to a column that the source does not have any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnRemoved {
    /// It stays. New rows have NULL in it.
    Keep,
    /// The run fails.
    #[default]
    Fail,
}

/// What happens to a column whose type holds more than that of the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnWidened {
    /// New files have the wider type. Files that are there stay as they are.
    Evolve,
    /// The run fails.
    #[default]
    Fail,
}

/// What happens to a column whose type does not go with that of the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnNarrowed {
    /// The rows become a new version, `orders_v2`, to which the next runs go.
    Version,
    /// The run fails.
    #[default]
    Fail,
}

/// What happens to each kind of difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftPolicy {
    /// Of a column that the target does not have.
    pub on_added: OnAdded,
    /// Of a column that the source does not have any more.
    pub on_removed: OnRemoved,
    /// Of a column whose type holds more than that of the target.
    pub on_widened: OnWidened,
    /// Of a column whose type does not go with that of the target.
    pub on_narrowed: OnNarrowed,
}

impl RawDrift {
    /// These keys, and those of the whole job where there are none.
    pub(super) fn over(self, job: Option<Self>) -> Self {
        let job = job.unwrap_or_default();
        Self {
            on_added: self.on_added.or(job.on_added),
            on_removed: self.on_removed.or(job.on_removed),
            on_widened: self.on_widened.or(job.on_widened),
            on_narrowed: self.on_narrowed.or(job.on_narrowed),
        }
    }
}
