//! What Ballista's executor does for a task, with two things added: a fragment learns which partitions of the whole plan
//! its own are, and its driver learns at once if there is no room for its rows.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::serde::protobuf::{
    RuntimeStatsReport, ShuffleWritePartition, TaskColumnStats, WindowStateReport,
};
use ballista_executor::execution_engine::{
    DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor,
};
use ballista_executor::metrics::ExecutorMetricsCollector;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result as DfResult;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::prelude::SessionConfig;

use super::ballista_fault::no_room;
use crate::message::Assignment;
use crate::plan::{CarryOut, FragmentExec};

/// Makes the stages of an executor.
#[derive(Default)]
pub(super) struct StageEngine(DefaultExecutionEngine);

impl ExecutionEngine for StageEngine {
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
        let mut owner = None;
        let numbered = plan.transform_down(|node| {
            let Some(fragment) = node.downcast_ref::<FragmentExec>() else {
                return Ok(Transformed::no(node));
            };
            owner = owner.take().or_else(|| fragment.owner());
            let numbered: Arc<dyn ExecutionPlan> = Arc::new(fragment.numbered(numbers.clone()));
            Ok(Transformed::yes(numbered))
        })?;
        let inner = self.0.create_query_stage_exec(
            job,
            stage,
            task,
            numbers,
            numbered.data,
            folder,
            config,
        )?;
        Ok(match owner {
            Some((assignment, by)) => Arc::new(FragmentStage { inner, assignment, by }),
            None => inner,
        })
    }
}

/// A stage with a fragment: its rows are kept on this machine until others have taken them.
#[derive(Debug)]
struct FragmentStage {
    inner: Arc<dyn QueryStageExecutor>,
    assignment: Assignment,
    by: Arc<dyn CarryOut>,
}

impl fmt::Display for FragmentStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl QueryStageExecutor for FragmentStage {
    async fn execute_query_stage(
        &self,
        task: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<Vec<ShuffleWritePartition>> {
        let done = self.inner.execute_query_stage(task, context).await;
        if let Err(error) = &done
            && let Some(full) = no_room(error)
        {
            self.by.full(self.assignment.clone(), full).await;
        }
        done
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        self.inner.collect_plan_metrics()
    }

    fn collect_runtime_stats_reports(&self) -> Vec<RuntimeStatsReport> {
        self.inner.collect_runtime_stats_reports()
    }

    fn collect_window_state_reports(&self) -> DfResult<Vec<WindowStateReport>> {
        self.inner.collect_window_state_reports()
    }

    fn collect_column_stats(&self) -> Vec<TaskColumnStats> {
        self.inner.collect_column_stats()
    }
}

/// Ballista's own figures, which nobody reads: the driver is told what matters.
pub(super) struct QuietMetrics;

impl ExecutorMetricsCollector for QuietMetrics {
    fn record_stage(&self, _: &JobId, _: usize, _: usize, _: Arc<dyn QueryStageExecutor>) {}
}
