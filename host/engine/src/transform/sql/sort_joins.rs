//! Joins by sorting, which spill, in the place of joins that keep one side in memory: for plans whose rows did not
//! fit.

use std::sync::Arc;

use arrow::compute::SortOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result as DfResult;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::ensure_requirements::EnsureRequirements;
use datafusion::physical_optimizer::output_requirements::OutputRequirements;
use datafusion::physical_optimizer::sanity_checker::SanityCheckPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{HashJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::limit::LocalLimitExec;
use datafusion::physical_plan::projection::ProjectionExec;
use longshore_model::error::Result;

use super::session_state;
use crate::datafusion_fault::from_datafusion;

type Plan = Arc<dyn ExecutionPlan>;

/// The plan with its joins by sorting; none, if that changes nothing.
pub(crate) fn with_sort_joins(plan: &Plan) -> Result<Option<Plan>> {
    let options = session_state()?.config_options();
    with_sort_joins_under(plan, options).map_err(from_datafusion)
}

fn with_sort_joins_under(plan: &Plan, options: &ConfigOptions) -> DfResult<Option<Plan>> {
    let replaced = plan.clone().transform_up(by_sorting)?;
    if !replaced.transformed {
        return Ok(None);
    }
    // What a join by sorting wants of its inputs is added; the order of the whole is kept.
    let rules: [&dyn PhysicalOptimizerRule; 4] = [
        &OutputRequirements::new_add_mode(),
        &EnsureRequirements::new(),
        &OutputRequirements::new_remove_mode(),
        &SanityCheckPlan::new(),
    ];
    let plan = rules.iter().try_fold(replaced.data, |plan, rule| rule.optimize(plan, options))?;
    Ok(Some(plan))
}

fn by_sorting(plan: Plan) -> DfResult<Transformed<Plan>> {
    let Some(join) = plan.downcast_ref::<HashJoinExec>().filter(|join| may_sort(join)) else {
        return Ok(Transformed::no(plan));
    };
    let sorted = SortMergeJoinExec::try_new(
        join.left.clone(),
        join.right.clone(),
        join.on.clone(),
        None,
        join.join_type,
        vec![SortOptions::default(); join.on.len()],
        join.null_equality,
    )?;
    let mut replaced: Plan = Arc::new(sorted);
    if let Some(columns) = &join.projection {
        replaced = project(replaced, columns)?;
    }
    if let Some(rows) = join.fetch() {
        replaced = Arc::new(LocalLimitExec::new(replaced, rows));
    }
    Ok(Transformed::yes(replaced))
}

/// `NOT IN` over NULLs is known to the other kind of join alone. With a condition beside the keys, outer joins by
/// sorting give wrong rows.
fn may_sort(join: &HashJoinExec) -> bool {
    !join.null_aware && join.filter.is_none()
}

fn project(plan: Plan, columns: &[usize]) -> DfResult<Plan> {
    let schema = plan.schema();
    let column = |&index: &usize| {
        let name = schema.field(index).name();
        (Arc::new(Column::new(name, index)) as Arc<dyn PhysicalExpr>, name.clone())
    };
    let columns: Vec<_> = columns.iter().map(column).collect();
    Ok(Arc::new(ProjectionExec::try_new(columns, plan)?))
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::catalog::TableProvider;
    use datafusion::datasource::MemTable;
    use datafusion::physical_plan::{collect, displayable};
    use proptest::prelude::*;

    use super::super::{Rows, task_context};
    use super::*;

    /// Each way to join two tables by a key.
    const QUERIES: [&str; 14] = [
        "SELECT * FROM a JOIN b ON a.k = b.k",
        "SELECT * FROM a LEFT JOIN b ON a.k = b.k",
        "SELECT * FROM a RIGHT JOIN b ON a.k = b.k AND a.v < b.v",
        "SELECT * FROM a FULL JOIN b ON a.k = b.k",
        "SELECT b.v, a.v AS w FROM a JOIN b USING (k) WHERE a.v > b.v",
        "SELECT * FROM a WHERE k IN (SELECT k FROM b)",
        "SELECT * FROM a WHERE k NOT IN (SELECT k FROM b)",
        "SELECT * FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND b.v > a.v)",
        "SELECT * FROM a WHERE k IS NULL OR EXISTS (SELECT 1 FROM b WHERE b.k = a.k)",
        "SELECT * FROM a JOIN b ON a.k IS NOT DISTINCT FROM b.k",
        "SELECT k, max(w) FROM (SELECT a.k, b.v AS w FROM a JOIN b ON a.k = b.k) j GROUP BY k",
        "SELECT x.k, y.n FROM (SELECT k, count(*) AS n FROM a GROUP BY k) y JOIN b x ON x.k = y.k JOIN a z ON z.k = y.k",
        "SELECT a.k, b.v AS w FROM a JOIN b ON a.k = b.k ORDER BY a.k, w",
        "SELECT count(*) FROM (SELECT a.k FROM a JOIN b ON a.k = b.k LIMIT 3) j",
    ];

    type Row = (Option<i64>, Option<String>);

    fn table(partitions: &[Vec<Row>]) -> Arc<dyn TableProvider> {
        let batch = |rows: &Vec<Row>| {
            let columns: [(&str, ArrayRef, bool); 2] = [
                ("k", Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()), true),
                (
                    "v",
                    Arc::new(rows.iter().map(|row| row.1.clone()).collect::<StringArray>()),
                    true,
                ),
            ];
            RecordBatch::try_from_iter_with_nullable(columns).unwrap()
        };
        let batches: Vec<_> = partitions.iter().map(|rows| vec![batch(rows)]).collect();
        Arc::new(MemTable::try_new(batches[0][0].schema(), batches).unwrap())
    }

    async fn lines(plan: Plan) -> Vec<String> {
        let batches = collect(plan, task_context(|config| config).unwrap()).await.unwrap();
        let shown = pretty_format_batches(&batches).unwrap().to_string();
        shown.lines().map(str::to_owned).collect()
    }

    fn partitions() -> impl Strategy<Value = Vec<Vec<Row>>> {
        let row = (prop::option::of(0..5i64), prop::option::of("[xyz]"));
        prop::collection::vec(prop::collection::vec(row, 0..6), 1..5)
    }

    proptest! {
        #[test]
        fn joins_by_sorting_give_the_same_rows(a in partitions(), b in partitions(), query in 0..QUERIES.len()) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let sql = QUERIES[query];
            runtime.block_on(async {
                let plan = Rows::over([("a", table(&a)), ("b", table(&b))], sql, chrono::Utc::now()).await.unwrap();
                let plan = plan.into_plan().await.unwrap();
                let sorted = with_sort_joins(&plan).unwrap();
                let Some(sorted) = sorted else {
                    prop_assert!(sql.contains("NOT IN") || sql.contains(['<', '>']), "{}", sql);
                    return Ok(());
                };
                prop_assert!(!displayable(sorted.as_ref()).indent(false).to_string().contains("HashJoin"));
                prop_assert_eq!(sorted.schema(), plan.schema());
                let (mut one, mut other) = (lines(plan).await, lines(sorted).await);
                if !sql.contains("ORDER BY") {
                    one.sort();
                    other.sort();
                }
                prop_assert_eq!(one, other, "{}", sql);
                Ok(())
            })?;
        }
    }
}
