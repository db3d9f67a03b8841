//! The lineage of a query, by its logical plan as the author wrote it: before it is optimised.

mod expression;

use datafusion::common::{Column, DFSchema, JoinType};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, Join, LogicalPlan, RecursiveQuery, TableScan, Union, Unnest, Window,
};

use super::{ColumnLineage, Dependencies, Kind, of_table};

/// The lineage of a query's columns; none if it is not known, or too much to be told.
pub fn of_query(plan: &LogicalPlan) -> Option<ColumnLineage> {
    Query::default().plan(plan, None)
}

/// The columns that an expression can name.
#[derive(Clone, Copy)]
struct Scope<'a> {
    schema: &'a DFSchema,
    lineage: &'a ColumnLineage,
    /// Those of the query around a subquery.
    outer: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    fn column(&self, column: &Column) -> Option<&'a Dependencies> {
        self.lineage.columns.get(self.schema.maybe_index_of_column(column)?)
    }

    fn outer_column(&self, column: &Column) -> Option<&'a Dependencies> {
        let outer = self.outer?;
        outer.column(column).or_else(|| outer.outer_column(column))
    }
}

/// A query on the way through its plan.
#[derive(Default)]
struct Query {
    /// The recursive queries around, by the names that their recursive terms call them.
    recursive: Vec<(String, ColumnLineage)>,
}

impl Query {
    /// The lineage of a plan; `outer` is what a subquery can name of the query around it.
    fn plan(&mut self, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Option<ColumnLineage> {
        let lineage = match plan {
            LogicalPlan::Projection(of) => {
                let input = self.plan(&of.input, outer)?;
                let columns = self.values(&of.expr, &of.input, &input, outer)?;
                ColumnLineage { columns, rows: input.rows }
            }
            LogicalPlan::Filter(of) => {
                self.decided(&of.input, [&of.predicate], Kind::Filter, outer)?
            }
            LogicalPlan::Sort(of) => {
                let exprs = of.expr.iter().map(|sort| &sort.expr);
                self.decided(&of.input, exprs, Kind::Sort, outer)?
            }
            LogicalPlan::Window(of) => self.window(of, outer)?,
            LogicalPlan::Aggregate(of) => self.aggregate(of, outer)?,
            LogicalPlan::Join(of) => self.join(of, outer)?,
            LogicalPlan::Union(of) => self.union(of, outer)?,
            LogicalPlan::Distinct(of) => self.distinct(of, outer)?,
            LogicalPlan::Unnest(of) => self.unnest(of, outer)?,
            LogicalPlan::RecursiveQuery(of) => self.recursive_query(of, outer)?,
            LogicalPlan::TableScan(of) => self.scan(of, outer)?,
            LogicalPlan::SubqueryAlias(of) => self.plan(&of.input, outer)?,
            LogicalPlan::Subquery(of) => self.plan(&of.subquery, outer)?,
            LogicalPlan::Limit(of) => self.plan(&of.input, outer)?,
            LogicalPlan::Repartition(of) => self.plan(&of.input, outer)?,
            LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => {
                ColumnLineage::of_nothing(plan.schema().fields().len())
            }
            _ => return None,
        };
        Some(lineage).filter(|lineage| !lineage.is_too_large())
    }

    /// The lineage of expressions over a plan.
    fn values<'e>(
        &mut self,
        exprs: impl IntoIterator<Item = &'e Expr>,
        input: &LogicalPlan,
        lineage: &ColumnLineage,
        outer: Option<&Scope<'_>>,
    ) -> Option<Vec<Dependencies>> {
        let scope = Scope { schema: input.schema(), lineage, outer };
        exprs.into_iter().map(|expr| self.value(expr, scope)).collect()
    }

    /// The lineage of a plan on whose rows expressions decide.
    fn decided<'e>(
        &mut self,
        input: &LogicalPlan,
        exprs: impl IntoIterator<Item = &'e Expr>,
        kind: Kind,
        outer: Option<&Scope<'_>>,
    ) -> Option<ColumnLineage> {
        let mut lineage = self.plan(input, outer)?;
        let mut rows = std::mem::take(&mut lineage.rows);
        let scope = Scope { schema: input.schema(), lineage: &lineage, outer };
        self.add_all(&mut rows, exprs, scope, kind.into())?;
        Some(ColumnLineage { rows, ..lineage })
    }

    /// The input's columns, and behind them those of window functions.
    fn window(&mut self, of: &Window, outer: Option<&Scope<'_>>) -> Option<ColumnLineage> {
        let mut lineage = self.plan(&of.input, outer)?;
        let added = self.values(&of.window_expr, &of.input, &lineage, outer)?;
        lineage.columns.extend(added);
        Some(lineage)
    }

    /// The columns of the groups, and behind them those of the aggregates.
    fn aggregate(&mut self, of: &Aggregate, outer: Option<&Scope<'_>>) -> Option<ColumnLineage> {
        let (groups, is_set) = match of.group_expr.as_slice() {
            [Expr::GroupingSet(set)] => (set.distinct_expr(), true),
            groups => (groups.iter().collect(), false),
        };
        let mut lineage = self.decided(&of.input, groups.clone(), Kind::GroupBy, outer)?;
        let mut columns = self.values(groups, &of.input, &lineage, outer)?;
        if is_set {
            // The number of the set, which DataFusion puts behind the groups.
            columns.push(Dependencies::default());
        }
        columns.extend(self.values(&of.aggr_expr, &of.input, &lineage, outer)?);
        lineage.columns = columns;
        Some(lineage)
    }

    fn join(&mut self, of: &Join, outer: Option<&Scope<'_>>) -> Option<ColumnLineage> {
        let left = self.plan(&of.left, outer)?;
        // A lateral join names columns of its left side.
        let beside = Scope { schema: of.left.schema(), lineage: &left, outer };
        let right = self.plan(&of.right, Some(&beside))?;
        let mut rows = left.rows.clone();
        rows.add(&right.rows, Kind::Identity.into());
        let joined = of.left.schema().join(of.right.schema()).ok()?;
        let columns = left.columns.iter().chain(&right.columns).cloned().collect();
        let both = ColumnLineage { columns, rows: Dependencies::default() };
        let scope = Scope { schema: &joined, lineage: &both, outer };
        let keys = of.on.iter().flat_map(|(left, right)| [left, right]);
        self.add_all(&mut rows, keys.chain(&of.filter), scope, Kind::Join.into())?;
        let columns = match of.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => both.columns,
            JoinType::LeftSemi | JoinType::LeftAnti => left.columns,
            JoinType::RightSemi | JoinType::RightAnti => right.columns,
            // Only the optimiser makes them.
            JoinType::LeftMark | JoinType::RightMark => return None,
        };
        Some(ColumnLineage { columns, rows })
    }

    fn union(&mut self, of: &Union, outer: Option<&Scope<'_>>) -> Option<ColumnLineage> {
        let mut united = ColumnLineage::of_nothing(of.schema.fields().len());
        for input in &of.inputs {
            unite(&mut united, &self.plan(input, outer)?);
        }
        Some(united)
    }

    /// Rows that are told apart by all columns, or by some expressions.
    fn distinct(&mut self, of: &Distinct, outer: Option<&Scope<'_>>) -> Option<ColumnLineage> {
        match of {
            Distinct::All(input) => {
                let mut lineage = self.plan(input, outer)?;
                for column in &lineage.columns {
                    lineage.rows.add(column, Kind::GroupBy.into());
                }
                Some(lineage)
            }
            Distinct::On(of) => {
                let mut lineage = self.decided(&of.input, &of.on_expr, Kind::GroupBy, outer)?;
                let columns = self.values(&of.select_expr, &of.input, &lineage, outer)?;
                let order: Vec<&Expr> =
                    of.sort_expr.iter().flatten().map(|sort| &sort.expr).collect();
                let mut rows = std::mem::take(&mut lineage.rows);
                let scope = Scope { schema: of.input.schema(), lineage: &lineage, outer };
                self.add_all(&mut rows, order, scope, Kind::Sort.into())?;
                Some(ColumnLineage { columns, rows })
            }
        }
    }

    /// A list's items have rows of their own: the list decides how many.
    fn unnest(&mut self, of: &Unnest, outer: Option<&Scope<'_>>) -> Option<ColumnLineage> {
        let input = self.plan(&of.input, outer)?;
        let schema = of.input.schema();
        let index = |column: &Column| schema.maybe_index_of_column(column);
        let nested = of.exec_columns.iter().map(index).collect::<Option<Vec<_>>>()?;
        let mut rows = input.rows;
        for list in &nested {
            rows.add(input.columns.get(*list)?, Kind::Filter.into());
        }
        let column = |index: &usize| {
            let is_item = nested.contains(index);
            let how = if is_item { Kind::Transformation } else { Kind::Identity };
            let mut column = Dependencies::default();
            column.add(input.columns.get(*index)?, how.into());
            Some(column)
        };
        let columns = of.dependency_indices.iter().map(column).collect::<Option<_>>()?;
        Some(ColumnLineage { columns, rows })
    }

    /// The recursive term reads what has come of it so far: it is walked until nothing new comes.
    fn recursive_query(
        &mut self,
        of: &RecursiveQuery,
        outer: Option<&Scope<'_>>,
    ) -> Option<ColumnLineage> {
        let mut lineage = self.plan(&of.static_term, outer)?;
        loop {
            self.recursive.push((of.name.clone(), lineage.clone()));
            let found = self.plan(&of.recursive_term, outer);
            self.recursive.pop();
            let mut united = lineage.clone();
            unite(&mut united, &found?);
            if united == lineage {
                return Some(lineage);
            }
            if united.is_too_large() {
                return None;
            }
            lineage = united;
        }
    }

    fn scan(&mut self, of: &TableScan, outer: Option<&Scope<'_>>) -> Option<ColumnLineage> {
        let name = of.table_name.table();
        let around = self.recursive.iter().rev().find(|(known, _)| known == name);
        let whole = if let Some((_, lineage)) = around {
            lineage.clone()
        } else if let Some(view) = of.source.get_logical_plan() {
            self.plan(&view, outer)?
        } else {
            of_table(source_as_provider(&of.source).ok()?.as_ref())?
        };
        let Some(projection) = &of.projection else { return Some(whole) };
        let column = |&index: &usize| whole.columns.get(index).cloned();
        let columns = projection.iter().map(column).collect::<Option<_>>()?;
        Some(ColumnLineage { columns, rows: whole.rows })
    }
}

/// Adds the lineage of rows of the same columns.
fn unite(lineage: &mut ColumnLineage, other: &ColumnLineage) {
    for (own, other) in lineage.columns.iter_mut().zip(&other.columns) {
        own.add(other, Kind::Identity.into());
    }
    lineage.rows.add(&other.rows, Kind::Identity.into());
}
