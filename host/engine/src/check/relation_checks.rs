//! The checks of a relation, on rows of its schema.

use arrow::datatypes::{Schema, SchemaRef};
use longshore_model::config::checks::{Check, Rule, Severity};
use longshore_model::error::{Result, ResultExt};

use super::column::{is_moment, place, place_of};
use super::row_check::RowCheck;
use super::sum::has_sum;

/// The checks of a relation, ready to measure its rows.
#[derive(Debug)]
pub struct RelationChecks {
    pub(super) gauges: Vec<Gauge>,
    /// The names of the checks that quarantine, each at its place.
    pub(super) quarantines: Vec<Option<String>>,
}

/// How a check is measured.
#[derive(Debug)]
pub(super) enum Gauge {
    /// By the rows that fail, of which these columns are shown.
    Rows { check: RowCheck, shown: Vec<usize> },
    /// By the NULLs of a column.
    Nulls(usize),
    /// By the newest value of a column.
    Newest(usize),
    /// By the sum of a column.
    Sum(usize),
    /// By the number of rows.
    Count,
}

impl RelationChecks {
    /// The checks on rows of this schema: what they name is there, and their values are of its types.
    pub fn new(checks: &[Check], schema: &SchemaRef) -> Result<Self> {
        let gauges = checks
            .iter()
            .map(|check| Gauge::of(&check.rule, schema).context(format!("check `{}`", check.name)));
        let quarantines = checks
            .iter()
            .map(|check| (check.severity == Severity::Quarantine).then(|| check.name.clone()));
        Ok(Self { gauges: gauges.collect::<Result<_>>()?, quarantines: quarantines.collect() })
    }

    /// Whether rows can be quarantined.
    pub fn has_quarantine(&self) -> bool {
        self.quarantines.iter().any(Option::is_some)
    }

    /// Whether there is nothing to check.
    pub fn is_empty(&self) -> bool {
        self.gauges.is_empty()
    }
}

impl Gauge {
    fn of(rule: &Rule, schema: &Schema) -> Result<Self> {
        if let Some(check) = RowCheck::of(rule, schema)? {
            let shown = rule.columns().into_iter().map(|column| place(schema, column));
            return Ok(Self::Rows { check, shown: shown.collect::<Result<_>>()? });
        }
        match rule {
            Rule::NullRate { column, .. } => Ok(Self::Nulls(place(schema, column)?)),
            Rule::Freshness { column, .. } => {
                place_of(schema, column, is_moment, "dates or timestamps").map(Self::Newest)
            }
            Rule::Sum { column, .. } => {
                place_of(schema, column, has_sum, "whole numbers or decimals").map(Self::Sum)
            }
            _ => Ok(Self::Count),
        }
    }
}
