//! Files that are read: their format, and how it is read.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::store::{RawAzure, RawHdfs, RawS3};

/// How files are read, whatever their URL does not tell.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawFiles {
    /// The files' format; by the endings of their names if absent.
    pub(in crate::config) format: Option<RawFormat>,
    /// How they are compressed as a whole, `gzip`, `zstd`, `bzip2`, `xz` or `none`; by the endings of
    /// their names if absent.
    pub(in crate::config) compression: Option<RawPacking>,
    /// How CSV is read.
    pub(in crate::config) csv: Option<RawCsvRead>,
    /// How Parquet is read.
    pub(in crate::config) parquet: Option<RawParquetRead>,
    /// How many rows of a file are looked at to tell the types of CSV and JSON; 10,000 if absent. Ten
    /// files are looked into, or all that hold 64 MiB together.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(in crate::config) sample_rows: Option<u64>,
    /// Types of columns, which then need not be told from a sample: `{ zip: string, at: timestamp,
    /// price: \"decimal(12,2)\" }`. `{ type: bigint, lenient: true }` takes other spellings, too.
    #[serde(default)]
    pub(in crate::config) columns: BTreeMap<String, RawColumn>,
    /// What happens to a row of CSV or JSON that cannot be read; `fail` if absent. `{ skip: 100 }` leaves at most
    /// so many rows of a relation out, and fails where there are more.
    pub(in crate::config) bad_rows: Option<RawBadRowsOrLimit>,
    /// Whether folders such as `day=2026-11-20` are columns; they are if absent.
    pub(in crate::config) partitions: Option<bool>,
    /// What an `s3://` store wants to know.
    pub(in crate::config) s3: Option<RawS3>,
    /// What an `azure://` store wants to know.
    pub(in crate::config) azure: Option<RawAzure>,
    /// What an `hdfs://` store wants to know.
    pub(in crate::config) hdfs: Option<RawHdfs>,
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
pub(in crate::config) struct RawParquetRead {
    /// How timestamps that are INT96 are read.
    #[serde(default)]
    pub(in crate::config) int96: RawInt96,
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
    /// Microseconds. Finer digits are cut off.
    Truncated,
}

/// How CSV is read.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawCsvRead {
    /// Between values; `,` if absent, a tab in files that end with `.tsv`.
    pub(in crate::config) delimiter: Option<String>,
    /// Around values that need it; `"` if absent. An empty text: quotes mean nothing.
    pub(in crate::config) quote: Option<String>,
    /// Before a quote within quotes; the quote itself if absent.
    pub(in crate::config) escape: Option<String>,
    /// Begins lines that are no rows; none if absent.
    pub(in crate::config) comment: Option<String>,
    /// Whether the first line names the columns; it does if absent.
    pub(in crate::config) header: Option<bool>,
    /// What stands for NULL: a text or several; nothing at all if absent.
    pub(in crate::config) null: Option<RawNulls>,
    /// Whether what stands for NULL does so within quotes, too; if absent, quoted values are values.
    pub(in crate::config) quoted_nulls: Option<bool>,
    /// Whether values hold line ends. Then a file is one chunk; else a large file is cut at line ends,
    /// and a line end within quotes is noticed and refused.
    pub(in crate::config) newlines: Option<bool>,
}

/// A column's type.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write a type, or { type: .., lenient: true }")]
pub(in crate::config) enum RawColumn {
    /// A text must stand for exactly one of its values.
    Type(String),
    /// With how texts are read.
    Reading(RawReading),
}

/// How a column's texts are read.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawReading {
    /// Its type.
    #[serde(rename = "type")]
    pub(in crate::config) data_type: String,
    /// Whether other spellings are taken: blanks around, `+`, zeros in front, digits that the type has
    /// no room for. Without it they are bad rows.
    #[serde(default)]
    pub(in crate::config) lenient: bool,
}

/// One text or several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write a text, or a list of texts")]
pub(in crate::config) enum RawNulls {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// What happens to rows that cannot be read.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write fail, skip, or { skip: 100 }")]
pub(in crate::config) enum RawBadRowsOrLimit {
    /// The same for all of them.
    All(RawBadRows),
    /// Some may be left out.
    Limited(RawBadRowsLimit),
}

/// How many rows are left out.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawBadRowsLimit {
    /// The most rows of a relation.
    pub(in crate::config) skip: u64,
}

/// What happens to a row that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RawBadRows {
    /// The run fails and names it.
    #[default]
    Fail,
    /// It is left out; the report counts such rows and names the first.
    Skip,
}

/// The files' format.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, strum::IntoStaticStr, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub(in crate::config) enum RawFormat {
    /// Apache Parquet.
    #[default]
    Parquet,
    /// Separated values, one line a row.
    Csv,
    /// JSON, an object a row: on a line each, which is how they are written; read also from an array, from
    /// several lines, or one behind the other.
    Json,
    /// Arrow IPC files.
    Arrow,
}

impl RawFormat {
    /// As a job says it.
    pub(in crate::config) fn name(self) -> &'static str {
        self.into()
    }
}
