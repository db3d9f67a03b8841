//! The target of rows, and the catalog of its tables, as a job says them.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::files::RawFormat;
use super::source::RawKerberos;
use super::store::{RawAzure, RawHdfs, RawS3, RawSftp};
use crate::config::load::{RawMerge, RawScd2, RawSnapshot};
use crate::config::mode::Mode;

/// Where rows go. The URL's scheme chooses: a folder of files, or a sink, which defines the other
/// keys: `longshore plugin inspect NAME` shows them.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in crate::config) struct RawTarget {
    /// A folder: `file:///lake/shop`, `s3://bucket/lake/shop`, `azure://container/lake/shop`,
    /// `hdfs://namenode:8020/lake/shop` or `sftp://loader@host/lake/shop`, in which each relation gets
    /// a folder of its own; or one file, `s3://bucket/lake/orders.parquet`, by the ending of a format; or a path
    /// of either, beside the job file; or what a sink writes to, such as `postgres://loader@host/shop`.
    pub(in crate::config) url: String,
    /// What happens when the relation is already there; `version` if absent, `error` for a single file.
    pub(in crate::config) mode: Option<Mode>,
    /// Which sink, where the highest version that answers to the scheme is not the one:
    /// `postgres-sink@1.2`, `postgres-sink@sha256:DIGEST`.
    pub(in crate::config) plugin: Option<String>,
    /// What the folder or the sink wants to know.
    #[serde(flatten)]
    #[schemars(with = "RawFolder")]
    pub(in crate::config) rest: Map<String, Value>,
}

/// A catalog of tables. When the run has published, each relation's folder is an external table in it,
/// made or brought up to date. The URL's scheme chooses a connector, which defines the other keys.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in crate::config) struct RawRegister {
    /// The catalog and the database in it: `hive://loader@hs2.internal:10000/lake`,
    /// `impala://loader@impala.internal:21050/lake`.
    pub(in crate::config) url: String,
    /// Which connector, where the highest version that answers to the scheme is not the one.
    pub(in crate::config) plugin: Option<String>,
    /// `target.url`, as the catalog knows it, such as `hdfs://nameservice1/lake/shop`.
    pub(in crate::config) location: Option<String>,
    /// Logins by Kerberos, as under `source`.
    pub(in crate::config) kerberos: Option<RawKerberos>,
    /// What the connector wants to know.
    #[serde(flatten)]
    pub(in crate::config) config: Map<String, Value>,
}

/// The keys of a target that is a folder.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawFolder {
    /// The files' format; by the ending of a single file's name, else `parquet`, if absent.
    pub(in crate::config) format: Option<RawFormat>,
    /// For Parquet `snappy` (default), `zstd`, `zstd:LEVEL` (1 to 22), `gzip`, `gzip:LEVEL` (0 to
    /// 9) or `none`; for CSV and JSON `none` (default), gzip or zstd; Arrow is not compressed.
    pub(in crate::config) compression: Option<String>,
    /// How CSV is written.
    pub(in crate::config) csv: Option<RawCsv>,
    /// Columns whose values name folders, `day=2026-11-20`, as Hive lays tables out: the files do not
    /// hold them.
    #[serde(default)]
    pub(in crate::config) partition_by: Vec<String>,
    /// How relations are merged, where `mode` is merge.
    pub(in crate::config) merge: Option<RawMerge>,
    /// How relations are loaded, where `mode` is snapshot.
    pub(in crate::config) snapshot: Option<RawSnapshot>,
    /// How histories are kept, where `mode` is scd2.
    pub(in crate::config) scd2: Option<RawScd2>,
    /// What an `s3://` store wants to know.
    pub(in crate::config) s3: Option<RawS3>,
    /// What an `azure://` store wants to know.
    pub(in crate::config) azure: Option<RawAzure>,
    /// What an `hdfs://` store wants to know.
    pub(in crate::config) hdfs: Option<RawHdfs>,
    /// What an `sftp://` store wants to know.
    pub(in crate::config) sftp: Option<RawSftp>,
}

/// What load modes of sinks want to know.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct RawLoaded {
    pub(in crate::config) partition_by: Vec<String>,
    pub(in crate::config) merge: Option<RawMerge>,
    pub(in crate::config) snapshot: Option<RawSnapshot>,
    pub(in crate::config) scd2: Option<RawScd2>,
}

/// How CSV is written.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawCsv {
    /// Between values; `,` if absent.
    pub(in crate::config) delimiter: Option<String>,
    /// Around values that need it; `"` if absent.
    pub(in crate::config) quote: Option<String>,
    /// Whether the first line names the columns; it does if absent.
    pub(in crate::config) header: Option<bool>,
    /// What stands for NULL; nothing at all if absent.
    pub(in crate::config) null: Option<String>,
}
