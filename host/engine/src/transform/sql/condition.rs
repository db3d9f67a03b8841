//! Conditions over rows, outside of a query.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{EmptyRelation, Expr, LogicalPlan, LogicalPlanBuilder, Projection};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::sql::sqlparser::ast::ExprWithAlias;
use longshore_model::error::{Error, Result};

use super::{TABLE, check_query, precedence, session_context, session_state};
use crate::datafusion_fault::from_datafusion;

/// What can be told of a condition without its columns.
pub fn check_condition(sql: &str) -> Result<()> {
    check_query(&format!("SELECT 1 FROM {TABLE} WHERE ({sql})"), &[TABLE])?;
    // It must not end what was put around it.
    parse_expr(session_state()?, sql).map(drop)
}

fn parse_expr(state: &SessionState, sql: &str) -> Result<ExprWithAlias> {
    let dialect = &state.config_options().sql_parser.dialect;
    state.sql_to_expr_with_alias(sql, dialect).map_err(from_datafusion)
}

/// An expression, as the analyzer leaves it in a query: with types that agree, and arithmetic that is checked.
fn checked(state: &SessionState, expr: Expr, of: &DFSchema) -> DfResult<Expr> {
    let schema = Arc::new(of.clone());
    let rows = LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema });
    let plan = LogicalPlanBuilder::from(rows).project([expr])?.build()?;
    let analyzed = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {})?;
    match analyzed {
        LogicalPlan::Projection(Projection { mut expr, .. }) if expr.len() == 1 => {
            Ok(expr.remove(0).unalias())
        }
        _ => Err(DataFusionError::Internal("an expression that is no column".into())),
    }
}

/// A condition over rows of these columns.
pub fn condition(sql: &str, schema: &SchemaRef) -> Result<Arc<dyn PhysicalExpr>> {
    check_condition(sql)?;
    let of = DFSchema::try_from(schema.clone()).map_err(from_datafusion)?;
    let context = session_context(session_state()?)?;
    let state = context.state();
    let mut parsed = parse_expr(&state, sql)?;
    precedence::repair(&mut parsed.expr);
    let expr = state.create_logical_expr_from_sql_expr(parsed, &of).map_err(from_datafusion)?;
    let condition = checked(&state, expr, &of).map_err(from_datafusion)?;
    let condition = context.create_physical_expr(condition, &of).map_err(from_datafusion)?;
    match condition.data_type(schema).map_err(from_datafusion)? {
        DataType::Boolean => Ok(condition),
        other => Err(Error::config(format!("`{sql}` is {other}, and no condition"))
            .with_hint("write what is true or false, such as `is_deleted` or `op = 'D'`")),
    }
}
