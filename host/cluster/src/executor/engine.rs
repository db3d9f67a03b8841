//! What Ballista's executor does for a task, with one thing added: a fragment learns which partitions of the whole plan
//! its own are.

use std::sync::Arc;

use ballista_core::JobId;
use ballista_executor::execution_engine::{
    DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor,
};
use ballista_executor::metrics::ExecutorMetricsCollector;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result as DfResult;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;

use crate::plan::FragmentExec;

/// Numbers the partitions of fragments.
#[derive(Default)]
pub(super) struct NumberingEngine(DefaultExecutionEngine);

impl ExecutionEngine for NumberingEngine {
    fn create_query_stage_exec(
        &self,
        job: JobId,
        stage: usize,
        task: usize,
        numbers: Vec<usize>,
        plan: Arc<dyn ExecutionPlan>,
        folder: &str,
        config: &SessionConfig,
    ) -> DfResult<Arc<dyn QueryStageExecutor>> {
        let numbered = plan.transform_down(|node| {
            let fragment = node.downcast_ref::<FragmentExec>();
            Ok(match fragment.map(|fragment| fragment.numbered(numbers.clone())) {
                Some(fragment) => Transformed::yes(Arc::new(fragment) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(node),
            })
        })?;
        self.0.create_query_stage_exec(job, stage, task, numbers, numbered.data, folder, config)
    }
}

/// Ballista's own figures, which nobody reads: the driver is told what matters.
pub(super) struct QuietMetrics;

impl ExecutorMetricsCollector for QuietMetrics {
    fn record_stage(&self, _: &JobId, _: usize, _: usize, _: Arc<dyn QueryStageExecutor>) {}
}
