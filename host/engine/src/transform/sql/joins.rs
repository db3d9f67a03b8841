//! Joins with USING: the column that is joined by is one. In outer joins it has the value that there is, where
//! DataFusion takes the one of a side that may have none (apache/datafusion#22881). In `SELECT *` it comes first,
//! as the standard has it, and WHERE knows it.

use std::ops::ControlFlow;

use datafusion::common::JoinConstraint;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result as DfResult;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::Column;
use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr as SqlExpr, Ident, Join as SqlJoin, JoinConstraint as SqlConstraint,
    JoinOperator, ObjectName, Query, Select, SelectItem, SelectItemQualifiedWildcardKind,
    Statement, TableFactor, TableWithJoins, Visit, VisitMut, Visitor, VisitorMut,
    WildcardAdditionalOptions,
};
use longshore_model::error::{Error, Result};

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

/// Writes out what the standard means, where a join with USING stands: the columns of `*`, keys first, and the
/// keys in WHERE. Both sides' keys are the merged one in the plan, so each name has it.
pub(super) fn name_keys(statement: &mut Statement) {
    struct Selects;
    impl VisitorMut for Selects {
        type Break = ();

        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
            // With several tables beside each other, a key may be another one's column, too.
            let [from] = select.from.as_slice() else { return ControlFlow::Continue(()) };
            if let [SelectItem::Wildcard(options)] = select.projection.as_slice()
                && *options == WildcardAdditionalOptions::default()
                && let Some(columns) = keys_first(from)
            {
                select.projection = columns;
            }
            if let Some(condition) = &mut select.selection {
                let _ = condition.visit(&mut Keys { from, subqueries: 0 });
            }
            ControlFlow::Continue(())
        }
    }
    let _ = statement.visit(&mut Selects);
}

/// `k, a.* EXCLUDE (k), b.* EXCLUDE (k)`, if all joins are by the same keys and all tables have names.
fn keys_first(from: &TableWithJoins) -> Option<Vec<SelectItem>> {
    let keys = keys_of(from.joins.first()?)?;
    let is_alike = |join: &SqlJoin| keys_of(join).as_ref() == Some(&keys);
    if !from.joins.iter().all(is_alike) {
        return None;
    }
    let key = |name: &String| Some(SelectItem::UnnamedExpr(side_of_key(from, name)?));
    let excluded = keys.iter().map(|name| ObjectName::from(quoted(name))).collect();
    let others = WildcardAdditionalOptions {
        opt_exclude: Some(ExcludeSelectItem::Multiple(excluded)),
        ..WildcardAdditionalOptions::default()
    };
    let rest = |table: &TableFactor| {
        let name = ObjectName::from(quoted(&name_of(table)?));
        let all = SelectItemQualifiedWildcardKind::ObjectName(name);
        Some(SelectItem::QualifiedWildcard(all, others.clone()))
    };
    let tables =
        std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation));
    keys.iter().map(key).chain(tables.map(rest)).collect()
}

/// A table's column that has the key's value: that of the last outer join, or else of the first join.
fn side_of_key(from: &TableWithJoins, name: &String) -> Option<SqlExpr> {
    let has_key = |join: &&SqlJoin| keys_of(join).is_some_and(|keys| keys.contains(name));
    let outer = from.joins.iter().rfind(|join| has_key(join) && !is_inner(join));
    let table = match (outer, from.joins.iter().find(has_key)?) {
        (Some(outer), _) => &outer.relation,
        (None, first) if std::ptr::eq(first, &from.joins[0]) => &from.relation,
        (None, first) => &first.relation,
    };
    Some(SqlExpr::CompoundIdentifier(vec![quoted(&name_of(table)?), quoted(name)]))
}

/// The keys of a join with USING, of both sides' rows.
fn keys_of(join: &SqlJoin) -> Option<Vec<String>> {
    let (JoinOperator::Join(constraint)
    | JoinOperator::Inner(constraint)
    | JoinOperator::Left(constraint)
    | JoinOperator::LeftOuter(constraint)
    | JoinOperator::Right(constraint)
    | JoinOperator::RightOuter(constraint)
    | JoinOperator::FullOuter(constraint)) = &join.join_operator
    else {
        return None;
    };
    let SqlConstraint::Using(columns) = constraint else { return None };
    Some(columns.iter().map(|column| last(&column.to_string())).collect())
}

fn is_inner(join: &SqlJoin) -> bool {
    matches!(join.join_operator, JoinOperator::Join(_) | JoinOperator::Inner(_))
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// Names the keys of a condition; those within its subqueries may be columns of theirs.
struct Keys<'a> {
    from: &'a TableWithJoins,
    subqueries: usize,
}

impl VisitorMut for Keys<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.subqueries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.subqueries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<()> {
        if let SqlExpr::Identifier(name) = expr
            && self.subqueries == 0
            && let Some(side) = side_of_key(self.from, &normal(&name.to_string()))
        {
            *expr = side;
        }
        ControlFlow::Continue(())
    }
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
    allowed: Option<AllowedColumns>,
}

enum AllowedColumns {
    AllBut(String),
    Only(String),
}

impl AllowedColumns {
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

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
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
                    Some(name) if is_left => Some(AllowedColumns::AllBut(name)),
                    Some(name) if is_right => Some(AllowedColumns::Only(name)),
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
