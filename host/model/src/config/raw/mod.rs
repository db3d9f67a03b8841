//! A job file as it is written. Only shapes here; what they mean is checked in `job`.

mod files;
mod parameter;
mod source;
mod store;
mod target;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::checks::raw::RawCheck;
use super::drift::policy::RawDrift;
use super::incremental::raw::RawIncremental;
use super::load::{RawMerge, RawScd2, RawSnapshot};
use super::notify::raw::RawWebhook;
use super::record::Record;
use super::schedule::RawSchedule;
use crate::relation::Consistency;

pub use files::{RawBadRows, RawInt96, RawPacking};
pub(super) use files::{RawBadRowsOrLimit, RawColumn, RawCsvRead, RawFiles, RawFormat, RawNulls};
pub(super) use parameter::{RawParameter, RawParameterKeys, RawParameterType};
pub(super) use source::{
    RawDirect, RawDirectFiles, RawDirectMode, RawKerberos, RawKeys, RawSource,
};
pub(super) use store::RawSftp;
pub use store::{RawAzure, RawHdfs, RawS3};
pub(super) use target::{RawFolder, RawLoaded, RawRegister, RawTarget};

/// A job: what to move, from where, to where.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawJob {
    /// The job's name; the file's name if absent.
    pub(super) name: Option<String>,
    /// Values that each run is given; `{{ NAME }}` stands for them in queries, SQL steps, names and
    /// paths. Without this key, braces mean nothing.
    pub(super) parameters: Option<BTreeMap<String, RawParameter>>,
    /// When the daemon runs the job, if it is a standing job.
    pub(super) schedule: Option<RawSchedule>,
    /// Where rows come from.
    pub(super) source: RawSource,
    /// Tables to move: the short form of `relations`.
    #[serde(default)]
    pub(super) tables: Vec<String>,
    /// A query whose result to move, under the job's name.
    pub(super) query: Option<String>,
    /// A file with such a query, beside the job file.
    pub(super) query_file: Option<String>,
    /// A column to cut the query's result by, into ranges of its values; else it is one chunk.
    pub(super) chunk_by: Option<String>,
    /// Tables and queries to move.
    #[serde(default)]
    pub(super) relations: Vec<RawRelation>,
    /// A query, carried out here, over all of these, which are tables under their names in it. Its
    /// result is what is moved, under the job's name.
    pub(super) sql: Option<String>,
    /// A file with such a query, beside the job file.
    pub(super) sql_file: Option<String>,
    /// What happens to the rows on their way, in this order.
    #[serde(default)]
    pub(super) transform: Vec<RawStep>,
    /// Where rows go.
    pub(super) target: RawTarget,
    /// What happens to relations whose columns differ from those of the target. If absent, `append`
    /// refuses them, and other modes report them.
    pub(super) schema: Option<RawDrift>,
    /// The catalog that the target's folders become tables of.
    pub(super) register: Option<RawRegister>,
    /// How large a chunk is; automatic if absent.
    pub(super) chunk: Option<RawChunk>,
    /// How much is done at the same time; automatic if absent.
    pub(super) parallel: Option<RawParallel>,
    /// The consistency that the run must have; otherwise the best that the source gives.
    pub(super) consistency: Option<RawConsistency>,
    /// Whether to keep what crossed into the plugins for a chunk that failed, rows included, for
    /// `longshore plugin replay`.
    #[serde(default)]
    pub(super) record: Record,
    /// Who is told what becomes of its runs.
    #[serde(default)]
    pub(super) notify: Vec<RawWebhook>,
    /// What rows must be like to be published: checks of all relations, or of those that they name.
    #[serde(default)]
    pub(super) checks: Vec<RawCheck>,
    /// Whether its runs are told to the collector of lineage that the settings name; they are if absent.
    pub(super) lineage: Option<bool>,
    /// The scheduler of the cluster that reads and writes the rows, such as `https://scheduler:50050`. If absent, the
    /// settings say; else this machine does it.
    pub(super) cluster: Option<String>,
}

/// One table or one query.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRelation {
    /// A table or view, by its name in the source.
    pub(super) table: Option<String>,
    /// A query in the source's own language.
    pub(super) query: Option<String>,
    /// A file with such a query, beside the job file.
    pub(super) query_file: Option<String>,
    /// Its name in the target; a table's own name if absent.
    #[serde(rename = "as")]
    pub(super) name: Option<String>,
    /// A column to cut it by, into ranges of its values; the connector chooses if absent.
    pub(super) chunk_by: Option<String>,
    /// What its rows must be like to be published.
    #[serde(default)]
    pub(super) checks: Vec<RawCheck>,
    /// How it is loaded piece by piece: each run loads what came since the one before.
    pub(super) incremental: Option<RawIncremental>,
    /// What happens when its columns change. The keys given here replace those of the job.
    pub(super) schema: Option<RawDrift>,
    /// How it is merged, where `target.mode` is merge; as `target.merge` says, if absent.
    pub(super) merge: Option<RawMerge>,
    /// How it is loaded, where `target.mode` is snapshot; as `target.snapshot` says, if absent.
    pub(super) snapshot: Option<RawSnapshot>,
    /// How its history is kept, where `target.mode` is scd2; as `target.scd2` says, if absent.
    pub(super) scd2: Option<RawScd2>,
}

/// One step: `sql`, `sql_file`, or `plugin` with what that plugin wants to know.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct RawStep {
    /// A query over the rows so far, which are the table `data`.
    pub(super) sql: Option<String>,
    /// A file with such a query, beside the job file.
    pub(super) sql_file: Option<String>,
    /// A transform, by its name, such as `mask`; or one version of it: `mask@1.2`,
    /// `mask@sha256:DIGEST`.
    pub(super) plugin: Option<String>,
    /// What the transform wants to know.
    #[serde(flatten)]
    pub(super) config: Map<String, Value>,
}

/// How large a chunk is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChunk {
    /// Rows to a chunk.
    #[schemars(range(min = 1))]
    pub(super) rows: Option<u64>,
    /// Bytes, as the source stores them, to a chunk.
    #[schemars(range(min = 1))]
    pub(super) bytes: Option<u64>,
}

/// How much is done at the same time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawParallel {
    /// Relations.
    #[schemars(range(min = 1, max = 1024))]
    pub(super) relations: Option<u64>,
    /// Chunks of each relation.
    #[schemars(range(min = 1, max = 1024))]
    pub(super) chunks: Option<u64>,
}

/// The consistency that a run must have.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawConsistency {
    /// Every chunk saw one instant.
    Snapshot,
    /// Each chunk saw one instant.
    PerChunk,
}

impl From<RawConsistency> for Consistency {
    fn from(demanded: RawConsistency) -> Self {
        match demanded {
            RawConsistency::Snapshot => Self::Snapshot,
            RawConsistency::PerChunk => Self::PerChunk,
        }
    }
}
