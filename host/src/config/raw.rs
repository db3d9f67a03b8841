//! A job file as it is written. Only shapes here; what they mean is checked in `job`.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A job: what to move, from where, to where.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawJob {
    /// The job's name; the file's name if absent.
    pub(super) name: Option<String>,
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
    /// What happens to the rows on their way, in this order.
    #[serde(default)]
    pub(super) transform: Vec<RawStep>,
    /// Where rows go.
    pub(super) target: RawTarget,
    /// How large a chunk is; automatic if absent.
    pub(super) chunk: Option<RawChunk>,
    /// How much is done at the same time; automatic if absent.
    pub(super) parallel: Option<RawParallel>,
    /// The consistency that the run must have; otherwise the best that the source gives.
    pub(super) consistency: Option<RawConsistency>,
}

/// Where rows come from. The URL's scheme chooses the connector, which defines the other keys:
/// `longshore plugin inspect NAME` shows them.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct RawSource {
    /// Such as `postgres://reader@db.internal:5432/shop` or `tpch:`.
    pub(super) url: String,
    /// What the connector wants to know.
    #[serde(flatten)]
    pub(super) config: Map<String, Value>,
}

/// One table or one query.
#[derive(Debug, Deserialize, JsonSchema)]
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
}

/// One step: `sql`, `sql_file`, or `plugin` with what that plugin wants to know.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct RawStep {
    /// A query over the rows so far, which are the table `data`.
    pub(super) sql: Option<String>,
    /// A file with such a query, beside the job file.
    pub(super) sql_file: Option<String>,
    /// A transform, by its name.
    pub(super) plugin: Option<String>,
    /// What the transform wants to know.
    #[serde(flatten)]
    pub(super) config: Map<String, Value>,
}

/// Where rows go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTarget {
    /// A folder, such as `file:///lake/shop`. Each relation gets a folder of its own in it.
    pub(super) url: String,
    /// The files' format.
    #[serde(default)]
    pub(super) format: RawFormat,
    /// `snappy` (default), `zstd`, `zstd:LEVEL` (1 to 22), `gzip`, `gzip:LEVEL` (0 to 9) or `none`.
    pub(super) compression: Option<String>,
    /// What happens when the target is already there.
    #[serde(default)]
    pub(super) mode: RawMode,
}

/// The files' format.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawFormat {
    /// Apache Parquet.
    #[default]
    Parquet,
}

/// What happens when the target is already there.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawMode {
    /// It is kept, and the new one becomes `orders_v2`.
    #[default]
    Version,
    /// The run is refused.
    Error,
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
