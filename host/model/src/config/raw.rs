//! A job file as it is written. Only shapes here; what they mean is checked in `job`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::checks::raw::RawCheck;
use super::drift::policy::RawDrift;
use super::incremental::raw::RawIncremental;
use super::load::{RawMerge, RawScd2, RawSnapshot};
use super::mode::Mode;
use super::notify::raw::RawWebhook;
use super::record::Record;
use super::scalar::RawScalar;
use super::schedule::RawSchedule;

/// A job: what to move, from where, to where.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawJob {
    /// The job's name; the file's name if absent.
    pub(super) name: Option<String>,
    /// Values that each run is given; `{{ NAME }}` stands for them in queries, SQL steps, names and
    /// paths. Without this key, braces mean nothing.
    pub(super) parameters: Option<std::collections::BTreeMap<String, RawParameter>>,
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
}

/// A parameter.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "write text, integer, decimal, date, timestamp, boolean, or { type: .., default: .. }"
)]
pub(super) enum RawParameter {
    /// Its type: each run must give a value.
    Type(RawParameterType),
    /// With what else is known of it.
    Keys(RawParameterKeys),
}

/// A parameter, with all that a job says of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawParameterKeys {
    /// The type of its values.
    #[serde(rename = "type")]
    pub(super) kind: RawParameterType,
    /// Its value, where a run gives none. A date or a timestamp can be computed from the scheduled
    /// time: `"{{ scheduled - 1d }}"`.
    pub(super) default: Option<RawScalar>,
    /// The values that it may have; every one of its type if absent.
    pub(super) allowed: Option<Vec<RawScalar>>,
    /// What it is for.
    #[expect(dead_code, reason = "people read it in the job file")]
    pub(super) description: Option<String>,
}

/// The type of a parameter's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawParameterType {
    /// Any text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A decimal of up to 38 digits, which all count.
    Decimal,
    /// A date.
    Date,
    /// A date and a time, in UTC.
    Timestamp,
    /// True or false.
    Boolean,
}

/// Where rows come from. The URL's scheme chooses: a folder of files, or a connector, which defines
/// the other keys: `longshore plugin inspect NAME` shows them.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct RawSource {
    /// Such as `postgres://reader@db.internal:5432/shop` or `tpch:`; or files: a folder, a file or a
    /// pattern of `file:///data/shop/*.csv`, `s3://`, `azure://` or `hdfs://`, in which tables are
    /// folders, files or patterns. A path without a scheme lies beside the job file, or in `~`.
    pub(super) url: String,
    /// Which connector, where the highest version that answers to the scheme is not the one:
    /// `postgres@1.2`, `postgres@1.2.3` or `postgres@sha256:DIGEST`.
    pub(super) plugin: Option<String>,
    /// Whether tables whose files are Parquet are read from their files, past the server: for Impala and
    /// Hive; never if absent.
    pub(super) direct: Option<RawDirect>,
    /// Logins by Kerberos, where the connector makes any: `true` takes the environment's ticket.
    pub(super) kerberos: Option<RawKerberos>,
    /// What the files or the connector want to know.
    #[serde(flatten)]
    #[schemars(with = "RawFiles")]
    pub(super) config: Map<String, Value>,
}

/// Logins by Kerberos.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write true, or { principal: .., keytab: .. }")]
pub(super) enum RawKerberos {
    /// With the environment's ticket, or not at all.
    Word(bool),
    /// With keys.
    Keys(RawKeys),
}

/// Kerberos keys.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKeys {
    /// The principal, such as `loader@EXAMPLE.COM`; the keytab's first if absent.
    pub(super) principal: Option<String>,
    /// The principal's keytab; the environment's ticket if absent.
    pub(super) keytab: Option<PathBuf>,
}

/// Whether tables are read from their files.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write never, auto, always, or { files: auto, under: [..] }")]
pub(super) enum RawDirect {
    /// In a word.
    Word(RawDirectMode),
    /// With what the stores want to know.
    Files(Box<RawDirectFiles>),
}

/// Whether tables are read from their files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawDirectMode {
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
pub(super) struct RawDirectFiles {
    /// Whether tables are read from their files.
    #[serde(default)]
    pub(super) files: RawDirectMode,
    /// Folders: no file elsewhere is read. Without any, all of HDFS, S3 and Azure may be; folders of this
    /// machine must be named.
    #[serde(default)]
    pub(super) under: Vec<String>,
    /// What an `s3a://` store wants to know.
    pub(super) s3: Option<RawS3>,
    /// What an `abfss://` store wants to know.
    pub(super) azure: Option<RawAzure>,
    /// What an `hdfs://` store wants to know.
    pub(super) hdfs: Option<RawHdfs>,
}

/// What is to be known of files that are read.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFiles {
    /// The files' format; by the endings of their names if absent.
    pub(super) format: Option<RawFormat>,
    /// How they are compressed as a whole, `gzip`, `zstd`, `bzip2`, `xz` or `none`; by the endings of
    /// their names if absent.
    pub(super) compression: Option<RawPacking>,
    /// How CSV is read.
    pub(super) csv: Option<RawCsvRead>,
    /// How Parquet is read.
    pub(super) parquet: Option<RawParquetRead>,
    /// How many rows of a file are looked at to tell the types of CSV and JSON; 10,000 if absent. Ten
    /// files are looked into, or all that hold 64 MiB together.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(super) sample_rows: Option<u64>,
    /// Types of columns, which then need not be told from a sample: `{ zip: string, at: timestamp,
    /// price: \"decimal(12,2)\" }`. `{ type: bigint, lenient: true }` takes other spellings, too.
    #[serde(default)]
    pub(super) columns: std::collections::BTreeMap<String, RawColumn>,
    /// What happens to a row of CSV or JSON that cannot be read.
    #[serde(default)]
    pub(super) bad_rows: RawBadRows,
    /// Whether folders such as `day=2026-11-20` are columns; they are if absent.
    pub(super) partitions: Option<bool>,
    /// What an `s3://` store wants to know.
    pub(super) s3: Option<RawS3>,
    /// What an `azure://` store wants to know.
    pub(super) azure: Option<RawAzure>,
    /// What an `hdfs://` store wants to know.
    pub(super) hdfs: Option<RawHdfs>,
}

/// How a file is compressed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawPacking {
    /// Not compressed.
    None,
    /// gzip
    Gzip,
    /// Zstandard
    Zstd,
    /// bzip2
    Bzip2,
    /// xz
    Xz,
}

/// How Parquet is read.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawParquetRead {
    /// How timestamps that are INT96 are read.
    #[serde(default)]
    pub(super) int96: RawInt96,
}

/// How timestamps that are INT96 are read; they hold nanoseconds of any day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RawInt96 {
    /// Microseconds. A value that holds more is an error.
    #[default]
    Microseconds,
    /// Nanoseconds, 1677 to 2262. A value beyond is an error.
    Nanoseconds,
    /// Microseconds. What is finer is cut off.
    Truncated,
}

/// How CSV is read.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCsvRead {
    /// Between values; `,` if absent, a tab in files that end with `.tsv`.
    pub(super) delimiter: Option<String>,
    /// Around values that need it; `"` if absent. An empty text: quotes mean nothing.
    pub(super) quote: Option<String>,
    /// Before a quote within quotes; the quote itself if absent.
    pub(super) escape: Option<String>,
    /// Begins lines that are no rows; none if absent.
    pub(super) comment: Option<String>,
    /// Whether the first line names the columns; it does if absent.
    pub(super) header: Option<bool>,
    /// What stands for NULL: a text or several; nothing at all if absent.
    pub(super) null: Option<RawNulls>,
    /// Whether what stands for NULL does so within quotes, too; if absent, quoted values are values.
    pub(super) quoted_nulls: Option<bool>,
    /// Whether values hold line ends. Then a file is one chunk; else a large file is cut at line ends,
    /// and a line end within quotes is noticed and refused.
    pub(super) newlines: Option<bool>,
}

/// A column's type.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write a type, or { type: .., lenient: true }")]
pub(super) enum RawColumn {
    /// A text must stand for exactly one of its values.
    Type(String),
    /// With how texts are read.
    Reading(RawReading),
}

/// How a column's texts are read.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReading {
    /// Its type.
    #[serde(rename = "type")]
    pub(super) data_type: String,
    /// Whether other spellings are taken: blanks around, `+`, zeros in front, digits that the type has
    /// no room for. Without it they are bad rows.
    #[serde(default)]
    pub(super) lenient: bool,
}

/// One text or several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write a text, or a list of texts")]
pub(super) enum RawNulls {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// What happens to a row that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RawBadRows {
    /// The run fails and names it.
    #[default]
    Fail,
    /// It is left out, counted and logged.
    Skip,
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

/// Where rows go. The URL's scheme chooses: a folder of files, or a sink, which defines the other
/// keys: `longshore plugin inspect NAME` shows them.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct RawTarget {
    /// A folder: `file:///lake/shop`, `s3://bucket/lake/shop`, `azure://container/lake/shop`,
    /// `hdfs://namenode:8020/lake/shop` or `sftp://loader@host/lake/shop`, in which each relation gets
    /// a folder of its own; or one file, `s3://bucket/lake/orders.parquet`, by the ending of a format; or a path
    /// of either, beside the job file; or what a sink writes to, such as `postgres://loader@host/shop`.
    pub(super) url: String,
    /// What happens when the relation is already there; `version` if absent, `error` for a single file.
    pub(super) mode: Option<Mode>,
    /// Which sink, where the highest version that answers to the scheme is not the one:
    /// `postgres-sink@1.2`, `postgres-sink@sha256:DIGEST`.
    pub(super) plugin: Option<String>,
    /// What the folder or the sink wants to know.
    #[serde(flatten)]
    #[schemars(with = "RawFolder")]
    pub(super) rest: Map<String, Value>,
}

/// A catalog of tables. When the run has published, each relation's folder is an external table in it,
/// made or brought up to date. The URL's scheme chooses a connector, which defines the other keys.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct RawRegister {
    /// The catalog and the database in it: `hive://loader@hs2.internal:10000/lake`,
    /// `impala://loader@impala.internal:21050/lake`.
    pub(super) url: String,
    /// Which connector, where the highest version that answers to the scheme is not the one.
    pub(super) plugin: Option<String>,
    /// `target.url`, as the catalog knows it, such as `hdfs://nameservice1/lake/shop`.
    pub(super) location: Option<String>,
    /// Logins by Kerberos, as under `source`.
    pub(super) kerberos: Option<RawKerberos>,
    /// What the connector wants to know.
    #[serde(flatten)]
    pub(super) config: Map<String, Value>,
}

/// What is to be known of a folder.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFolder {
    /// The files' format; by the ending of a single file's name, else `parquet`, if absent.
    pub(super) format: Option<RawFormat>,
    /// For Parquet `snappy` (default), `zstd`, `zstd:LEVEL` (1 to 22), `gzip`, `gzip:LEVEL` (0 to
    /// 9) or `none`; for CSV and JSON `none` (default), gzip or zstd; Arrow is not compressed.
    pub(super) compression: Option<String>,
    /// How CSV is written.
    pub(super) csv: Option<RawCsv>,
    /// Columns whose values name folders, `day=2026-11-20`, as Hive lays tables out: the files do not
    /// hold them.
    #[serde(default)]
    pub(super) partition_by: Vec<String>,
    /// How relations are merged, where `mode` is merge.
    pub(super) merge: Option<RawMerge>,
    /// How relations are loaded, where `mode` is snapshot.
    pub(super) snapshot: Option<RawSnapshot>,
    /// How histories are kept, where `mode` is scd2.
    pub(super) scd2: Option<RawScd2>,
    /// What an `s3://` store wants to know.
    pub(super) s3: Option<RawS3>,
    /// What an `azure://` store wants to know.
    pub(super) azure: Option<RawAzure>,
    /// What an `hdfs://` store wants to know.
    pub(super) hdfs: Option<RawHdfs>,
    /// What an `sftp://` store wants to know.
    pub(super) sftp: Option<RawSftp>,
}

/// The files' format.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, strum::IntoStaticStr, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub(super) enum RawFormat {
    /// Apache Parquet.
    #[default]
    Parquet,
    /// Separated values, one line a row.
    Csv,
    /// JSON lines: one object a row.
    Json,
    /// Arrow IPC files.
    Arrow,
}

impl RawFormat {
    /// As a job says it.
    pub(super) fn name(self) -> &'static str {
        self.into()
    }
}

/// How CSV is written.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCsv {
    /// Between values; `,` if absent.
    pub(super) delimiter: Option<String>,
    /// Around values that need it; `"` if absent.
    pub(super) quote: Option<String>,
    /// Whether the first line names the columns; it does if absent.
    pub(super) header: Option<bool>,
    /// What stands for NULL; nothing at all if absent.
    pub(super) null: Option<String>,
}

/// Settings of an S3 store. Without keys here, those of the environment, of `~/.aws`, or of
/// the machine's role are used.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawS3 {
    /// The server of a compatible store, such as `http://127.0.0.1:9000`.
    pub endpoint: Option<String>,
    /// The region; from the environment or the profile if absent, else `us-east-1`.
    pub region: Option<String>,
    /// The profile of `~/.aws/credentials` and `~/.aws/config`.
    pub profile: Option<String>,
    /// The key's id, as a secret.
    pub access_key_id: Option<Value>,
    /// The key, as a secret.
    pub secret_access_key: Option<Value>,
    /// The session's token, as a secret.
    pub session_token: Option<Value>,
    /// Whether the bucket is a part of the server's name; it is not if absent.
    pub virtual_hosted: Option<bool>,
}

/// What an Azure store wants to know. Without keys here, those of the environment, of the Azure CLI,
/// or of the machine's identity are used.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawAzure {
    /// The storage account.
    pub account: Option<String>,
    /// The server of a compatible store, such as `http://127.0.0.1:10000/devstoreaccount1`.
    pub endpoint: Option<String>,
    /// The account's key, as a secret.
    pub access_key: Option<Value>,
    /// A shared access signature, as a secret.
    pub sas: Option<Value>,
}

/// What an HDFS store wants to know. The rest is in Hadoop's own files, in `HADOOP_CONF_DIR`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawHdfs {
    /// The folder of `core-site.xml` and `hdfs-site.xml`; `HADOOP_CONF_DIR` if absent.
    pub conf_dir: Option<PathBuf>,
    /// Who writes, where there is no Kerberos; `HADOOP_USER_NAME` or the process's user if absent.
    pub user: Option<String>,
    /// The Kerberos principal, with `keytab`; the credential cache's if absent.
    pub principal: Option<String>,
    /// The principal's keytab.
    pub keytab: Option<PathBuf>,
    /// How many copies of a block; the cluster's default if absent.
    #[schemars(range(min = 1, max = 512))]
    pub replication: Option<u32>,
    /// Bytes of a block; the cluster's default if absent.
    pub block_size: Option<u64>,
    /// More of Hadoop's own settings.
    #[serde(default)]
    pub settings: std::collections::BTreeMap<String, String>,
}

/// What an SFTP server wants to know. Without any, the agent's keys and those of `~/.ssh` are tried.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSftp {
    /// The password, as a secret.
    pub(super) password: Option<Value>,
    /// A file with a private key.
    pub(super) key_file: Option<PathBuf>,
    /// The key's passphrase, as a secret.
    pub(super) key_passphrase: Option<Value>,
    /// The file of known hosts; `~/.ssh/known_hosts` if absent. An unknown server is refused.
    pub(super) known_hosts: Option<PathBuf>,
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
