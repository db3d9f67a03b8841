//! Fragments: a plan that needs all rows is cut where rows change hands, at its exchanges. Whoever plans the run again
//! has the same plan, so a fragment is told by its number; what it does is never sent.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::physical_expr::{Distribution, Partitioning};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};
use longshore_engine::plan_node::partitions;

use super::divisible::is_divisible;
use super::fragment_exec::{FragmentExec, Input};
use crate::message::Assignment;

/// Where a plan may be cut, and where it ends.
enum Boundary {
    /// Rows change hands here.
    Exchange,
    /// Rows that come with the plan.
    Rows,
}

/// Cuts a plan into fragments. None where it has no exchange, or one that cannot be cut.
pub(crate) fn cut(
    plan: &Arc<dyn ExecutionPlan>,
    assignment: &Assignment,
) -> Option<Arc<dyn ExecutionPlan>> {
    if !has_exchange(plan) {
        return None;
    }
    let mut next = 0;
    let fragment = cut_fragment(plan, assignment, &mut next);
    fragment.inspect_err(|why| tracing::debug!("{why}: one executor makes all of it")).ok()
}

fn has_exchange(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let mut found = false;
    // The closure does not fail.
    let _ = plan.apply(|node| {
        found |= matches!(boundary(node), Ok(Some(Boundary::Exchange)));
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

fn cut_fragment(
    root: &Arc<dyn ExecutionPlan>,
    assignment: &Assignment,
    next: &mut usize,
) -> DfResult<Arc<dyn ExecutionPlan>> {
    let number = *next;
    *next += 1;
    let mut inputs = Vec::new();
    for Input { plan, is_whole } in inputs_of(root)? {
        let children = plan.children().into_iter().cloned().collect::<Vec<_>>();
        let plan = match children.as_slice() {
            [child] => with_children(&plan, vec![cut_fragment(child, assignment, next)?])?,
            _ => plan,
        };
        inputs.push(Input { plan, is_whole });
    }
    let fragment = FragmentExec::new(assignment.clone(), number, root.schema(), inputs);
    let (own, whole) = (partitions(&fragment), partitions(&**root));
    if own != whole {
        return uncuttable(format!(
            "fragment {number} has {own} partitions in the place of {whole}"
        ));
    }
    Ok(Arc::new(fragment))
}

fn uncuttable<T>(why: String) -> DfResult<T> {
    Err(DataFusionError::NotImplemented(why))
}

fn with_children(
    node: &Arc<dyn ExecutionPlan>,
    children: Vec<Arc<dyn ExecutionPlan>>,
) -> DfResult<Arc<dyn ExecutionPlan>> {
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    node.clone().replace_children(children, options)
}

/// The inputs of the fragment that ends in a node, from left to right.
fn inputs_of(root: &Arc<dyn ExecutionPlan>) -> DfResult<Vec<Input>> {
    let mut found = Vec::new();
    walk(root, false, &mut found)?;
    Ok(found)
}

fn walk(node: &Arc<dyn ExecutionPlan>, is_whole: bool, found: &mut Vec<Input>) -> DfResult<()> {
    if boundary(node)?.is_some() {
        found.push(Input { plan: node.clone(), is_whole });
        return Ok(());
    }
    if !is_divisible(node) {
        return uncuttable(format!("{} is made as a whole", node.name()));
    }
    let children = node.children();
    if children.is_empty() {
        return uncuttable(format!("{} has rows of its own", node.name()));
    }
    let wanted = node.input_distribution_requirements();
    for (child, wanted) in children.into_iter().zip(wanted.per_child_distributions()) {
        let is_single = matches!(wanted, Distribution::SinglePartition);
        walk(child, is_whole || is_single, found)?;
    }
    Ok(())
}

fn boundary(node: &Arc<dyn ExecutionPlan>) -> DfResult<Option<Boundary>> {
    if let Some(exchange) = node.downcast_ref::<RepartitionExec>() {
        return match exchange.partitioning() {
            Partitioning::Hash(..) => Ok(Some(Boundary::Exchange)),
            other => uncuttable(format!("an exchange by {other}")),
        };
    }
    if node.is::<UnionExec>() {
        return uncuttable("a union".into());
    }
    let is_exchange = node.is::<CoalescePartitionsExec>() || node.is::<SortPreservingMergeExec>();
    if is_exchange {
        return Ok(Some(Boundary::Exchange));
    }
    Ok(node.is::<DataSourceExec>().then_some(Boundary::Rows))
}

/// The fragment of a number in a plan that is the same as the one that was cut, reading these inputs.
pub(crate) fn find(
    plan: &Arc<dyn ExecutionPlan>,
    number: usize,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
) -> DfResult<Arc<dyn ExecutionPlan>> {
    let mut next = 0;
    let root = find_root(plan, number, &mut next)?;
    let lost = || DataFusionError::Internal(format!("no fragment {number} in the plan"));
    let mut inputs = inputs.into_iter();
    replace(&root.ok_or_else(lost)?, &mut inputs)
}

fn find_root(
    root: &Arc<dyn ExecutionPlan>,
    number: usize,
    next: &mut usize,
) -> DfResult<Option<Arc<dyn ExecutionPlan>>> {
    if *next == number {
        return Ok(Some(root.clone()));
    }
    *next += 1;
    for Input { plan, .. } in inputs_of(root)? {
        if let [child] = plan.children().as_slice()
            && let Some(found) = find_root(child, number, next)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn replace(
    node: &Arc<dyn ExecutionPlan>,
    inputs: &mut impl Iterator<Item = Arc<dyn ExecutionPlan>>,
) -> DfResult<Arc<dyn ExecutionPlan>> {
    if boundary(node)?.is_some() {
        let missing = || DataFusionError::Internal("a fragment lacks an input".into());
        return inputs.next().ok_or_else(missing);
    }
    let children = node.children().into_iter().map(|child| replace(child, inputs));
    let children = children.collect::<DfResult<Vec<_>>>()?;
    with_children(node, children)
}
