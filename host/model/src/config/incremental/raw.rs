//! What a job file says of an incremental relation, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

/// How a relation is loaded piece by piece: the rows whose value in a column is greater than the greatest that
/// was loaded, the watermark.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawIncremental {
    /// The column that is watched. Its values grow: a number, a date, a timestamp, `xid8`, or a text that the
    /// source compares byte by byte. Of files, a column of folders such as `day=2026-11-20`.
    pub(super) column: Option<String>,
    /// What else is watched: `modified` loads the files that were changed since.
    pub(super) by: Option<RawBy>,
    /// The value after which the first run begins; it loads all rows if absent.
    pub(super) initial: Option<RawBound>,
    /// How far each run goes back before the watermark: a number, or a duration such as `2h`. These rows are
    /// loaded again.
    pub(super) lag: Option<RawBound>,
    /// What happens to rows without a value.
    #[serde(default)]
    pub(super) nulls: NullRows,
    /// Whether rows of PostgreSQL that are committed late are looked for below the watermark. They are, where
    /// that is possible, if absent.
    pub(super) late: Option<LateRows>,
}

/// A text or a number.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write a text or a number")]
pub(super) enum RawBound {
    /// A text.
    Text(String),
    /// A number.
    Number(serde_json::Number),
}

impl From<RawBound> for String {
    fn from(bound: RawBound) -> Self {
        match bound {
            RawBound::Text(text) => text,
            RawBound::Number(number) => number.to_string(),
        }
    }
}

/// What else than a column is watched.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawBy {
    /// The time at which a file was changed last.
    Modified,
}

/// What happens to rows without a value in the column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NullRows {
    /// One such row fails the run.
    #[default]
    Fail,
    /// The first run loads them.
    IncludeOnce,
    /// Every run loads them.
    Always,
}

/// Whether rows that are committed late are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LateRows {
    /// They are. A source that cannot tell them is refused.
    Find,
    /// They are not: only an index of the column is read.
    Ignore,
}
