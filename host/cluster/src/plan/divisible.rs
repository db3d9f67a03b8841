//! Which nodes of a plan several processes may make together.

use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PartitionMode, SortMergeJoinExec,
};
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::partial_sort::PartialSortExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use longshore_engine::plan_node::partitions;
use longshore_engine::scan::ChunkScan;
use longshore_engine::transform::ComponentTransform;
use longshore_engine::write::PartWriter;

/// Whether each partition of a node can be made alone, from its own partitions of the inputs and from inputs that are
/// read whole. A node that is not known here may have something that its partitions share.
pub(super) fn is_divisible(node: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        let is_shared = *join.partition_mode() != PartitionMode::Partitioned;
        return !is_shared || partitions(&**node) == 1 || drops_left_rows(*join.join_type());
    }
    if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
        return partitions(&**node) == 1 || drops_left_rows(*join.join_type());
    }
    has_partitions_of_its_own(node)
}

/// A join with a whole left side keeps in mind which left rows had a match in any partition of the right. If it emits
/// left rows for that, all partitions must be in one process.
fn drops_left_rows(join: JoinType) -> bool {
    matches!(
        join,
        JoinType::Inner
            | JoinType::Right
            | JoinType::RightSemi
            | JoinType::RightAnti
            | JoinType::RightMark
    )
}

/// Nodes whose partitions share nothing, whatever they are set to.
fn has_partitions_of_its_own(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.is::<AggregateExec>()
        || node.is::<BoundedWindowAggExec>()
        || node.is::<ChunkScan>()
        || node.is::<ComponentTransform>()
        || node.is::<CooperativeExec>()
        || node.is::<CrossJoinExec>()
        || node.is::<FilterExec>()
        || node.is::<GlobalLimitExec>()
        || node.is::<LocalLimitExec>()
        || node.is::<PartialSortExec>()
        || node.is::<PartWriter>()
        || node.is::<ProjectionExec>()
        || node.is::<SortExec>()
        || node.is::<SortMergeJoinExec>()
        || node.is::<UnnestExec>()
        || node.is::<WindowAggExec>()
}
