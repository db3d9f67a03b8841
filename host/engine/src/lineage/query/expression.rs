//! The dependencies of an expression: on the columns in it, and on those that its subqueries read.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::{AggregateFunction, Case, WindowFunction};
use datafusion::logical_expr::{Expr, Subquery, WindowFunctionDefinition};

use super::{Query, Scope};
use crate::lineage::{ColumnLineage, Dependencies, Kind, Transformation};

/// Functions whose value hides what it is computed from.
const MASKING: [&str; 8] =
    ["md5", "sha224", "sha256", "sha384", "sha512", "digest", "count", "approx_distinct"];

/// How a function of several arguments takes part in a value.
fn function(name: &str, kind: Kind) -> Transformation {
    Transformation { kind, is_masking: MASKING.contains(&name) }
}

impl Query {
    /// The dependencies of an expression; none if they are not known.
    pub(super) fn value(&mut self, expr: &Expr, scope: Scope<'_>) -> Option<Dependencies> {
        let mut found = Dependencies::default();
        self.add(&mut found, expr, scope, Kind::Identity.into())?;
        Some(found)
    }

    /// Adds the dependencies of expressions that take part in a value.
    pub(super) fn add_all<'e>(
        &mut self,
        to: &mut Dependencies,
        exprs: impl IntoIterator<Item = &'e Expr>,
        scope: Scope<'_>,
        how: Transformation,
    ) -> Option<()> {
        exprs.into_iter().try_for_each(|expr| self.add(to, expr, scope, how))
    }

    /// Adds the dependencies of an expression that takes part in a value.
    fn add(
        &mut self,
        to: &mut Dependencies,
        expr: &Expr,
        scope: Scope<'_>,
        how: Transformation,
    ) -> Option<()> {
        let computed = how.after(Kind::Transformation.into());
        match expr {
            Expr::Column(column) => to.add(scope.column(column)?, how),
            Expr::OuterReferenceColumn(_, column) => to.add(scope.outer_column(column)?, how),
            Expr::Alias(alias) => self.add(to, &alias.expr, scope, how)?,
            Expr::AggregateFunction(of) => self.add_aggregate(to, of, scope, how)?,
            Expr::WindowFunction(of) => self.add_window(to, of, scope, how)?,
            Expr::Case(case) => self.add_case(to, case, scope, how)?,
            Expr::ScalarFunction(of) => {
                let how = how.after(function(of.name(), Kind::Transformation));
                self.add_all(to, &of.args, scope, how)?;
            }
            Expr::ScalarSubquery(subquery) => self.add_subquery(to, subquery, scope, computed)?,
            Expr::Exists(exists) => {
                let inner = self.subquery(&exists.subquery, scope)?;
                to.add(&inner.rows, computed);
            }
            Expr::InSubquery(of) => {
                self.add(to, &of.expr, scope, computed)?;
                self.add_subquery(to, &of.subquery, scope, computed)?;
            }
            Expr::SetComparison(of) => {
                self.add(to, &of.expr, scope, computed)?;
                self.add_subquery(to, &of.subquery, scope, computed)?;
            }
            other => self.add_children(to, other, scope, computed)?,
        }
        Some(())
    }

    fn add_children(
        &mut self,
        to: &mut Dependencies,
        expr: &Expr,
        scope: Scope<'_>,
        how: Transformation,
    ) -> Option<()> {
        let mut is_known = true;
        let visited = expr.apply_children(|child| {
            is_known &= self.add(to, child, scope, how).is_some();
            Ok(TreeNodeRecursion::Continue)
        });
        visited.ok().filter(|_| is_known).map(|_| ())
    }

    fn add_aggregate(
        &mut self,
        to: &mut Dependencies,
        of: &AggregateFunction,
        scope: Scope<'_>,
        how: Transformation,
    ) -> Option<()> {
        let params = &of.params;
        let function = how.after(function(of.func.name(), Kind::Aggregation));
        self.add_all(to, &params.args, scope, function)?;
        self.add_all(to, params.filter.as_deref(), scope, how.after(Kind::Filter.into()))?;
        let order = params.order_by.iter().map(|sort| &sort.expr);
        self.add_all(to, order, scope, how.after(Kind::Sort.into()))
    }

    fn add_window(
        &mut self,
        to: &mut Dependencies,
        of: &WindowFunction,
        scope: Scope<'_>,
        how: Transformation,
    ) -> Option<()> {
        let params = &of.params;
        let function = match &of.fun {
            WindowFunctionDefinition::AggregateUDF(of) => function(of.name(), Kind::Aggregation),
            WindowFunctionDefinition::WindowUDF(_) => Kind::Transformation.into(),
        };
        self.add_all(to, &params.args, scope, how.after(function))?;
        self.add_all(to, params.filter.as_deref(), scope, how.after(Kind::Filter.into()))?;
        let order = params.order_by.iter().map(|sort| &sort.expr);
        let window = params.partition_by.iter().chain(order);
        self.add_all(to, window, scope, how.after(Kind::Window.into()))
    }

    fn add_case(
        &mut self,
        to: &mut Dependencies,
        case: &Case,
        scope: Scope<'_>,
        how: Transformation,
    ) -> Option<()> {
        let branches = &case.when_then_expr;
        let conditions = branches.iter().map(|(when, _)| when.as_ref());
        let conditions = case.expr.as_deref().into_iter().chain(conditions);
        self.add_all(to, conditions, scope, how.after(Kind::Conditional.into()))?;
        let values = branches.iter().map(|(_, then)| then.as_ref());
        let values = values.chain(case.else_expr.as_deref());
        self.add_all(to, values, scope, how.after(Kind::Transformation.into()))
    }

    /// Adds what a subquery gives, and what decides on its rows.
    fn add_subquery(
        &mut self,
        to: &mut Dependencies,
        subquery: &Subquery,
        scope: Scope<'_>,
        how: Transformation,
    ) -> Option<()> {
        let inner = self.subquery(subquery, scope)?;
        inner.columns.iter().for_each(|column| to.add(column, how));
        to.add(&inner.rows, how);
        Some(())
    }

    fn subquery(&mut self, subquery: &Subquery, scope: Scope<'_>) -> Option<ColumnLineage> {
        self.plan(&subquery.subquery, Some(&scope))
    }
}
