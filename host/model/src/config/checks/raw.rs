//! Checks as they are written.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Severity;
use crate::config::scalar::RawScalar;

/// A check of a relation's rows, as they are after all transforms: one of the kinds below, such as
/// `not_null`, and what happens to rows that fail it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawCheck {
    /// What reports call it; its kind and its columns if absent.
    pub(super) name: Option<String>,
    /// What a failed check does; `fail` if absent.
    pub(super) severity: Option<Severity>,
    /// How many rows may fail: a number, or a share such as `0.5%`. If absent, none may, and any
    /// number may be quarantined.
    pub(super) allow: Option<RawAmount>,
    /// Under the job's `checks`: the relations that it is for, by their names in the target; all if
    /// absent.
    pub(super) relations: Option<Vec<String>>,
    /// Columns in which no row has NULL.
    pub(super) not_null: Option<Vec<String>>,
    /// Columns of which no two rows have the same values. A row with NULL in any of them passes.
    pub(super) unique: Option<Vec<String>>,
    /// Values that a column may have. NULL passes.
    pub(super) accepted: Option<RawAccepted>,
    /// The least and the greatest value of a column, both included. NULL passes.
    pub(super) range: Option<RawRange>,
    /// A regular expression that each whole text of a column must match. NULL passes.
    pub(super) pattern: Option<RawPattern>,
    /// How many characters the texts of a column have. NULL passes.
    pub(super) length: Option<RawLength>,
    /// How many rows are published.
    pub(super) rows: Option<RawRows>,
    /// The share of rows in which a column may be NULL.
    pub(super) null_rate: Option<RawNullRate>,
    /// How old the newest date or timestamp of a column may be.
    pub(super) freshness: Option<RawFreshness>,
    /// The sum of a column, as the source itself says it.
    pub(super) sum: Option<RawSum>,
    /// Columns whose values are in a row of another relation of the job. A row with NULL in any of them
    /// passes.
    pub(super) references: Option<RawReferences>,
    /// A query, carried out here, whose rows fail. The relation is the table `data` in it, and each relation
    /// of the job a table under its name.
    pub(super) sql: Option<String>,
}

/// A number of rows, or a share of them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write a number of rows, or a share such as 0.5%")]
pub(super) enum RawAmount {
    /// So many rows.
    Rows(u64),
    /// So many of a hundred, such as `0.5%`.
    Share(String),
}

/// The values of a column.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAccepted {
    /// The column.
    pub(super) column: String,
    /// Its values.
    pub(super) values: Vec<RawScalar>,
}

/// The range of a column's values.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRange {
    /// The column: of numbers, dates, timestamps or text, which is compared byte by byte.
    pub(super) column: String,
    /// The least value.
    pub(super) min: Option<RawScalar>,
    /// The greatest value.
    pub(super) max: Option<RawScalar>,
}

/// What the texts of a column look like.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPattern {
    /// The column.
    pub(super) column: String,
    /// The regular expression, in the syntax of Rust's `regex`. The whole text must match it.
    pub(super) regex: String,
}

/// How long the texts of a column are.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLength {
    /// The column.
    pub(super) column: String,
    /// The fewest characters.
    pub(super) min: Option<u64>,
    /// The most characters.
    pub(super) max: Option<u64>,
}

/// How many rows are published.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRows {
    /// The fewest.
    pub(super) min: Option<u64>,
    /// The most.
    pub(super) max: Option<u64>,
    /// How much more or fewer than the job's last successful run published, such as `20%`.
    pub(super) change: Option<String>,
}

/// How often a column is NULL.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNullRate {
    /// The column.
    pub(super) column: String,
    /// The greatest share of rows, such as `1%`.
    pub(super) max: String,
}

/// A sum that the source knows, too.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSum {
    /// The column: of whole numbers or decimals.
    pub(super) column: String,
    /// A query in the source's own language, whose first value is the sum: `SELECT sum(amount) FROM
    /// orders`.
    pub(super) query: String,
}

/// Which rows of another relation are referred to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReferences {
    /// The columns.
    pub(super) columns: Vec<String>,
    /// The other relation, by its name in the target.
    pub(super) relation: String,
    /// Its columns, in the order of `columns`; of the same names if absent.
    pub(super) to: Option<Vec<String>>,
}

/// How old the newest value is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFreshness {
    /// The column: of dates, or of timestamps.
    pub(super) column: String,
    /// The greatest age, such as `2d`, at the time that the run is scheduled for, or else begins.
    pub(super) max_age: String,
}
