//! What is read of a source, and how much of one instant it is.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// A table or a query, as a job names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relation {
    /// A table or view, in the source's own notation.
    Table(String),
    /// A query in the source's own language.
    Query(String),
}

/// What the chunks of a relation, or of a run, saw of the source.
/// From the weakest to the strongest.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Consistency {
    /// Nothing is known.
    Unknown,
    /// Each chunk saw one instant, but not all the same.
    PerChunk,
    /// Every chunk saw one and the same instant.
    Snapshot,
}

impl Consistency {
    /// Its name, as jobs, reports and the ledger write it.
    pub fn name(self) -> &'static str {
        self.into()
    }
}
