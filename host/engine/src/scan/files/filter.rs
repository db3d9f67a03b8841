//! A scan's filter, from SQL back to what can be computed.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ExprSchema, ScalarValue};
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::expr::{Between, InList};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Expr};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::{SessionConfig, SessionContext};
use longshore_model::error::{Error, Result};

use super::file_info::FilesInfo;
use super::listing::ListedFile;
use super::partition_value;
use crate::datafusion_fault::from_datafusion;

/// A filter over rows of a schema.
pub(super) fn physical(sql: &str, schema: &SchemaRef) -> Result<Arc<dyn PhysicalExpr>> {
    let (context, of) = (context(), DFSchema::try_from(schema.clone()).map_err(from_datafusion)?);
    let parsed = parse(&context, sql, &of)?;
    context.create_physical_expr(parsed, &of).map_err(from_datafusion)
}

/// Numbers with a point are exact, whatever their digits.
fn context() -> SessionContext {
    let mut config = SessionConfig::new();
    config.options_mut().sql_parser.parse_float_as_decimal = true;
    SessionContext::new_with_config(config)
}

/// A filter compares columns with literals of their own types, which its SQL does not tell: they are given
/// them back.
fn parse(context: &SessionContext, sql: &str, of: &DFSchema) -> Result<Expr> {
    let typed = context
        .parse_sql_expr(sql, of)
        .map_err(from_datafusion)?
        .transform_up(|expr| {
            Ok(Transformed::yes(match expr {
                Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                    let right = Box::new(as_column(*right, &left, of)?);
                    let left = Box::new(as_column(*left, &right, of)?);
                    Expr::BinaryExpr(BinaryExpr { left, op, right })
                }
                Expr::Between(Between { expr, negated, low, high }) => {
                    let low = Box::new(as_column(*low, &expr, of)?);
                    let high = Box::new(as_column(*high, &expr, of)?);
                    Expr::Between(Between { expr, negated, low, high })
                }
                Expr::InList(InList { expr, list, negated }) => {
                    let list = list.into_iter().map(|item| as_column(item, &expr, of));
                    let list = list.collect::<DfResult<Vec<_>>>()?;
                    Expr::InList(InList { expr, list, negated })
                }
                other => other,
            }))
        })
        .map_err(from_datafusion)?;
    Ok(typed.data)
}

/// A literal in the type of the column that it is compared with.
fn as_column(expr: Expr, column: &Expr, of: &DFSchema) -> DfResult<Expr> {
    let Expr::Column(column) = column else { return Ok(expr) };
    let literal = match &expr {
        Expr::Literal(value, _) => value,
        Expr::Cast(cast) => match cast.expr.as_ref() {
            Expr::Literal(value, _) => value,
            _ => return Ok(expr),
        },
        Expr::Negative(inner) => match inner.as_ref() {
            Expr::Literal(value, _) => &value.arithmetic_negate()?,
            _ => return Ok(expr),
        },
        _ => return Ok(expr),
    };
    let to = of.field_from_column(column)?.data_type();
    Ok(Expr::Literal(literal.cast_to(to)?, None))
}

/// Which files may hold rows that a filter leaves, by what their folders say.
pub(super) fn wanted_files(sql: Option<&str>, info: &FilesInfo) -> Result<Vec<bool>> {
    let all = vec![true; info.found.len()];
    let fields = info.partition_fields();
    let Some(sql) = sql.filter(|_| !fields.is_empty()) else { return Ok(all) };
    let (context, of) =
        (context(), DFSchema::try_from(info.schema.clone()).map_err(from_datafusion)?);
    let parsed = parse(&context, sql, &of)?;
    let names: BTreeSet<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    let is_of_folders =
        |expr: &&Expr| expr.column_refs().iter().all(|column| names.contains(column.name.as_str()));
    let told = split_conjunction(&parsed).into_iter().filter(is_of_folders).cloned();
    let Some(told) = conjunction(told) else { return Ok(all) };
    let column = |place: usize| -> Result<ArrayRef> {
        let value = |found: &ListedFile| partition_value(&found.partitions, fields[place].as_ref());
        let values = info.found.iter().map(value).collect::<Result<Vec<_>>>()?;
        ScalarValue::iter_to_array(values).map_err(from_datafusion)
    };
    let columns = (0..fields.len()).map(column).collect::<Result<Vec<_>>>()?;
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let of = DFSchema::try_from(schema.clone()).map_err(from_datafusion)?;
    let batch = RecordBatch::try_new(schema, columns)
        .map_err(|error| Error::internal(error.to_string()))?;
    let told = context
        .create_physical_expr(told, &of)
        .map_err(from_datafusion)?
        .evaluate(&batch)
        .map_err(from_datafusion)?;
    let told = told.into_array(batch.num_rows()).map_err(from_datafusion)?;
    Ok(match told.as_boolean_opt() {
        Some(told) => told.iter().map(|wanted| wanted == Some(true)).collect(),
        None => all,
    })
}
