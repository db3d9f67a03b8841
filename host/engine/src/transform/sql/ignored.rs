//! Clauses that the parser knows and DataFusion's planner leaves out in silence. They are refused.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArguments, GroupByExpr, GroupByWithModifier, PipeOperator, Query,
    Select, SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind, Statement, TableFactor,
    Visit, Visitor, WildcardAdditionalOptions,
};
use longshore_model::error::{Error, Result};

/// What to write in place of a clause that has no other form.
const LEAVE_AWAY: &str = "leave it away";

/// Refuses a query with a clause that would be ignored.
pub(super) fn refuse_ignored(statement: &Statement) -> Result<()> {
    match statement.visit(&mut Clauses::default()) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

#[derive(Default)]
struct Clauses {
    /// Whether the next SELECT is that of an EXISTS, which needs no columns.
    is_in_exists: bool,
}

/// A clause that would be ignored, and what to write in its place.
type IgnoredClause = Option<(&'static str, &'static str)>;

fn refuse(found: IgnoredClause) -> ControlFlow<Error> {
    let Some((clause, hint)) = found else { return ControlFlow::Continue(()) };
    let said = format!("{clause} is not supported in SQL steps");
    ControlFlow::Break(Error::config(said).with_hint(hint))
}

/// The first clause that a query has.
fn first<const N: usize>(clauses: [(bool, &'static str, &'static str); N]) -> IgnoredClause {
    let found = clauses.into_iter().find(|(is_there, ..)| *is_there);
    found.map(|(_, clause, hint)| (clause, hint))
}

impl Visitor for Clauses {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        for operator in &query.pipe_operators {
            if let PipeOperator::Select { exprs } | PipeOperator::Extend { exprs } = operator {
                exprs.iter().try_for_each(|item| refuse(ignored_of_wildcard(item)))?;
            }
        }
        refuse(first([
            (!query.locks.is_empty(), "FOR UPDATE or FOR SHARE", LEAVE_AWAY),
            (query.for_clause.is_some(), "FOR XML, FOR JSON or FOR BROWSE", LEAVE_AWAY),
            (query.settings.is_some(), "SETTINGS", LEAVE_AWAY),
            (query.format_clause.is_some(), "FORMAT", "name the format under `target.format`"),
        ]))
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Error> {
        let is_in_exists = std::mem::take(&mut self.is_in_exists);
        let is_empty = select.projection.is_empty() && !is_in_exists;
        let is_bare = select.flavor == SelectFlavor::FromFirstNoSelect;
        let modifiers = match &select.group_by {
            GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers) => modifiers,
        };
        refuse(first([
            (is_bare, "FROM without SELECT", "write SELECT * FROM .."),
            (is_empty, "SELECT without columns", "name columns, or write *"),
            (select.prewhere.is_some(), "PREWHERE", "write WHERE"),
            (!select.connect_by.is_empty(), "CONNECT BY", "write WITH RECURSIVE"),
            (select.value_table_mode.is_some(), "SELECT AS STRUCT or VALUE", "name the columns"),
            (select.select_modifiers.is_some(), "a modifier of SELECT", LEAVE_AWAY),
        ]))?;
        refuse(modifiers.first().map(ignored_modifier))?;
        select.projection.iter().try_for_each(|item| refuse(ignored_of_wildcard(item)))
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<Error> {
        refuse(ignored_of_table(table))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        self.is_in_exists = matches!(expr, Expr::Exists { .. });
        let Expr::Function(Function { parameters, args, .. }) = expr else {
            return ControlFlow::Continue(());
        };
        let has_parameters = *parameters != FunctionArguments::None;
        let is_query = matches!(args, FunctionArguments::Subquery(_));
        refuse(first([
            (
                has_parameters,
                "a second list of arguments",
                "give the function all arguments in one list",
            ),
            (
                is_query,
                "a query as an argument",
                "put it in parentheses of its own, f((SELECT ..)); for ARRAY, write (SELECT array_agg(x) FROM ..)",
            ),
        ]))
    }
}

fn ignored_modifier(modifier: &GroupByWithModifier) -> (&'static str, &'static str) {
    match modifier {
        GroupByWithModifier::Rollup => ("GROUP BY .. WITH ROLLUP", "write GROUP BY ROLLUP (..)"),
        GroupByWithModifier::Cube => ("GROUP BY .. WITH CUBE", "write GROUP BY CUBE (..)"),
        GroupByWithModifier::Totals => ("GROUP BY .. WITH TOTALS", "write GROUP BY ROLLUP (..)"),
        GroupByWithModifier::GroupingSets(_) => (
            "GROUP BY .. GROUPING SETS",
            "write GROUP BY GROUPING SETS (..) without columns before it",
        ),
    }
}

fn ignored_of_wildcard(item: &SelectItem) -> IgnoredClause {
    let options = match item {
        SelectItem::Wildcard(options)
        | SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(_), options) => {
            options
        }
        _ => return None,
    };
    let WildcardAdditionalOptions { opt_ilike, .. } = options;
    first([(opt_ilike.is_some(), "* ILIKE", "name the columns, or write * EXCLUDE (..)")])
}

fn ignored_of_table(table: &TableFactor) -> IgnoredClause {
    match table {
        TableFactor::Table {
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
            ..
        } => first([
            (sample.is_some(), "TABLESAMPLE or SAMPLE", "write WHERE random() < 0.1"),
            (!partitions.is_empty(), "PARTITION (..)", "write a WHERE"),
            (version.is_some(), "a version of a table", LEAVE_AWAY),
            (*with_ordinality, "WITH ORDINALITY", "write row_number() OVER ()"),
            (json_path.is_some(), "a path behind a table", "write it in the SELECT"),
            (!with_hints.is_empty(), "WITH (..) behind a table", LEAVE_AWAY),
            (!index_hints.is_empty(), "an index hint", LEAVE_AWAY),
        ]),
        TableFactor::Derived { sample, .. } => {
            first([(sample.is_some(), "TABLESAMPLE or SAMPLE", "write WHERE random() < 0.1")])
        }
        TableFactor::Function { with_ordinality, .. } => {
            first([(*with_ordinality, "WITH ORDINALITY", "write row_number() OVER ()")])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::check_query;

    #[test]
    fn no_clause_is_read_and_then_ignored() {
        let refused = [
            "FROM data",
            "SELECT FROM data",
            "SELECT * FROM data TABLESAMPLE BERNOULLI (10)",
            "SELECT * FROM data SAMPLE 0.1",
            "SELECT * FROM (SELECT * FROM data) TABLESAMPLE (10 ROWS)",
            "SELECT * FROM data PREWHERE n > 1",
            "SELECT * FROM data PARTITION (p0)",
            "SELECT * FROM data CONNECT BY n < 5",
            "SELECT * ILIKE 'x' FROM data",
            "SELECT data.* ILIKE 'x' FROM data",
            "SELECT * FROM data WITH (NOLOCK)",
            "SELECT * FROM data SETTINGS a = 1",
            "SELECT * FROM data FORMAT JSON",
            "SELECT * FROM data FOR JSON AUTO",
            "SELECT * FROM data FOR UPDATE",
            "SELECT n FROM data GROUP BY n WITH ROLLUP",
            "SELECT n FROM data GROUP BY n WITH CUBE",
            "SELECT n FROM data GROUP BY n WITH TOTALS",
            "SELECT quantile(0.9)(n) FROM data",
            "SELECT * FROM data WHERE n IN (SELECT n FROM data TABLESAMPLE (1))",
            "WITH t AS (SELECT * FROM data PREWHERE n = 1) SELECT * FROM t",
            "SELECT * FROM data UNION ALL SELECT * FROM data PREWHERE n = 1",
            "SELECT * FROM data |> SELECT * ILIKE 'x'",
            "SELECT n FROM data WHERE EXISTS (SELECT n FROM data WHERE n IN (SELECT FROM data))",
            "SELECT array(SELECT n FROM data)",
        ];
        for sql in refused {
            let error = check_query(sql, &["data"]).expect_err(sql);
            assert!(error.hint().is_some(), "{sql}: {error}");
        }
        let taken = [
            "FROM data SELECT n",
            "SELECT * EXCLUDE (n) FROM data",
            "SELECT count(*) FROM data",
            "SELECT n FROM data GROUP BY ROLLUP (n)",
            "SELECT DISTINCT ON (n) n FROM data",
            "SELECT t.n FROM data AS t",
            "SELECT * FROM data LIMIT 3",
            "SELECT n FROM data WHERE EXISTS (SELECT FROM data)",
            "SELECT * FROM data |> SELECT n",
        ];
        for sql in taken {
            check_query(sql, &["data"]).expect(sql);
        }
    }
}
