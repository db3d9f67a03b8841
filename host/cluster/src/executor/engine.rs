//! What Ballista's executor does for a task, with two things added: a fragment learns which partitions of the whole plan
//! its own are, and its driver learns at once if there is no room for its rows.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::error::BallistaError;
use ballista_core::serde::protobuf::{
    RuntimeStatsReport, ShuffleWritePartition, TaskColumnStats, WindowStateReport,
};
use ballista_executor::execution_engine::{
    DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor,
};
use ballista_executor::metrics::ExecutorMetricsCollector;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::prelude::SessionConfig;

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

/// The error of a full disk, if that is the cause.
fn no_room(error: &DataFusionError) -> Option<io::Error> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        let kind = inner.downcast_ref::<io::Error>().map(io::Error::kind);
        if let Some(kind @ (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) = kind {
            return Some(kind.into());
        }
        cause = source(inner);
    }
    None
}

/// The cause of an error. Ballista does not tell those of its own.
fn source<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref() {
        Some(BallistaError::ArrowError(inner)) => Some(inner),
        Some(BallistaError::IoError(inner)) => Some(inner),
        Some(BallistaError::DataFusionError(inner)) => Some(inner.as_ref()),
        _ => error.source(),
    }
}

/// Ballista's own figures, which nobody reads: the driver is told what matters.
pub(super) struct QuietMetrics;

impl ExecutorMetricsCollector for QuietMetrics {
    fn record_stage(&self, _: &JobId, _: usize, _: usize, _: Arc<dyn QueryStageExecutor>) {}
}

#[cfg(test)]
mod tests {
    use arrow::error::ArrowError;

    use super::*;

    #[test]
    fn a_full_disk_is_found_where_arrow_and_datafusion_put_it() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let arrow = ArrowError::IoError("full".into(), full());
        let ballista = BallistaError::ArrowError(Box::new(arrow));
        let shared = DataFusionError::Shared(Arc::new(DataFusionError::External(ballista.into())));
        assert_eq!(no_room(&shared).map(|error| error.kind()), Some(io::ErrorKind::StorageFull));
        assert!(no_room(&DataFusionError::IoError(full())).is_some());
        assert!(no_room(&DataFusionError::Execution("No space left".into())).is_none());
    }
}
