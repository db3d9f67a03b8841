//! A session for queries over all rows of a run: it sorts where it could keep a table in memory, and spills into a
//! folder of the run's own.

use std::path::Path;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::execution::{SessionState, TaskContext};
use longshore_model::error::Result;

use super::{Rows, new_session_state};
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
        // Only plans of several streams join by sorting.
        let streams = SqlBudget::of_process().streams.max(2);
        let state = runtime.and_then(|runtime| new_session_state(runtime, streams, false));
        Ok(Self { state: state.map_err(from_datafusion)? })
    }

    /// A query over several tables.
    pub async fn over<'a>(
        &self,
        tables: impl IntoIterator<Item = (&'a str, Arc<dyn TableProvider>)>,
        sql: &str,
    ) -> Result<Rows> {
        Rows::over_in(&self.state, tables, sql).await
    }

    /// A context to run its plans in.
    pub fn task_context(&self) -> Arc<TaskContext> {
        Arc::new(TaskContext::from(&self.state))
    }
}
