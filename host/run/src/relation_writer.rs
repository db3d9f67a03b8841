//! What writes a relation's rows: a partition of its plan for each chunk, or all of it at once where its partitions
//! cannot be made alone.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::prelude::SessionConfig;
use futures::TryStreamExt;
use longshore_engine::datafusion_fault::{SQL_MEMORY, from_datafusion};
use longshore_engine::plan::RelationPlan;
use longshore_engine::plan_node::partitions;
use longshore_engine::scan::{Lane, ReadCounter, Slot, Slots};
use longshore_engine::transform::{SqlTurn, task_context};
use longshore_engine::write::{PartWriter, Parts, WriteResult};
use longshore_model::error::Result;
use longshore_model::part::Part;

/// Writes a relation's rows.
pub(super) struct RelationWriter {
    writer: Arc<PartWriter>,
    chunkwise: bool,
    /// Whether it makes do with little memory, since rows did not fit: joins are by sorting, and batches are small.
    is_frugal: AtomicBool,
}

/// What an attempt needs before it begins.
pub(super) enum AttemptAdmission {
    /// A place to read its chunk in.
    Chunk(Slot),
    /// A plan that nobody has executed, and its turn at the memory of SQL.
    Whole(Arc<dyn ExecutionPlan>, SqlTurn),
}

impl RelationWriter {
    /// Hands a relation's rows to what takes them.
    pub(super) fn new(relation: &RelationPlan, parts: Arc<dyn Parts>) -> Self {
        let writer = Arc::new(PartWriter::new(relation.physical.clone(), parts));
        Self { writer, chunkwise: relation.chunkwise, is_frugal: AtomicBool::new(false) }
    }

    /// Whether each chunk can be made alone.
    pub(super) fn is_chunkwise(&self) -> bool {
        self.chunkwise
    }

    /// The number of tasks.
    pub(super) fn tasks(&self) -> usize {
        if self.chunkwise { partitions(&*self.writer) } else { 1 }
    }

    /// Writes what stands for a relation without rows.
    pub(super) async fn write_empty(&self) -> Result<Option<Part>> {
        self.writer.write_empty().await
    }

    /// Whether it makes do with little memory.
    pub(super) fn is_frugal(&self) -> bool {
        self.is_frugal.load(Ordering::Relaxed)
    }

    /// From now on, it makes do with little memory, or not.
    pub(super) fn set_frugal(&self, is_frugal: bool) {
        self.is_frugal.store(is_frugal, Ordering::Relaxed);
    }

    /// The plan of all of it, which nobody has executed.
    pub(super) fn plan(&self) -> Result<Arc<dyn ExecutionPlan>> {
        let spilling = if self.is_frugal() { self.writer.with_sort_joins()? } else { None };
        let plan = spilling.map_or_else(|| self.writer.clone(), Arc::new);
        reset_plan_states(plan).map_err(from_datafusion)
    }

    /// Learns from an attempt: where rows do not fit into memory, the next one makes do with less.
    pub(super) fn learn(&self, done: &Result<WriteResult>) {
        if done.as_ref().is_err_and(|error| error.code() == Some(SQL_MEMORY)) {
            self.set_frugal(true);
        }
    }

    /// Waits until there is room for one more attempt.
    pub(super) async fn admit(&self, slots: &Slots, scratch: &Path) -> Result<AttemptAdmission> {
        if self.chunkwise {
            return slots.take().await.map(AttemptAdmission::Chunk);
        }
        let plan = self.plan()?;
        let turn = SqlTurn::of_plan(&plan, scratch, self.is_frugal()).await?;
        Ok(AttemptAdmission::Whole(plan, turn))
    }

    /// Makes a chunk, or all of the relation; counts the rows that are read. `configure` adds what nodes of the plan
    /// look for.
    pub(super) async fn execute(
        &self,
        admitted: AttemptAdmission,
        chunk: usize,
        slots: &Arc<Slots>,
        read: &ReadCounter,
        configure: impl FnOnce(SessionConfig) -> SessionConfig,
    ) -> Result<WriteResult> {
        let configure = |lane: Lane| {
            let lane = Arc::new(lane.counting(read.clone()));
            |config| configure(config).with_extension(lane)
        };
        let written = match admitted {
            AttemptAdmission::Chunk(slot) => {
                let context = task_context(configure(Lane::with(slots.clone(), slot)))?;
                collect(&(self.writer.clone() as Arc<dyn ExecutionPlan>), chunk, context).await
            }
            AttemptAdmission::Whole(plan, turn) => {
                let context = turn.task_context(configure(Lane::new(slots.clone())))?;
                let running =
                    (0..partitions(&*plan)).map(|own| collect(&plan, own, context.clone()));
                let done = futures::future::try_join_all(running).await.and_then(merged);
                self.learn(&done);
                done
            }
        };
        Ok(WriteResult { left_out: read.left_out().rows, ..written? })
    }
}

async fn collect(
    plan: &Arc<dyn ExecutionPlan>,
    partition: usize,
    context: Arc<TaskContext>,
) -> Result<WriteResult> {
    let rows: Vec<_> = plan
        .execute(partition, context)
        .map_err(from_datafusion)?
        .try_collect()
        .await
        .map_err(from_datafusion)?;
    rows.iter().map(WriteResult::from_rows).collect::<Result<Vec<_>>>().and_then(merged)
}

/// What was written of several chunks, in their order.
pub(super) fn merged(each: Vec<WriteResult>) -> Result<WriteResult> {
    let mut all = WriteResult::default();
    each.into_iter().try_for_each(|written| all.merge(written))?;
    Ok(all)
}
