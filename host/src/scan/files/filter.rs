//! A scan's filter, from SQL back to what can be computed.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::SessionContext;

use super::listing::Found;
use super::look::Looked;
use super::partition_value;
use crate::error::{Error, Result};

/// A filter over rows of a schema.
pub(super) fn physical(sql: &str, schema: &SchemaRef) -> Result<Arc<dyn PhysicalExpr>> {
    let (context, of) = (SessionContext::new(), DFSchema::try_from(schema.clone())?);
    let parsed = context.parse_sql_expr(sql, &of)?;
    Ok(context.create_physical_expr(parsed, &of)?)
}

/// Which files may hold rows that a filter leaves, by what their folders say.
pub(super) fn wanted_files(sql: Option<&str>, looked: &Looked) -> Result<Vec<bool>> {
    let all = vec![true; looked.found.len()];
    let fields = looked.partition_fields();
    let Some(sql) = sql.filter(|_| !fields.is_empty()) else { return Ok(all) };
    let (context, of) = (SessionContext::new(), DFSchema::try_from(looked.schema.clone())?);
    let parsed = context.parse_sql_expr(sql, &of)?;
    let names: BTreeSet<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    let is_of_folders =
        |expr: &&Expr| expr.column_refs().iter().all(|column| names.contains(column.name.as_str()));
    let told = split_conjunction(&parsed).into_iter().filter(is_of_folders).cloned();
    let Some(told) = conjunction(told) else { return Ok(all) };
    let column = |place: usize| -> Result<ArrayRef> {
        let value = |found: &Found| partition_value(&found.partitions, fields[place].as_ref());
        let values = looked.found.iter().map(value).collect::<Result<Vec<_>>>()?;
        Ok(ScalarValue::iter_to_array(values)?)
    };
    let columns = (0..fields.len()).map(column).collect::<Result<Vec<_>>>()?;
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let of = DFSchema::try_from(schema.clone())?;
    let batch = RecordBatch::try_new(schema, columns)
        .map_err(|error| Error::internal(error.to_string()))?;
    let told = context.create_physical_expr(told, &of)?.evaluate(&batch)?;
    let told = told.into_array(batch.num_rows())?;
    Ok(match told.as_boolean_opt() {
        Some(told) => told.iter().map(|wanted| wanted == Some(true)).collect(),
        None => all,
    })
}
