//! What a check checks.

use std::fmt::{self, Display, Formatter};

use chrono::TimeDelta;

use super::raw::{RawCheck, RawRange};
use super::share::Share;
use crate::config::raw::RawScalar;
use crate::config::schedule::read_duration;
use crate::error::{Error, Result, ResultExt};

/// The most values of `accepted`.
const VALUE_LIMIT: usize = 10_000;

/// The most columns of one check.
const COLUMN_LIMIT: usize = 1_000;

/// What is checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// No row has NULL in these columns.
    NotNull(Vec<String>),
    /// A column has one of some values, or NULL.
    Accepted {
        /// The column.
        column: String,
        /// The values.
        values: Vec<Value>,
    },
    /// A column lies between two values, both included, or is NULL.
    Range {
        /// The column.
        column: String,
        /// The least value.
        min: Option<Value>,
        /// The greatest value.
        max: Option<Value>,
    },
    /// The whole text of a column matches, or is NULL.
    Pattern {
        /// The column.
        column: String,
        /// The regular expression.
        regex: String,
    },
    /// A text has so many characters, or is NULL.
    Length {
        /// The column.
        column: String,
        /// The fewest.
        min: u64,
        /// The most.
        max: u64,
    },
    /// So many rows are published.
    Rows {
        /// The fewest.
        min: u64,
        /// The most.
        max: u64,
        /// How much more or fewer than the last run.
        change: Option<Share>,
    },
    /// A column is seldom NULL.
    NullRate {
        /// The column.
        column: String,
        /// The greatest share of rows.
        max: Share,
    },
    /// The newest value of a column is young.
    Freshness {
        /// The column.
        column: String,
        /// Its greatest age.
        max_age: TimeDelta,
        /// The same, as the job writes it.
        written: String,
    },
}

/// A value, as the job writes it. The column's type says what it means.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number, digit by digit.
    Number(String),
    /// True or false.
    Boolean(bool),
}

impl From<RawScalar> for Value {
    fn from(raw: RawScalar) -> Self {
        match raw {
            RawScalar::Text(text) => Self::Text(text),
            RawScalar::Number(number) => Self::Number(number.to_string()),
            RawScalar::Boolean(value) => Self::Boolean(value),
        }
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Number(text) => f.write_str(text),
            Self::Boolean(value) => value.fmt(f),
        }
    }
}

impl Rule {
    /// The one rule of a check.
    pub(super) fn check(raw: RawCheck) -> Result<Self> {
        let RawCheck {
            not_null, accepted, range, pattern, length, rows, null_rate, freshness, ..
        } = raw;
        let given = [
            not_null.map(|columns| Ok(Self::NotNull(some_columns("not_null", columns)?))),
            accepted.map(|raw| accepted_values(raw.column, raw.values)),
            range.map(range_of),
            pattern.map(|raw| Ok(Self::Pattern { column: raw.column, regex: raw.regex })),
            length.map(|raw| {
                let (min, max) = limits("length", raw.min, raw.max)?;
                Ok(Self::Length { column: raw.column, min, max })
            }),
            rows.map(|raw| match (raw.min, raw.max, raw.change) {
                (None, None, Some(change)) => {
                    let change = Some(Share::read("rows.change", &change)?);
                    Ok(Self::Rows { min: 0, max: u64::MAX, change })
                }
                (min, max, change) => {
                    let (min, max) = limits("rows", min, max)?;
                    let change =
                        change.map(|text| Share::read("rows.change", &text)).transpose()?;
                    Ok(Self::Rows { min, max, change })
                }
            }),
            null_rate.map(|raw| {
                Ok(Self::NullRate {
                    column: raw.column,
                    max: Share::read("null_rate.max", &raw.max)?,
                })
            }),
            freshness.map(|raw| {
                let max_age = read_duration(&raw.max_age).context("`freshness.max_age`")?;
                Ok(Self::Freshness { column: raw.column, max_age, written: raw.max_age })
            }),
        ];
        let mut given: Vec<Result<Self>> = given.into_iter().flatten().collect();
        match (given.pop(), given.is_empty()) {
            (Some(rule), true) => rule,
            (None, _) => Err(Error::config("the check does not say what is checked")
                .with_hint(format!("give it one of {}", Self::KINDS.join(", ")))),
            (Some(_), false) => Err(Error::config("the check says more than once what is checked")
                .with_hint("make it several checks")),
        }
    }

    const KINDS: [&str; 8] =
        ["not_null", "accepted", "range", "pattern", "length", "rows", "null_rate", "freshness"];

    /// Its key in a job file.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotNull(_) => "not_null",
            Self::Accepted { .. } => "accepted",
            Self::Range { .. } => "range",
            Self::Pattern { .. } => "pattern",
            Self::Length { .. } => "length",
            Self::Rows { .. } => "rows",
            Self::NullRate { .. } => "null_rate",
            Self::Freshness { .. } => "freshness",
        }
    }

    /// The columns that it looks at.
    pub fn columns(&self) -> Vec<&str> {
        match self {
            Self::NotNull(columns) => columns.iter().map(String::as_str).collect(),
            Self::Accepted { column, .. }
            | Self::Range { column, .. }
            | Self::Pattern { column, .. }
            | Self::Length { column, .. }
            | Self::NullRate { column, .. }
            | Self::Freshness { column, .. } => vec![column],
            Self::Rows { .. } => Vec::new(),
        }
    }

    /// Whether it is each row by itself that passes or fails.
    pub fn is_row_wise(&self) -> bool {
        !matches!(self, Self::Rows { .. } | Self::NullRate { .. } | Self::Freshness { .. })
    }

    /// Whether rows fail it, and not the relation as a whole.
    pub(super) fn has_failing_rows(&self) -> bool {
        self.is_row_wise()
    }
}

/// `not_null(id, name)`: its kind and its columns.
impl Display for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.columns().as_slice() {
            [] => f.write_str(self.kind()),
            columns => write!(f, "{}({})", self.kind(), columns.join(", ")),
        }
    }
}

fn some_columns(at: &str, columns: Vec<String>) -> Result<Vec<String>> {
    if columns.is_empty() || columns.len() > COLUMN_LIMIT {
        return Err(Error::config(format!("`{at}` names {} columns", columns.len()))
            .with_hint(format!("name between 1 and {COLUMN_LIMIT} columns")));
    }
    Ok(columns)
}

fn accepted_values(column: String, values: Vec<RawScalar>) -> Result<Rule> {
    if values.is_empty() || values.len() > VALUE_LIMIT {
        return Err(Error::config(format!("`accepted.values` has {} values", values.len()))
            .with_hint(format!("give between 1 and {VALUE_LIMIT} values")));
    }
    Ok(Rule::Accepted { column, values: values.into_iter().map(Value::from).collect() })
}

fn range_of(RawRange { column, min, max }: RawRange) -> Result<Rule> {
    if min.is_none() && max.is_none() {
        return Err(Error::config("`range` has no limit").with_hint("give `min`, `max`, or both"));
    }
    Ok(Rule::Range { column, min: min.map(Value::from), max: max.map(Value::from) })
}

fn limits(at: &str, min: Option<u64>, max: Option<u64>) -> Result<(u64, u64)> {
    if min.is_none() && max.is_none() {
        return Err(
            Error::config(format!("`{at}` has no limit")).with_hint("give `min`, `max`, or both")
        );
    }
    let (min, max) = (min.unwrap_or(0), max.unwrap_or(u64::MAX));
    if min > max {
        return Err(Error::config(format!("`{at}`: `min` is greater than `max`"))
            .with_hint("exchange them"));
    }
    Ok((min, max))
}
