//! Checks that each row passes or fails by itself.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, Scalar};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::cmp::{gt, lt};
use arrow::compute::{cast, regexp_is_match_scalar};
use arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, in_list, lit};
use longshore_model::config::checks::{Rule, Value};
use longshore_model::error::{Error, Result, ResultExt};

use super::column::{arrow_fault, is_moment, is_text, place, place_of, plain, plain_type};
use super::value::value_of;
use crate::datafusion_fault::from_datafusion;

/// A check that each row passes or fails by itself.
#[derive(Debug)]
pub(super) enum RowCheck {
    /// A column is NULL.
    NotNull(Vec<usize>),
    /// The value is not in the list.
    Accepted { column: usize, list: Arc<dyn PhysicalExpr> },
    /// The value is outside.
    Range { column: usize, min: Option<Scalar<ArrayRef>>, max: Option<Scalar<ArrayRef>> },
    /// The text does not match.
    Pattern { column: usize, regex: String },
    /// The text is shorter or longer.
    Length { column: usize, min: u64, max: u64 },
}

impl RowCheck {
    /// The check of a rule, on rows of this schema; none for a rule of another kind.
    pub(super) fn of(rule: &Rule, schema: &Schema) -> Result<Option<Self>> {
        Ok(Some(match rule {
            Rule::NotNull(columns) => {
                let places = columns.iter().map(|column| place(schema, column));
                Self::NotNull(places.collect::<Result<_>>()?)
            }
            Rule::Accepted { column, values } => accepted(schema, column, values)?,
            Rule::Range { column, min, max } => {
                let wanted = "numbers, dates, timestamps or text";
                let column = place_of(schema, column, is_ordered, wanted)?;
                let limit = |value: &Option<Value>, at: &str| {
                    let value = value.as_ref().map(|value| value_of(value, schema.field(column)));
                    value.transpose().context(format!("`range.{at}`"))
                };
                let limits = (limit(min, "min")?, limit(max, "max")?);
                if let (Some(least), Some(greatest)) = &limits
                    && least > greatest
                {
                    return Err(Error::config("`range`: `min` is above `max`: no value passes")
                        .with_hint("change the two"));
                }
                // In the order of the comparison, -0.0 is before 0.0.
                let scalar_of = |value: Option<ScalarValue>, zero: f64| {
                    value.map(|value| scalar(&value, zero)).transpose()
                };
                let (min, max) = (scalar_of(limits.0, -0.0)?, scalar_of(limits.1, 0.0)?);
                Self::Range { column, min, max }
            }
            Rule::Pattern { column, regex } => {
                let column = place_of(schema, column, is_text, "text")?;
                Self::Pattern { column, regex: whole(regex)? }
            }
            Rule::Length { column, min, max } => {
                let column = place_of(schema, column, is_text, "text")?;
                Self::Length { column, min: *min, max: *max }
            }
            _ => return Ok(None),
        }))
    }

    /// The rows that fail. It has no NULL.
    pub(super) fn failing(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let failing = match self {
            Self::NotNull(columns) => nulls(batch, columns),
            Self::Accepted { column, list } => {
                let column = plain(batch, *column)?;
                let field = arrow::datatypes::Field::new("", column.data_type().clone(), true);
                let one = Schema::new(vec![field]);
                let one = RecordBatch::try_new(Arc::new(one), vec![column]).map_err(arrow_fault)?;
                let listed = list.evaluate(&one).map_err(from_datafusion)?;
                let listed = listed.into_array(batch.num_rows()).map_err(from_datafusion)?;
                is_false(listed.as_boolean())
            }
            Self::Range { column, min, max } => {
                let column = plain(batch, *column)?;
                let below = min.as_ref().map(|min| lt(&column, min)).transpose();
                let above = max.as_ref().map(|max| gt(&column, max)).transpose();
                either(below.map_err(arrow_fault)?, above.map_err(arrow_fault)?, batch.num_rows())
            }
            Self::Pattern { column, regex } => {
                let column = texts(batch, *column)?;
                let matches = regexp_is_match_scalar(column.as_string_view(), regex, None);
                is_false(&matches.map_err(arrow_fault)?)
            }
            Self::Length { column, min, max } => {
                let column = texts(batch, *column)?;
                let fails = |text: Option<&str>| {
                    let length = text.map(|text| text.chars().count() as u64);
                    length.is_some_and(|length| length < *min || length > *max)
                };
                column.as_string_view().iter().map(fails).collect()
            }
        };
        Ok(BooleanArray::new(failing, None))
    }
}

/// Refuses a regular expression that cannot be read.
pub fn check_regex(regex: &str) -> Result<()> {
    whole(regex).map(|_| ())
}

/// A regular expression for whole texts.
fn whole(regex: &str) -> Result<String> {
    // By itself first: `)(` would be a group of its own within the parentheses.
    compile(regex)?;
    let wrapped = format!(r"\A(?:{regex})\z");
    if compile(&wrapped).is_ok() {
        return Ok(wrapped);
    }
    // With `(?x)`, a comment at its end goes on to the end of the line.
    let wrapped = format!("\\A(?:{regex}\n)\\z");
    compile(&wrapped)?;
    Ok(wrapped)
}

fn compile(regex: &str) -> Result<()> {
    let probe = arrow::array::StringViewArray::from(vec![""]);
    let compiled = regexp_is_match_scalar(&probe, regex, None);
    compiled.map(|_| ()).map_err(|error| {
        let text = error.to_string();
        let cause = text.rsplit("error: ").next().and_then(|cause| cause.lines().next());
        let cause = cause.unwrap_or_default().trim_end_matches([')', '"']);
        Error::config(format!("`pattern.regex`: `{regex}` is no regular expression: {cause}"))
            .with_hint("write it in the syntax of Rust's `regex`: no look-around, no \\1")
    })
}

fn accepted(schema: &Schema, column: &str, values: &[Value]) -> Result<RowCheck> {
    let is_fit = |data_type: &DataType| {
        *data_type == DataType::Boolean || (is_ordered(data_type) && !data_type.is_floating())
    };
    let place =
        place_of(schema, column, is_fit, "exact numbers, dates, timestamps, text or booleans")?;
    let field = schema.field(place);
    let literal = |value: &Value| Ok(lit(value_of(value, field).context("`accepted.values`")?));
    let literals = values.iter().map(literal).collect::<Result<_>>()?;
    let one = Schema::new(vec![arrow::datatypes::Field::new("", plain_type(field).clone(), true)]);
    let list = in_list(Arc::new(Column::new("", 0)), literals, &false, &one);
    Ok(RowCheck::Accepted { column: place, list: list.map_err(from_datafusion)? })
}

fn is_ordered(data_type: &DataType) -> bool {
    data_type.is_numeric() || is_text(data_type) || is_moment(data_type)
}

/// A limit to compare with; where it is zero, the zero of this sign.
fn scalar(value: &ScalarValue, zero: f64) -> Result<Scalar<ArrayRef>> {
    let value = match value {
        ScalarValue::Float64(Some(0.0)) => ScalarValue::Float64(Some(zero)),
        ScalarValue::Float32(Some(0.0)) => ScalarValue::Float32(Some(zero as f32)),
        other => other.clone(),
    };
    value.to_scalar().map_err(from_datafusion)
}

/// Where any of the columns is NULL.
fn nulls(batch: &RecordBatch, columns: &[usize]) -> BooleanBuffer {
    let nulls = columns.iter().filter_map(|column| batch.column(*column).logical_nulls());
    let nulls = nulls.map(|nulls| !nulls.inner());
    nulls
        .reduce(|one, other| &one | &other)
        .unwrap_or_else(|| BooleanBuffer::new_unset(batch.num_rows()))
}

/// Where a value is false, and not NULL.
fn is_false(values: &BooleanArray) -> BooleanBuffer {
    let is_false = !values.values();
    match values.nulls() {
        Some(valid) => &is_false & valid.inner(),
        None => is_false,
    }
}

/// Where a value is true, and not NULL.
fn is_true(values: &BooleanArray) -> BooleanBuffer {
    match values.nulls() {
        Some(valid) => values.values() & valid.inner(),
        None => values.values().clone(),
    }
}

fn either(one: Option<BooleanArray>, other: Option<BooleanArray>, rows: usize) -> BooleanBuffer {
    match (one, other) {
        (Some(one), Some(other)) => &is_true(&one) | &is_true(&other),
        (Some(only), None) | (None, Some(only)) => is_true(&only),
        (None, None) => BooleanBuffer::new_unset(rows),
    }
}

fn texts(batch: &RecordBatch, column: usize) -> Result<ArrayRef> {
    cast(&plain(batch, column)?, &DataType::Utf8View).map_err(arrow_fault)
}
