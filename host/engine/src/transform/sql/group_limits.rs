//! Limits within an aggregation: DataFusion puts the limit of `SELECT DISTINCT .. ORDER BY .. LIMIT` between the two
//! steps of an aggregation, where groups occur more than once, and groups are lost (apache/datafusion#24927).

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result as DfResult;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};

/// Takes limits away that stand between the steps of an aggregation. The one above it stays.
#[derive(Debug)]
pub(super) struct NoGroupLimits;

impl PhysicalOptimizerRule for NoGroupLimits {
    fn name(&self) -> &str {
        "no_group_limits"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let is_final = node.downcast_ref::<AggregateExec>().is_some_and(|aggregate| {
                matches!(aggregate.mode(), AggregateMode::Final | AggregateMode::FinalPartitioned)
            });
            if is_final {
                without_limits_below(node).map(Transformed::yes)
            } else {
                Ok(Transformed::no(node))
            }
        })
        .data()
    }
}

/// Takes limits away down to the first step of the aggregation, or to what has not one input.
fn without_limits_below(node: Arc<dyn ExecutionPlan>) -> DfResult<Arc<dyn ExecutionPlan>> {
    let inputs: Vec<Arc<dyn ExecutionPlan>> = node.children().into_iter().cloned().collect();
    let Ok([input]) = <[Arc<dyn ExecutionPlan>; 1]>::try_from(inputs) else { return Ok(node) };
    if input.is::<AggregateExec>() {
        return Ok(node);
    }
    let input = match input.fetch() {
        Some(_) if is_sort(&input) => input.with_fetch(None).unwrap_or(input),
        _ => input,
    };
    replace_children_if_necessary(node, vec![without_limits_below(input)?])
}

fn is_sort(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.is::<SortExec>() || node.is::<SortPreservingMergeExec>()
}
