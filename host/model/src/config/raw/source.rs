//! The source of rows, as a job says it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::files::RawFiles;
use super::store::{RawAzure, RawHdfs, RawS3};

/// Where rows come from. The URL's scheme chooses: a folder of files, or a connector, which defines
/// the other keys: `longshore plugin inspect NAME` shows them.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in crate::config) struct RawSource {
    /// Such as `postgres://reader@db.internal:5432/shop` or `tpch:`; or files: a folder, a file or a
    /// pattern of `file:///data/shop/*.csv`, `s3://`, `azure://` or `hdfs://`, in which tables are
    /// folders, files or patterns. A path without a scheme lies beside the job file, or in `~`.
    pub(in crate::config) url: String,
    /// Which connector, where the highest version that answers to the scheme is not the one:
    /// `postgres@1.2`, `postgres@1.2.3` or `postgres@sha256:DIGEST`.
    pub(in crate::config) plugin: Option<String>,
    /// Whether tables whose files are Parquet are read from their files, past the server: for Impala and
    /// Hive; never if absent.
    pub(in crate::config) direct: Option<RawDirect>,
    /// Logins by Kerberos, where the connector makes any: `true` takes the environment's ticket.
    pub(in crate::config) kerberos: Option<RawKerberos>,
    /// What the files or the connector want to know.
    #[serde(flatten)]
    #[schemars(with = "RawFiles")]
    pub(in crate::config) config: Map<String, Value>,
}

/// Logins by Kerberos.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write true, or { principal: .., keytab: .. }")]
pub(in crate::config) enum RawKerberos {
    /// With the environment's ticket, or not at all.
    Word(bool),
    /// With keys.
    Keys(RawKeys),
}

/// Kerberos keys.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawKeys {
    /// The principal, such as `loader@EXAMPLE.COM`; the keytab's first if absent.
    pub(in crate::config) principal: Option<String>,
    /// The principal's keytab; the environment's ticket if absent.
    pub(in crate::config) keytab: Option<PathBuf>,
}

/// Whether tables are read from their files.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write never, auto, always, or { files: auto, under: [..] }")]
pub(in crate::config) enum RawDirect {
    /// In a word.
    Word(RawDirectMode),
    /// With what the stores want to know.
    Files(Box<RawDirectFiles>),
}

/// Whether tables are read from their files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum RawDirectMode {
    /// Through the server, all of them.
    #[default]
    Never,
    /// Those whose files can be reached and say the same as the server.
    Auto,
    /// All of them; one that cannot be is an error.
    Always,
}

/// Whether tables are read from their files, and where these may be.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawDirectFiles {
    /// Whether tables are read from their files.
    #[serde(default)]
    pub(in crate::config) files: RawDirectMode,
    /// Folders: no file elsewhere is read. Without any, all of HDFS, S3 and Azure may be; folders of this
    /// machine must be named.
    #[serde(default)]
    pub(in crate::config) under: Vec<String>,
    /// What an `s3a://` store wants to know.
    pub(in crate::config) s3: Option<RawS3>,
    /// What an `abfss://` store wants to know.
    pub(in crate::config) azure: Option<RawAzure>,
    /// What an `hdfs://` store wants to know.
    pub(in crate::config) hdfs: Option<RawHdfs>,
}
