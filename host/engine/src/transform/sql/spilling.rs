//! A session for queries over all rows of a run: it sorts where it could keep a table in memory, and spills into a
//! folder of the run's own.

use std::path::Path;
use std::sync::Arc;

use chrono::Utc;
use datafusion::catalog::TableProvider;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use longshore_model::error::Result;

use super::{Rows, new_session_state, with_sort_joins};
use crate::datafusion_fault::from_datafusion;
use crate::spill::{SqlBudget, SqlMemory, spilling_runtime};

/// A session of its own, with its own memory.
pub struct SpillingSession {
    state: SessionState,
}

impl SpillingSession {
    /// A session that holds so many bytes in memory, and the rest in a folder.
    pub fn new(folder: &Path, memory_bytes: u64) -> Result<Self> {
        let runtime = spilling_runtime(SqlMemory::new(memory_bytes), folder);
        let streams = SqlBudget::of_process().streams;
        let state = runtime.and_then(|runtime| new_session_state(runtime, streams));
        Ok(Self { state: state.map_err(from_datafusion)? })
    }

    /// The plan of a query over several tables. Its joins are by sorting, where they can be.
    pub async fn plan<'a>(
        &self,
        tables: impl IntoIterator<Item = (&'a str, Arc<dyn TableProvider>)>,
        sql: &str,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = Rows::over_in(&self.state, tables, sql, Utc::now()).await?.into_plan().await?;
        Ok(with_sort_joins(&plan)?.unwrap_or(plan))
    }

    /// A context to run its plans in.
    pub fn task_context(&self) -> Arc<TaskContext> {
        Arc::new(TaskContext::from(&self.state))
    }
}
