//! `FragmentExec`: a plan node that stands for a fragment. Its inputs are what the fragment reads.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{Distribution, PhysicalExpr};
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use longshore_engine::plan_node::{node_properties, partitions};

use super::carry_out::{CarryOut, FragmentTask};
use crate::message::Assignment;

/// What a fragment reads: rows of other fragments, or descriptors of chunks.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) plan: Arc<dyn ExecutionPlan>,
    /// Whether each partition of the fragment reads all of it.
    pub(super) is_whole: bool,
}

/// Stands for a fragment of a plan.
#[derive(Clone, Debug)]
pub(crate) struct FragmentExec {
    pub(super) assignment: Assignment,
    pub(super) number: usize,
    pub(super) inputs: Vec<Input>,
    /// The numbers that its partitions have in the whole plan, where it has only some of them.
    numbers: Vec<usize>,
    /// None where plans are only passed on.
    by: Option<Arc<dyn CarryOut>>,
    properties: Arc<PlanProperties>,
}

impl FragmentExec {
    pub(super) fn new(
        assignment: Assignment,
        number: usize,
        schema: SchemaRef,
        inputs: Vec<Input>,
    ) -> Self {
        // Ballista gives a task some partitions of the inputs that are not read whole: the fragment has as many.
        let own = inputs.iter().find(|input| !input.is_whole);
        let partitions = own.map_or(1, |input| partitions(&*input.plan));
        let properties = node_properties(schema, partitions, EmissionType::Incremental);
        Self { assignment, number, inputs, numbers: Vec::new(), by: None, properties }
    }

    /// The same, for an executor.
    pub(super) fn carried_out_by(self, by: Option<Arc<dyn CarryOut>>) -> Self {
        Self { by, ..self }
    }

    /// Whose it is, and who carries it out.
    pub(crate) fn owner(&self) -> Option<(Assignment, Arc<dyn CarryOut>)> {
        Some((self.assignment.clone(), self.by.clone()?))
    }

    /// The same, with the numbers that its partitions have in the whole plan.
    pub(crate) fn numbered(&self, numbers: Vec<usize>) -> Self {
        Self { numbers, ..self.clone() }
    }
}

impl DisplayAs for FragmentExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FragmentExec: number={}", self.number)
    }
}

impl ExecutionPlan for FragmentExec {
    fn name(&self) -> &str {
        "FragmentExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        let wanted = |input: &Input| {
            if input.is_whole {
                Distribution::SinglePartition
            } else {
                Distribution::UnspecifiedDistribution
            }
        };
        self.inputs.iter().map(wanted).collect()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.inputs.len()]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().map(|input| &input.plan).collect()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let inputs = children.into_iter().zip(&self.inputs);
        let inputs = inputs.map(|(plan, input)| Input { plan, is_whole: input.is_whole }).collect();
        let new = Self::new(self.assignment.clone(), self.number, self.schema(), inputs);
        let numbers = self.numbers.clone();
        Ok(Arc::new(Self { numbers, by: self.by.clone(), ..new }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let by = self.by.as_ref();
        let by = by.ok_or_else(|| DataFusionError::Internal("no executor is here".into()))?;
        Ok(by.clone().fragment(FragmentTask {
            assignment: self.assignment.clone(),
            number: self.number,
            inputs: self.inputs.iter().map(|input| input.plan.clone()).collect(),
            schema: self.schema(),
            partition,
            numbers: self.numbers.clone(),
            context,
        }))
    }
}
