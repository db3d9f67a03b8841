//! The turn of a plan that needs all rows at once: its share of SQL's memory, and the folder that it spills into.

use std::path::Path;
use std::sync::Arc;

use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::prelude::SessionConfig;
use longshore_model::error::{Error, Result};
use tokio::sync::SemaphorePermit;

use super::new_task_context;
use crate::datafusion_fault::from_datafusion;
use crate::spill::{SqlBudget, SqlMemory, spilling_runtime};

/// Rows of a batch where memory was short: a batch of large values can be more than a plan may hold.
const FRUGAL_BATCH_ROWS: usize = 64;

/// A plan's turn. Another plan has it when this is dropped.
pub struct SqlTurn {
    runtime: Arc<RuntimeEnv>,
    sort_reservation_bytes: usize,
    is_frugal: bool,
    _permit: SemaphorePermit<'static>,
}

impl SqlTurn {
    /// Waits until there is memory for one more plan, which spills into this folder. A frugal one takes small batches.
    pub async fn of_plan(
        plan: &Arc<dyn ExecutionPlan>,
        folder: &Path,
        is_frugal: bool,
    ) -> Result<Self> {
        let budget = SqlBudget::of_process();
        let permit = budget.turn().await.map_err(|error| Error::internal(error.to_string()))?;
        let memory = SqlMemory::new(budget.share_bytes);
        let runtime = spilling_runtime(memory, folder).map_err(from_datafusion)?;
        // A sort merges what it holds before it spills: it compares keys, which may be all of its rows once more.
        let reserved = budget.share_bytes / 2 / sorts(plan).max(1) as u64;
        let sort_reservation_bytes = usize::try_from(reserved).unwrap_or(usize::MAX);
        Ok(Self { runtime, sort_reservation_bytes, is_frugal, _permit: permit })
    }

    /// A context to run the plan in; `configure` adds what its nodes look for.
    pub fn task_context(
        &self,
        configure: impl FnOnce(SessionConfig) -> SessionConfig,
    ) -> Result<Arc<TaskContext>> {
        let reserved = self.sort_reservation_bytes;
        let configure = |config: SessionConfig| {
            let config = configure(config.with_sort_spill_reservation_bytes(reserved));
            if self.is_frugal { config.with_batch_size(FRUGAL_BATCH_ROWS) } else { config }
        };
        Ok(Arc::new(new_task_context(configure)?.with_runtime(self.runtime.clone())))
    }
}

/// Sorts of a plan at the same time.
fn sorts(plan: &Arc<dyn ExecutionPlan>) -> usize {
    let own = match plan.downcast_ref::<SortExec>() {
        Some(_) => plan.properties().partitioning.partition_count(),
        None => 0,
    };
    own + plan.children().into_iter().map(sorts).sum::<usize>()
}
