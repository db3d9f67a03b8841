//! The shape of a plan, in a number. Fragments are told by their places, so driver and executor must have the same plan;
//! how many streams there are, and which joins, follows from a machine's cores and its memory budget.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::HashJoinExec;
use longshore_engine::plan_node::partitions;

/// Plans with the same nodes, kinds of joins, partitions and columns have the same.
pub(crate) fn shape(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    let mut hasher = DefaultHasher::new();
    // The closure does not fail.
    let _ = plan.apply(|node| {
        (node.name(), partitions(&**node), node.children().len()).hash(&mut hasher);
        if let Some(join) = node.downcast_ref::<HashJoinExec>() {
            (*join.join_type(), *join.partition_mode() as u8).hash(&mut hasher);
        }
        for field in node.schema().fields() {
            (field.name(), field.data_type()).hash(&mut hasher);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    hasher.finish()
}
