//! `AttemptExec`: a plan node that carries out the assignments in its input. Its driver is told what comes of them; for
//! Ballista, it has no rows, and never fails.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::TryStreamExt;
use longshore_engine::plan_node::{node_properties, only_child, partitions};

use super::assignment_rows::{assignment_rows, assignments};
use super::carry_out::CarryOut;
use crate::message::Assignment;

/// Carries out the assignments that are its input's rows.
#[derive(Debug)]
pub(crate) struct AttemptExec {
    input: Arc<dyn ExecutionPlan>,
    /// None where plans are only passed on.
    by: Option<Arc<dyn CarryOut>>,
    properties: Arc<PlanProperties>,
}

impl AttemptExec {
    /// A plan that carries out one assignment.
    pub(crate) fn of(assignment: &Assignment) -> DfResult<Self> {
        Ok(Self::new(assignment_rows(assignment)?, None))
    }

    pub(super) fn new(input: Arc<dyn ExecutionPlan>, by: Option<Arc<dyn CarryOut>>) -> Self {
        let properties = node_properties(input.schema(), partitions(&*input), EmissionType::Final);
        Self { input, by, properties }
    }
}

impl DisplayAs for AttemptExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AttemptExec")
    }
}

impl ExecutionPlan for AttemptExec {
    fn name(&self) -> &str {
        "AttemptExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
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
        let input = only_child(self.name(), children)?;
        Ok(Arc::new(Self::new(input, self.by.clone())))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let by = self.by.clone();
        let by = by.ok_or_else(|| DataFusionError::Internal("no executor is here".into()))?;
        let rows = self.input.execute(partition, context)?;
        let rows = rows.and_then(move |rows| {
            let by = by.clone();
            async move {
                for assignment in assignments(&rows)? {
                    by.attempt(assignment).await;
                }
                Ok(rows.slice(0, 0))
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}
