//! Conditions over rows, outside of a query.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::physical_expr::PhysicalExpr;
use longshore_model::error::{Error, Result};

use super::{TABLE, check_query, session_context, session_state};
use crate::datafusion_fault::from_datafusion;

/// What can be told of a condition without its columns.
pub fn check_condition(sql: &str) -> Result<()> {
    check_query(&format!("SELECT 1 FROM {TABLE} WHERE ({sql})"), &[TABLE])?;
    // It must not end what was put around it.
    let state = session_state()?;
    let dialect = &state.config_options().sql_parser.dialect;
    state.sql_to_expr(sql, dialect).map(drop).map_err(from_datafusion)
}

/// A condition over rows of these columns.
pub fn condition(sql: &str, schema: &SchemaRef) -> Result<Arc<dyn PhysicalExpr>> {
    check_condition(sql)?;
    let of = DFSchema::try_from(schema.clone()).map_err(from_datafusion)?;
    let context = session_context(session_state()?)?;
    let parsed = context.parse_sql_expr(sql, &of).map_err(from_datafusion)?;
    let condition = context.create_physical_expr(parsed, &of).map_err(from_datafusion)?;
    match condition.data_type(schema).map_err(from_datafusion)? {
        DataType::Boolean => Ok(condition),
        other => Err(Error::config(format!("`{sql}` is {other}, and no condition"))
            .with_hint("write what is true or false, such as `is_deleted` or `op = 'D'`")),
    }
}
