//! `PartWriter`: a plan node that turns each partition into one part in staging, and yields one
//! row that describes it; none where there were no rows.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::{StreamExt, TryStreamExt};

use super::encoder::{Encoded, Encoder, open_encoder};
use super::part::{Attempt, Part};
use crate::config::target::Format;
use crate::error::Result;
use crate::memory::memory;
use crate::target::{Spot, Target};

/// An encoder that holds less is left alone when memory is short: smaller row groups cost readers
/// more than they save.
const RELIEF_BYTES: usize = 1 << 20;

/// Writes parts.
#[derive(Clone, Debug)]
pub struct PartWriter {
    input: Arc<dyn ExecutionPlan>,
    to: Arc<Destination>,
    properties: Arc<PlanProperties>,
}

/// Where a relation's parts go, and what they are.
#[derive(Debug)]
pub struct Destination {
    /// The target.
    pub target: Arc<dyn Target>,
    /// The relation's place in it.
    pub spot: Spot,
    /// The files' format.
    pub format: Format,
}

impl Destination {
    /// Begins a part.
    async fn create(
        &self,
        file: &str,
        schema: SchemaRef,
        sample: Option<&RecordBatch>,
    ) -> Result<Box<dyn Encoder>> {
        let output = self.target.create_part(&self.spot, file).await?;
        open_encoder(&self.format, schema, sample, output)
    }

    /// A name that no other part of any run has.
    fn file_name(&self, chunk: u64, attempt: Attempt) -> String {
        let run = self.spot.run.rsplit('-').next().unwrap_or_default();
        format!("part-{chunk:05}-{run}-{}.{}", attempt.0, self.format.ending())
    }
}

impl PartWriter {
    /// Writes what `input` makes as parts of a relation.
    pub fn new(input: Arc<dyn ExecutionPlan>, to: Arc<Destination>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Part::schema()),
            Partitioning::UnknownPartitioning(input.properties().partitioning.partition_count()),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { input, to, properties: Arc::new(properties) }
    }

    /// Where the parts go.
    pub fn destination(&self) -> &Destination {
        &self.to
    }

    /// Writes a part without rows: a relation without rows has a schema all the same.
    pub async fn write_empty(&self) -> Result<Part> {
        let file = self.to.file_name(0, Attempt(0));
        let encoder = self.to.create(&file, self.input.schema(), None).await?;
        finish(encoder, 0, 0, file).await
    }

    /// Writes one partition; a part that is not finished is removed.
    async fn write(
        self,
        mut batches: SendableRecordBatchStream,
        chunk: u64,
        attempt: Attempt,
    ) -> Result<Option<Part>> {
        let file = self.to.file_name(chunk, attempt);
        let written = self.encode(&mut batches, chunk, &file).await;
        if written.is_err()
            && let Err(error) = self.to.target.remove_part(&self.to.spot, &file, None).await
        {
            tracing::debug!("{error}");
        }
        written
    }

    async fn encode(
        &self,
        batches: &mut SendableRecordBatchStream,
        chunk: u64,
        file: &str,
    ) -> Result<Option<Part>> {
        let mut encoder = None;
        let mut rows = 0;
        let mut held = memory().account();
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            if batch.num_rows() == 0 {
                continue;
            }
            let open = match &mut encoder {
                Some(open) => open,
                None => {
                    encoder.insert(self.to.create(file, self.input.schema(), Some(&batch)).await?)
                }
            };
            open.write(&batch)?;
            held.set(open.memory_bytes());
            if memory().is_short() && open.memory_bytes() > RELIEF_BYTES {
                open.relieve()?;
                held.set(open.memory_bytes());
            }
            rows += batch.num_rows() as u64;
        }
        match encoder {
            Some(encoder) => finish(encoder, chunk, rows, file.to_owned()).await.map(Some),
            None => Ok(None),
        }
    }
}

async fn finish(encoder: Box<dyn Encoder>, chunk: u64, rows: u64, file: String) -> Result<Part> {
    let Encoded { file: output, bytes, sha256 } = encoder.finish()?;
    let token = output.finish().await?;
    Ok(Part { chunk, file, rows, bytes, sha256, token })
}

impl DisplayAs for PartWriter {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PartWriter: relation={}, format={}",
            self.to.spot.relation,
            self.to.format.name()
        )
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
        let [input] = <[_; 1]>::try_from(children)
            .map_err(|_| DataFusionError::Internal("PartWriter has one input".into()))?;
        Ok(Arc::new(Self::new(input, self.to.clone())))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let attempt =
            context.session_config().get_extension::<Attempt>().map_or(Attempt(0), |a| *a);
        let batches = self.input.execute(partition, context)?;
        let writing = self.clone().write(batches, partition as u64, attempt);
        let described = async move {
            let part = writing.await?;
            Ok::<Option<RecordBatch>, DataFusionError>(part.map(|part| part.to_row()).transpose()?)
        };
        let rows = futures::stream::once(described).try_filter_map(|row| async { Ok(row) });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Part::schema(), rows)))
    }
}
