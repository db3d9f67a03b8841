//! Outer joins with USING: the column that is joined by has the value that there is. DataFusion takes the
//! one of a side that may have none (apache/datafusion#22881).

use std::ops::ControlFlow;

use datafusion::common::JoinConstraint;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result as DfResult;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::Column;
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, JoinConstraint as SqlConstraint, JoinOperator, Query, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Statement, TableFactor, Visit, Visitor,
};

use crate::error::{Error, Result};

/// Puts the merged keys over each outer join with USING.
pub(super) fn merge_using_keys(plan: LogicalPlan) -> DfResult<LogicalPlan> {
    let merged = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Join(join) = &node else { return Ok(Transformed::no(node)) };
        let is_outer = matches!(join.join_type, JoinType::Left | JoinType::Right | JoinType::Full);
        if join.join_constraint != JoinConstraint::Using || !is_outer {
            return Ok(Transformed::no(node));
        }
        let is = |expr: &Expr, column: &Column| matches!(expr, Expr::Column(own) if own == column);
        let merged = |column: &Column| {
            let pair = join.on.iter().find(|(left, right)| is(left, column) || is(right, column));
            pair.map(|(left, right)| match join.join_type {
                JoinType::Left => left.clone(),
                JoinType::Right => right.clone(),
                _ => coalesce(vec![left.clone(), right.clone()]),
            })
        };
        let columns: Vec<Expr> = join
            .schema
            .columns()
            .into_iter()
            .map(|column| match merged(&column) {
                Some(value) => value.alias_qualified(column.relation.clone(), column.name),
                None => Expr::Column(column),
            })
            .collect();
        LogicalPlanBuilder::from(node).project(columns)?.build().map(Transformed::yes)
    })?;
    Ok(merged.data)
}

/// Refuses what names one side's key of such a join: it would be given the merged one.
pub(super) fn refuse_sides_of_keys(statement: &Statement) -> Result<()> {
    let mut sides = Sides::default();
    let _ = statement.visit(&mut sides);
    for name in &sides.named {
        let [qualifier, column] = name;
        let is_merged = |key: &Key| {
            (column == "*" || *column == key.column)
                && !key.allowed.as_ref().is_some_and(|rule| rule.allows(qualifier))
        };
        if sides.keys.iter().any(is_merged) {
            return Err(Error::config(format!(
                "`{qualifier}.{column}` names one side of a join with USING, whose key is one column"
            ))
            .with_hint("write the join with ON, and name the columns of both sides"));
        }
    }
    Ok(())
}

/// What is joined by, and whose side of it has the merged value.
struct Key {
    column: String,
    allowed: Option<Allowed>,
}

enum Allowed {
    AllBut(String),
    Only(String),
}

impl Allowed {
    fn allows(&self, qualifier: &str) -> bool {
        match self {
            Self::AllBut(name) => qualifier != name,
            Self::Only(name) => qualifier == name,
        }
    }
}

#[derive(Default)]
struct Sides {
    keys: Vec<Key>,
    /// Qualifier and column, `*` for all.
    named: Vec<[String; 2]>,
}

impl Visitor for Sides {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let SetExpr::Select(select) = query.body.as_ref() else { return ControlFlow::Continue(()) };
        for item in &select.projection {
            if let SelectItem::QualifiedWildcard(
                SelectItemQualifiedWildcardKind::ObjectName(name),
                _,
            ) = item
            {
                self.named.push([last(&name.to_string()), "*".into()]);
            }
        }
        for join in select.from.iter().flat_map(|table| &table.joins) {
            let (constraint, is_left, is_right) = match &join.join_operator {
                JoinOperator::Left(c) | JoinOperator::LeftOuter(c) => (c, true, false),
                JoinOperator::Right(c) | JoinOperator::RightOuter(c) => (c, false, true),
                JoinOperator::FullOuter(c) => (c, false, false),
                _ => continue,
            };
            let SqlConstraint::Using(columns) = constraint else { continue };
            for column in columns {
                let allowed = match name_of(&join.relation) {
                    Some(name) if is_left => Some(Allowed::AllBut(name)),
                    Some(name) if is_right => Some(Allowed::Only(name)),
                    _ => None,
                };
                self.keys.push(Key { column: last(&column.to_string()), allowed });
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &SqlExpr) -> ControlFlow<()> {
        if let SqlExpr::CompoundIdentifier(parts) = expr
            && let [.., qualifier, column] = parts.as_slice()
        {
            self.named.push([normal(&qualifier.to_string()), normal(&column.to_string())]);
        }
        ControlFlow::Continue(())
    }
}

fn name_of(table: &TableFactor) -> Option<String> {
    match table {
        TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => Some(normal(&alias.name.to_string())),
            None => Some(last(&name.to_string())),
        },
        TableFactor::Derived { alias: Some(alias), .. } => Some(normal(&alias.name.to_string())),
        _ => None,
    }
}

fn last(name: &str) -> String {
    normal(name.rsplit('.').next().unwrap_or(name))
}

/// As DataFusion compares names: what stands without quotes is lower case.
fn normal(name: &str) -> String {
    match name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => quoted.to_owned(),
        None => name.to_lowercase(),
    }
}
