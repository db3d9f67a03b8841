//! Parts, and the targets of relations that they belong to.

use serde::{Deserialize, Serialize};

use crate::checksum::Checksum;
use crate::config::target::Mode;

/// What Hive calls the folder of rows whose value is NULL.
pub const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// A part that is written, checked and durable, but not published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The chunk (partition) that it was written from.
    pub chunk: u64,
    /// The file's name in the relation's folder; in a sink, only what tells it from others.
    pub file: String,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// The file's checksum; a sink has none. Older versions called it `sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "sha256")]
    pub checksum: Option<Checksum>,
    /// What the store needs to publish it, or the sink's receipt; of no use to readers.
    #[serde(skip)]
    pub token: String,
}

/// A part that is not published yet, with its token: as the ledger and other processes are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StagedPart {
    #[serde(flatten)]
    part: Part,
    token: String,
}

impl From<Part> for StagedPart {
    fn from(mut part: Part) -> Self {
        let token = std::mem::take(&mut part.token);
        Self { part, token }
    }
}

impl From<StagedPart> for Part {
    fn from(StagedPart { part, token }: StagedPart) -> Self {
        Self { token, ..part }
    }
}

/// The target of one relation in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationTarget {
    /// The run.
    pub run: String,
    /// The relation's name in the job.
    pub relation: String,
    /// Its name in the target: with `_v2` or so, where there was one before.
    pub name: String,
    /// What happens to what is there.
    pub mode: Mode,
}
