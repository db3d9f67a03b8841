//! Texts that their database fills up with blanks, where they are compared with a query's rows, or by USING.

use std::sync::Arc;

use datafusion::common::{Column, DFSchema};
use datafusion::error::Result as DfResult;
use datafusion::functions::string::expr_fn::rtrim;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Projection, Subquery};
use longshore_values::is_padded;

/// A text without the blanks that fill it up.
pub(super) fn unpadded(expr: Expr, schema: &DFSchema) -> DfResult<Expr> {
    // To work out a field is slow, and only that of a text can say so.
    let is_text = expr.get_type(schema)?.is_string();
    let is_padded = is_text && is_padded(&expr.to_field(schema)?.1);
    Ok(if is_padded { rtrim(vec![expr]) } else { expr })
}

/// Both sides of `IN (SELECT ..)`, the value and the subquery, without those blanks.
pub(super) fn unpadded_subquery(
    expr: Expr,
    mut subquery: Subquery,
    schema: &DFSchema,
) -> DfResult<(Box<Expr>, Subquery)> {
    let plan = &subquery.subquery;
    let (relation, field) = plan.schema().qualified_field(0);
    if is_padded(field) {
        let column = Expr::Column(Column::new(relation.cloned(), field.name()));
        let texts = rtrim(vec![column]).alias_qualified(relation.cloned(), field.name());
        let projection = Projection::try_new(vec![texts], plan.clone())?;
        subquery.subquery = Arc::new(LogicalPlan::Projection(projection));
    }
    Ok((Box::new(unpadded(expr, schema)?), subquery))
}
