//! `ComponentTransform`: a plan node that sends each partition's batches through a transform in
//! the sandbox, one instance to a partition.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result as DfResult;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::StreamExt;
use longshore_model::error::{Result, ResultExt};
use longshore_model::memory::memory;
use longshore_plugins::Bound;
use longshore_sandbox::capability::HostEnv;
use longshore_sandbox::capability::tape::Recorder;
use longshore_sandbox::tape::{Script, Tapes};
use longshore_sandbox::{Transform, Transformer};
use tokio::sync::mpsc::Sender;

use super::open_transform::OpenTransform;
use super::schemas::TransformSchemas;
use crate::batch::batch_bytes;
use crate::datafusion_fault::{IntoDataFusion, from_datafusion};
use crate::ipc::{ReadLimits, encode_schema, lazy_stream};
use crate::lineage::{ColumnLineage, Kind, Transformation};
use crate::plan_node::{node_properties, only_child, partitions};

/// The transform whose columns hide those of the same name that they are made of.
const MASK: &str = "mask";

/// Batches that wait between the transform and what comes after it.
const BATCHES_AHEAD: usize = 1;

async fn open(
    transform: &Bound<Transform>,
    input: &SchemaRef,
    recorder: Option<Recorder>,
) -> Result<Transformer> {
    let Bound { component, config, grant, .. } = transform;
    let (schema, env) = (encode_schema(input)?, HostEnv::recorded(grant.clone(), recorder));
    let opened = component.open(transform.name(), config, env, &schema).await;
    opened.context(title(transform))
}

/// The name of a transform in errors.
fn title(transform: &Bound<Transform>) -> String {
    format!("transform `{}`", transform.name())
}

/// The tape of an instance, if the attempt is recorded.
fn record(
    transform: &Bound<Transform>,
    input: &SchemaRef,
    schemas: &TransformSchemas,
    tapes: Option<&Tapes>,
) -> Result<Option<Recorder>> {
    let Some(tapes) = tapes else { return Ok(None) };
    let script = Script::Transform {
        config: serde_json::from_str(&transform.config)?,
        input: encode_schema(input)?,
        output: encode_schema(&schemas.output)?,
        mapping: schemas.mapping.clone(),
    };
    Ok(tapes.record(transform.plugin.label(), &transform.grant, script))
}

/// Sends batches through a transform.
#[derive(Debug)]
pub struct ComponentTransform {
    input: Arc<dyn ExecutionPlan>,
    transform: Arc<Bound<Transform>>,
    schemas: Arc<TransformSchemas>,
    properties: Arc<PlanProperties>,
}

impl ComponentTransform {
    /// Asks the transform what it makes of the input's schema, and of which columns.
    pub async fn open(
        input: Arc<dyn ExecutionPlan>,
        transform: Arc<Bound<Transform>>,
    ) -> Result<Self> {
        let mut transformer = open(&transform, &input.schema(), None).await?;
        let schemas = TransformSchemas::ask(&mut transformer, &input.schema()).await;
        let schemas = transform.cleaned(schemas).context(title(&transform))?;
        Ok(Self::new(input, transform, Arc::new(schemas)))
    }

    /// The lineage of what comes out, by that of what comes in.
    pub fn lineage(&self, input: &ColumnLineage) -> ColumnLineage {
        if self.transform.name() == MASK {
            self.schemas.lineage_in_place(&self.input.schema(), input, Transformation::MASK)
        } else {
            self.schemas.lineage(input, Kind::Transformation.into())
        }
    }

    fn new(
        input: Arc<dyn ExecutionPlan>,
        transform: Arc<Bound<Transform>>,
        schemas: Arc<TransformSchemas>,
    ) -> Self {
        let properties =
            node_properties(schemas.output.clone(), partitions(&*input), EmissionType::Incremental);
        Self { input, transform, schemas, properties }
    }
}

impl DisplayAs for ComponentTransform {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ComponentTransform: plugin={}", self.transform.name())
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
        let input = only_child(self.name(), children)?;
        Ok(Arc::new(Self::new(input, self.transform.clone(), self.schemas.clone())))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let tapes = context.session_config().get_extension::<Tapes>();
        let input = self.input.execute(partition, context)?;
        let (transform, schemas) = (self.transform.clone(), self.schemas.clone());
        let begin = move || {
            let schema = schemas.output.clone();
            let mut stream = RecordBatchReceiverStream::builder(schema, BATCHES_AHEAD);
            let batches = stream.tx();
            stream.spawn(async move {
                let done = run(&transform, &schemas, input, batches, tapes.as_deref()).await;
                done.context(title(&transform)).map_err(IntoDataFusion::external)
            });
            stream.build()
        };
        Ok(lazy_stream(self.schema(), begin))
    }
}

async fn run(
    transform: &Bound<Transform>,
    schemas: &TransformSchemas,
    mut input: SendableRecordBatchStream,
    batches: Sender<DfResult<RecordBatch>>,
    tapes: Option<&Tapes>,
) -> Result<()> {
    let recorder = record(transform, &input.schema(), schemas, tapes)?;
    let transformer = open(transform, &input.schema(), recorder).await?;
    let mut opened = OpenTransform::new(transformer, schemas.clone())?;
    let mut pace = ReadLimits::new(transform.component.limits());
    let mut held = memory().account();
    let mut is_whole = false;
    while !is_whole {
        let made = match input.next().await {
            Some(batch) => opened.process(&batch.map_err(from_datafusion)?).await,
            None => {
                is_whole = true;
                opened.finish().await
            }
        };
        let made = transform.cleaned(made)?;
        held.set(made.iter().map(batch_bytes).sum());
        for batch in made {
            pace.batch(&batch)?;
            if batches.send(Ok(batch)).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}
