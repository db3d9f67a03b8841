//! What DataFusion computes otherwise than SQL says: it is refused, with another way to write it.

use std::ops::ControlFlow;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::expr::{InSubquery, SetComparison};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, Query, SetExpr, SetOperator, SetQuantifier, Statement, Visit, Visitor,
};
use longshore_model::error::{Error, Result};

use crate::datafusion_fault::{IntoDataFusion, from_datafusion};

/// Refuses what can be told from a query's text.
pub(super) fn refuse_text(statement: &Statement) -> Result<()> {
    match statement.visit(&mut Texts) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Texts;

impl Visitor for Texts {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        match set_operation_all(&query.body) {
            Some(error) => ControlFlow::Break(error),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &SqlExpr) -> ControlFlow<Error> {
        match refused_expr(expr) {
            Some(error) => ControlFlow::Break(error),
            None => ControlFlow::Continue(()),
        }
    }
}

/// DataFusion ignores how often a row occurs (apache/datafusion#12955, #12956).
fn set_operation_all(body: &SetExpr) -> Option<Error> {
    let SetExpr::SetOperation { left, op, set_quantifier, right } = body else { return None };
    let keeps_copies = matches!(set_quantifier, SetQuantifier::All | SetQuantifier::AllByName);
    if keeps_copies && matches!(op, SetOperator::Except | SetOperator::Intersect) {
        let said = format!("{op} ALL does not count how often a row occurs");
        let hint = "number equal rows on both sides, row_number() OVER (PARTITION BY every column), and leave ALL away";
        return Some(Error::config(said).with_hint(hint));
    }
    set_operation_all(left).or_else(|| set_operation_all(right))
}

fn refused_expr(expr: &SqlExpr) -> Option<Error> {
    match expr {
        // It is taken for a regular expression that may match anywhere (apache/datafusion#22263).
        SqlExpr::SimilarTo { .. } => {
            let said = "SIMILAR TO is not computed as SQL has it";
            Some(Error::config(said).with_hint("write LIKE, or regexp_like(x, '^(..)$')"))
        }
        _ => None,
    }
}

/// Refuses what only the plan tells.
pub(super) fn refuse_plan(plan: &LogicalPlan) -> Result<()> {
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                refuse_same_column(expr)?;
                refuse_not_in(expr, node)
            })?;
            Ok(TreeNodeRecursion::Continue)
        })
    });
    walked.map(drop).map_err(from_datafusion)
}

/// `v = ANY (SELECT v ..)`: a column of the query around it is taken for one of the subquery (apache/datafusion#25258).
fn refuse_same_column(expr: &Expr) -> DfResult<()> {
    let Expr::SetComparison(SetComparison { expr, subquery, .. }) = expr else { return Ok(()) };
    let found = subquery.subquery.schema();
    let Some(twin) = expr.column_refs().into_iter().find(|column| found.has_column(column)) else {
        return Ok(());
    };
    let said = format!("`{}` is a column of the query and of the one behind ANY or ALL", twin.name);
    Err(Error::config(said)
        .with_hint("give the table behind it another name: .. FROM data AS other")
        .external())
}

/// NOT IN (query) whose NULLs would be lost (apache/datafusion#25336, #25340, #25347).
fn refuse_not_in(expr: &Expr, node: &LogicalPlan) -> DfResult<TreeNodeRecursion> {
    let InSubquery { expr, subquery, .. } = match expr {
        Expr::InSubquery(within) if within.negated => within,
        Expr::Not(inner) => match inner.as_ref() {
            Expr::InSubquery(within) => within,
            _ => return Ok(TreeNodeRecursion::Continue),
        },
        _ => return Ok(TreeNodeRecursion::Continue),
    };
    let is_constant = expr.column_refs().is_empty();
    let depends = !subquery.outer_ref_columns.is_empty();
    let found = subquery.subquery.schema();
    let may_be_null = found.fields().iter().any(|field| field.is_nullable())
        || node.inputs().iter().any(|input| expr.nullable(input.schema()).unwrap_or(true));
    if !may_be_null || !(is_constant || depends) {
        return Ok(TreeNodeRecursion::Continue);
    }
    let said = if depends {
        "NOT IN over a query that depends on the row does not heed NULL"
    } else {
        "NOT IN of a constant over a query does not heed NULL"
    };
    Err(Error::config(said)
        .with_hint("write NOT EXISTS (SELECT 1 FROM .. WHERE ..), which no NULL decides")
        .external())
}
