//! What a check checks.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};

use chrono::TimeDelta;

use super::raw::{RawCheck, RawRange, RawReferences, RawRows};
use super::share::Share;
use crate::config::scalar::RawScalar;
use crate::config::schedule::read_duration;
use crate::error::{Error, Result, ResultExt};
use crate::format::counted;

/// The most values of `accepted`.
const VALUE_LIMIT: usize = 10_000;

/// The most columns of one check.
const COLUMN_LIMIT: usize = 1_000;

/// What is checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// No row has NULL in these columns.
    NotNull(Vec<String>),
    /// No two rows have the same values in these columns; a row with NULL passes.
    Unique(Vec<String>),
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
    /// The sum of a column is the one that the source gives.
    Sum {
        /// The column.
        column: String,
        /// The query that the source is asked.
        query: String,
    },
    /// A row of another relation has the values of some columns.
    References {
        /// The columns.
        columns: Vec<String>,
        /// The other relation.
        relation: String,
        /// Its columns, in the same order.
        to: Vec<String>,
    },
    /// A query gives no rows.
    Sql(String),
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
        let given = [
            raw.not_null.map(|columns| some_columns("not_null", columns).map(Self::NotNull)),
            raw.unique.map(|columns| some_columns("unique", columns).map(Self::Unique)),
            raw.accepted.map(|raw| accepted_values(raw.column, raw.values)),
            raw.range.map(range_of),
            raw.pattern.map(|raw| Ok(Self::Pattern { column: raw.column, regex: raw.regex })),
            raw.length.map(|raw| {
                let (min, max) = limits("length", raw.min, raw.max)?;
                Ok(Self::Length { column: raw.column, min, max })
            }),
            raw.rows.map(rows_of),
            raw.null_rate.map(|raw| {
                let max = Share::of_all("null_rate.max", &raw.max)?;
                Ok(Self::NullRate { column: raw.column, max })
            }),
            raw.freshness.map(|raw| {
                let max_age = read_duration(&raw.max_age).context("`freshness.max_age`")?;
                Ok(Self::Freshness { column: raw.column, max_age, written: raw.max_age })
            }),
            raw.sum.map(|raw| Ok(Self::Sum { column: raw.column, query: raw.query })),
            raw.references.map(references_of),
            raw.sql.map(|sql| Ok(Self::Sql(sql))),
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

    const KINDS: [&str; 12] = [
        "not_null",
        "unique",
        "accepted",
        "range",
        "pattern",
        "length",
        "rows",
        "null_rate",
        "freshness",
        "sum",
        "references",
        "sql",
    ];

    /// Its key in a job file.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotNull(_) => "not_null",
            Self::Unique(_) => "unique",
            Self::Accepted { .. } => "accepted",
            Self::Range { .. } => "range",
            Self::Pattern { .. } => "pattern",
            Self::Length { .. } => "length",
            Self::Rows { .. } => "rows",
            Self::NullRate { .. } => "null_rate",
            Self::Freshness { .. } => "freshness",
            Self::Sum { .. } => "sum",
            Self::References { .. } => "references",
            Self::Sql(_) => "sql",
        }
    }

    /// The columns that it looks at.
    pub fn columns(&self) -> Vec<&str> {
        match self {
            Self::NotNull(columns) | Self::Unique(columns) | Self::References { columns, .. } => {
                columns.iter().map(String::as_str).collect()
            }
            Self::Accepted { column, .. }
            | Self::Range { column, .. }
            | Self::Pattern { column, .. }
            | Self::Length { column, .. }
            | Self::NullRate { column, .. }
            | Self::Freshness { column, .. }
            | Self::Sum { column, .. } => vec![column],
            Self::Rows { .. } | Self::Sql(_) => Vec::new(),
        }
    }

    /// Whether it is each row by itself that passes or fails.
    pub fn is_row_wise(&self) -> bool {
        matches!(
            self,
            Self::NotNull(_)
                | Self::Accepted { .. }
                | Self::Range { .. }
                | Self::Pattern { .. }
                | Self::Length { .. }
        )
    }

    /// Whether it needs all rows at once: it becomes a query over them.
    pub fn needs_all_rows(&self) -> bool {
        matches!(self, Self::Unique(_) | Self::References { .. } | Self::Sql(_))
    }

    /// Whether rows fail it, and not the relation as a whole.
    pub(super) fn has_failing_rows(&self) -> bool {
        self.is_row_wise() || self.needs_all_rows()
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
    let mut seen = BTreeSet::new();
    if let Some(twice) = columns.iter().find(|column| !seen.insert(column.as_str())) {
        return Err(Error::config(format!("`{at}` names `{twice}` twice"))
            .with_hint("name each column once"));
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

fn rows_of(RawRows { min, max, change }: RawRows) -> Result<Rule> {
    let change = change.map(|text| Share::read("rows.change", &text)).transpose()?;
    if change.is_some() && min.is_none() && max.is_none() {
        return Ok(Rule::Rows { min: 0, max: u64::MAX, change });
    }
    let (min, max) = limits("rows", min, max)?;
    Ok(Rule::Rows { min, max, change })
}

fn references_of(RawReferences { columns, relation, to }: RawReferences) -> Result<Rule> {
    let columns = some_columns("references.columns", columns)?;
    let to = to.unwrap_or_else(|| columns.clone());
    if to.len() != columns.len() {
        let (own, others) = (columns.len(), to.len());
        let own = counted(own as u64, "column");
        let text = format!("`references` has {own}, and {others} in `to`");
        return Err(Error::config(text).with_hint("name as many in `to`, in the same order"));
    }
    Ok(Rule::References { columns, relation, to })
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
