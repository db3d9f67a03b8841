//! `PartWriter`: a plan node that turns each partition into parts, out of sight, one for each folder that its
//! rows belong in, and yields a row that describes each, and one for what its checks found.

use std::fmt::{self, Debug};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
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
use longshore_model::error::{Error, Result};
use longshore_model::part::Part;
use longshore_sandbox::tape::Tapes;

use super::part_rows::{WriteResult, part_schema};
use crate::datafusion_fault::IntoDataFusion;
use crate::plan_node::{node_properties, only_child, partitions};
use crate::transform::with_sort_joins;

/// Which attempt at a chunk (or relation) a plan's execution is; from 0.
#[derive(Clone, Copy, Debug)]
pub struct Attempt(pub u32);

/// The chunks that a plan's partitions stand for, where it is a part of a plan with others; else each partition is the
/// chunk of its own number.
#[derive(Clone, Debug)]
pub struct ChunkNumbers(pub Vec<usize>);

/// What takes a relation's rows: a chunk becomes a part, or one for each folder, durable and out of sight.
#[async_trait]
pub trait Parts: Debug + Send + Sync {
    /// Writes a chunk's rows; nothing where there are none. What fails leaves nothing behind. A
    /// plugin that takes them is recorded on `tapes`.
    async fn write(
        &self,
        rows: SendableRecordBatchStream,
        chunk: u64,
        attempt: Attempt,
        tapes: Option<&Tapes>,
    ) -> Result<WriteResult>;

    /// What stands for a relation without rows, so that its schema is known all the same.
    async fn write_empty(&self, schema: SchemaRef) -> Result<Option<Part>>;

    /// The format of the parts.
    fn format(&self) -> &'static str;

    /// The relation's name.
    fn relation(&self) -> &str;
}

/// Writes parts.
#[derive(Clone, Debug)]
pub struct PartWriter {
    input: Arc<dyn ExecutionPlan>,
    to: Arc<dyn Parts>,
    properties: Arc<PlanProperties>,
}

impl PartWriter {
    /// Writes what `input` makes as parts of a relation.
    pub fn new(input: Arc<dyn ExecutionPlan>, to: Arc<dyn Parts>) -> Self {
        let properties = node_properties(part_schema(), partitions(&*input), EmissionType::Final);
        Self { input, to, properties }
    }

    /// The same with joins by sorting, for rows that do not fit into memory; none, if that changes nothing.
    pub fn with_sort_joins(&self) -> Result<Option<Self>> {
        let input = with_sort_joins(&self.input)?;
        Ok(input.map(|input| Self::new(input, self.to.clone())))
    }

    /// Writes what stands for a relation without rows.
    pub async fn write_empty(&self) -> Result<Option<Part>> {
        self.to.write_empty(self.input.schema()).await
    }
}

/// A name that no other part of any run has.
pub(super) fn part_name(run: &str, chunk: u64, attempt: Attempt) -> String {
    let run = run.rsplit('-').next().unwrap_or_default();
    format!("part-{chunk:05}-{run}-{}", attempt.0)
}

impl DisplayAs for PartWriter {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartWriter: relation={}, format={}", self.to.relation(), self.to.format())
    }
}

impl ExecutionPlan for PartWriter {
    fn name(&self) -> &str {
        "PartWriter"
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
        Ok(Arc::new(Self::new(input, self.to.clone())))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let attempt =
            context.session_config().get_extension::<Attempt>().map_or(Attempt(0), |a| *a);
        let tapes = context.session_config().get_extension::<Tapes>();
        let numbers = context.session_config().get_extension::<ChunkNumbers>();
        let chunk = numbers.and_then(|numbers| numbers.0.get(partition).copied());
        let chunk = chunk.unwrap_or(partition) as u64;
        let batches = self.input.execute(partition, context)?;
        let to = self.to.clone();
        let described = async move {
            let written = to.write(batches, chunk, attempt, tapes.as_deref()).await;
            let rows = written.and_then(|written| written.to_rows()).map_err(Error::external)?;
            Ok::<_, DataFusionError>(futures::stream::iter(rows.into_iter().map(Ok)))
        };
        let rows = futures::stream::once(described).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(part_schema(), rows)))
    }
}
