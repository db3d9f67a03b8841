//! `ComponentTransform`: a plan node that sends each partition's batches through a transform in
//! the sandbox, one instance to a partition.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::StreamExt;
use tokio::sync::mpsc::Sender;

use crate::capability::Grant;
use crate::error::{Result, ResultExt};
use crate::plugin::TransformPlugin;
use crate::sandbox::Transformer;
use crate::scan::{IpcDecoder, IpcEncoder, decode_schema, encode_schema};

/// Batches that wait between the transform and what comes after it.
const BATCHES_AHEAD: usize = 1;

/// A transform of a run: the plugin, its config, its grant.
pub struct BoundTransform {
    /// The plugin.
    pub plugin: TransformPlugin,
    /// Its config, as it gets it.
    pub config: String,
    /// What it may touch.
    pub grant: Grant,
}

impl BoundTransform {
    async fn open(&self, input: &SchemaRef) -> Result<Transformer> {
        let name = &self.plugin.described.name;
        let schema = encode_schema(input)?;
        let component = &self.plugin.component;
        component
            .open(name, &self.config, self.grant.clone(), &schema)
            .await
            .context(format!("transform `{name}`"))
    }
}

impl fmt::Debug for BoundTransform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BoundTransform({})", self.plugin.described.name)
    }
}

/// Sends batches through a transform.
#[derive(Debug)]
pub struct ComponentTransform {
    input: Arc<dyn ExecutionPlan>,
    transform: Arc<BoundTransform>,
    properties: Arc<PlanProperties>,
}

impl ComponentTransform {
    /// Asks the transform what it makes of the input's schema.
    pub async fn open(
        input: Arc<dyn ExecutionPlan>,
        transform: Arc<BoundTransform>,
    ) -> Result<Self> {
        let mut transformer = transform.open(&input.schema()).await?;
        let schema = decode_schema(transformer.output_schema().await?)?;
        Ok(Self::new(input, transform, schema))
    }

    fn new(
        input: Arc<dyn ExecutionPlan>,
        transform: Arc<BoundTransform>,
        schema: SchemaRef,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(input.properties().partitioning.partition_count()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { input, transform, properties: Arc::new(properties) }
    }
}

impl DisplayAs for ComponentTransform {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ComponentTransform: plugin={}", self.transform.plugin.described.name)
    }
}

impl ExecutionPlan for ComponentTransform {
    fn name(&self) -> &str {
        "ComponentTransform"
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
            .map_err(|_| DataFusionError::Internal("ComponentTransform has one input".into()))?;
        Ok(Arc::new(Self::new(input, self.transform.clone(), self.schema())))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let mut stream = RecordBatchReceiverStream::builder(self.schema(), BATCHES_AHEAD);
        let (transform, schema, batches) = (self.transform.clone(), self.schema(), stream.tx());
        stream.spawn(async move {
            let name = transform.plugin.described.name.clone();
            let done = run(&transform, input, schema, batches).await;
            Ok(done.context(format!("transform `{name}`"))?)
        });
        Ok(stream.build())
    }
}

async fn run(
    transform: &BoundTransform,
    mut input: SendableRecordBatchStream,
    schema: SchemaRef,
    batches: Sender<DfResult<RecordBatch>>,
) -> Result<()> {
    let mut transformer = transform.open(&input.schema()).await?;
    let mut encoder = IpcEncoder::new(&input.schema())?;
    let mut decoder = IpcDecoder::new(schema);
    while let Some(batch) = input.next().await {
        let pieces = encoder.encode(&batch?)?;
        for batch in decoder.push(transformer.process(&pieces).await?)? {
            if batches.send(Ok(batch)).await.is_err() {
                return Ok(());
            }
        }
    }
    let mut last = decoder.push(transformer.finish().await?)?;
    last.extend(decoder.finish()?);
    for batch in last {
        if batches.send(Ok(batch)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}
