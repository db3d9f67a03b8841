//! Whether tapes are kept.

use schemars::JsonSchema;
use serde::Deserialize;

/// Whether what crosses into a plugin is recorded on a tape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// Nothing is recorded.
    #[default]
    Never,
    /// Chunks that failed are recorded, in the state folder.
    OnFailure,
}
