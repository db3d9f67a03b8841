//! The kinds of plugin.

use serde::{Deserialize, Serialize};

/// What a plugin is to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Reads rows.
    Connector,
    /// Changes rows.
    Transform,
    /// Writes rows.
    Sink,
}

impl Kind {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connector => "connector",
            Self::Transform => "transform",
            Self::Sink => "sink",
        }
    }

    /// The kind whose interface this is.
    pub(super) fn of_interface(interface: &str) -> Option<Self> {
        match interface {
            "connector-api" => Some(Self::Connector),
            "transform-api" => Some(Self::Transform),
            "sink-api" => Some(Self::Sink),
            _ => None,
        }
    }
}
