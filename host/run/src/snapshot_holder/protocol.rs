//! The protocol of a holder and its clients: one line each.

use longshore_model::error::ErrorReport;
use longshore_sandbox::SnapshotResult;
use serde::{Deserialize, Serialize};

/// Tells a holder that the run's plan is recorded: somebody will look for it.
pub(super) const KEEP: &str = "keep";

/// Ends a holder.
pub(super) const RELEASE: &str = "release";

/// What a holder tells each client, in one line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum HolderReply {
    /// The source's answer.
    Held(SnapshotResult),
    /// It could not ask the source.
    Failed(ErrorReport),
}
