//! Whether tapes are kept.

use schemars::JsonSchema;
use serde::Deserialize;

/// Whether what crosses into plugins is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// Nothing is.
    #[default]
    Never,
    /// That of a chunk that failed is, in the state folder.
    OnFailure,
}
