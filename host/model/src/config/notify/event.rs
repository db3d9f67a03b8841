//! The events that people are told of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr};

/// What people are told of.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Display, IntoStaticStr, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum NotifyEvent {
    /// A run failed: nothing is published.
    Failed,
    /// A run published everything.
    Succeeded,
    /// A scheduled run has not begun or not ended when it should have.
    Late,
    /// A run failed, because the columns of a relation are not those that are in its target.
    Drifted,
    /// A schedule was paused: by somebody, or because its runs failed again and again.
    Paused,
}
