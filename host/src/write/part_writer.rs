//! `PartWriter`: a plan node that turns each partition into one part in staging, and yields one
//! row that describes it; none where there were no rows.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
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
use parquet::basic::Compression;

use super::parquet::ParquetEncoder;
use super::part::{Attempt, Part};
use crate::error::Result;
use crate::target::Staging;

/// Writes parts.
#[derive(Clone, Debug)]
pub struct PartWriter {
    input: Arc<dyn ExecutionPlan>,
    staging: Arc<dyn Staging>,
    relation: String,
    compression: Compression,
    properties: Arc<PlanProperties>,
}

impl PartWriter {
    /// Writes what `input` makes as parts of a relation.
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        staging: Arc<dyn Staging>,
        relation: String,
        compression: Compression,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Part::schema()),
            Partitioning::UnknownPartitioning(input.properties().partitioning.partition_count()),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { input, staging, relation, compression, properties: Arc::new(properties) }
    }

    /// Writes a part without rows: a relation without rows has a schema all the same.
    pub fn write_empty(&self) -> Result<Part> {
        let file = file_name(0, Attempt(0));
        let output = self.staging.create_part(&self.relation, &file)?;
        let encoder = ParquetEncoder::new(self.input.schema(), self.compression, None, output)?;
        finish(encoder, 0, file)
    }

    /// Writes one partition; a part that is not finished is removed.
    async fn write(
        self,
        mut batches: SendableRecordBatchStream,
        chunk: u64,
        attempt: Attempt,
    ) -> Result<Option<Part>> {
        let file = file_name(chunk, attempt);
        let written = self.encode(&mut batches, chunk, &file).await;
        if written.is_err() {
            self.staging.remove_part(&self.relation, &file);
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
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            if batch.num_rows() == 0 {
                continue;
            }
            let open = match &mut encoder {
                Some(open) => open,
                None => {
                    let output = self.staging.create_part(&self.relation, file)?;
                    encoder.insert(ParquetEncoder::new(
                        self.input.schema(),
                        self.compression,
                        Some(&batch),
                        output,
                    )?)
                }
            };
            open.write(&batch)?;
        }
        encoder.map(|encoder| finish(encoder, chunk, file.to_owned())).transpose()
    }
}

fn finish(encoder: ParquetEncoder, chunk: u64, file: String) -> Result<Part> {
    let (rows, bytes, sha256) = encoder.finish()?;
    Ok(Part { chunk, file, rows, bytes, sha256 })
}

fn file_name(chunk: u64, attempt: Attempt) -> String {
    format!("part-{chunk:05}-{}.parquet", attempt.0)
}

impl DisplayAs for PartWriter {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PartWriter: relation={}, format=parquet, compression={}",
            self.relation, self.compression
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
        let Self { staging, relation, compression, .. } = self.as_ref();
        Ok(Arc::new(Self::new(input, staging.clone(), relation.clone(), *compression)))
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
