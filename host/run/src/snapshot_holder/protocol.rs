//! What a holder and its clients say to each other: one line each.

use longshore_model::error::ErrorReport;
use longshore_sandbox::{Hold, Snapshot};
use serde::{Deserialize, Serialize};

/// What tells a holder that its run can be found again.
pub(super) const KEEP: &str = "keep";

/// What ends a holder.
pub(super) const RELEASE: &str = "release";

/// What a holder says to whoever connects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum HolderState {
    /// An instant.
    Snapshot { token: String, label: String },
    /// Nothing, and why.
    Unavailable(String),
}

impl HolderState {
    pub(super) fn new(hold: &Hold) -> Self {
        match hold {
            Hold::Held(Snapshot { token, label }) => {
                Self::Snapshot { token: token.clone(), label: label.clone() }
            }
            Hold::Unavailable(reason) => Self::Unavailable(reason.clone()),
        }
    }

    pub(super) fn into_hold(self) -> Hold {
        match self {
            Self::Snapshot { token, label } => Hold::Held(Snapshot { token, label }),
            Self::Unavailable(reason) => Hold::Unavailable(reason),
        }
    }
}

/// One line of a holder.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum HolderReply {
    /// What it holds.
    Held(HolderState),
    /// It could not ask the source.
    Failed(ErrorReport),
}
