//! `ChunkScan`: a plan node that turns chunk descriptors into their rows.
//!
//! Its input is a table of descriptors, one row to a partition: chunks travel as data, so that a
//! plan can be cut into tasks wherever it runs.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::StreamExt;
use longshore_model::config::settings::cores;
use longshore_model::error::{Error, Result};
use longshore_sandbox::Scan;
use longshore_sandbox::tape::Tapes;
use tokio::sync::mpsc::Sender;

use super::batch_sender::{BATCHES_AHEAD, BatchSender};
use super::chunk::Chunk;
use super::own_thread::READERS;
use super::slots::Lane;
use super::source::{ChunkRead, Source};
use crate::datafusion_fault::{IntoDataFusion, from_datafusion};
use crate::ipc::lazy_stream;
use crate::plan_node::{node_properties, only_child, partitions};

/// A table of chunk descriptors, one row to a partition.
pub fn chunk_rows(chunks: &[Chunk]) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("chunk", DataType::UInt64, false),
        Field::new("descriptor", DataType::Binary, false),
    ]));
    let row = |(index, chunk): (usize, &Chunk)| {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(vec![index as u64])),
            Arc::new(BinaryArray::from(vec![chunk.descriptor.as_slice()])),
        ];
        Ok(vec![RecordBatch::try_new(schema.clone(), columns).map_err(DataFusionError::from)?])
    };
    let mut partitions = chunks
        .iter()
        .enumerate()
        .map(row)
        .collect::<DfResult<Vec<_>>>()
        .map_err(from_datafusion)?;
    if partitions.is_empty() {
        // A relation without chunks still is a relation: one partition without rows.
        partitions.push(Vec::new());
    }
    Ok(MemorySourceConfig::try_new_exec(&partitions, schema.clone(), None)
        .map_err(from_datafusion)?)
}

/// Reads chunks.
#[derive(Debug)]
pub struct ChunkScan {
    input: Arc<dyn ExecutionPlan>,
    source: Arc<dyn Source>,
    scan: Arc<Scan>,
    properties: Arc<PlanProperties>,
}

impl ChunkScan {
    /// Reads the chunks that `input` describes; their rows are of `schema`.
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        source: Arc<dyn Source>,
        scan: Arc<Scan>,
        schema: SchemaRef,
    ) -> Self {
        let properties = node_properties(schema, partitions(&*input), EmissionType::Incremental);
        Self { input, source, scan, properties }
    }
}

impl DisplayAs for ChunkScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chunks = self.properties.partitioning.partition_count();
        write!(f, "ChunkScan: source={}, chunks={chunks}", self.source.name())?;
        if let Some(filter) = &self.scan.filter {
            write!(f, ", filter={filter}")?;
        }
        match self.scan.limit {
            Some(limit) => write!(f, ", limit={limit}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for ChunkScan {
    fn name(&self) -> &str {
        "ChunkScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    /// Never: the input's partitions are the chunks.
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
        let (source, scan) = (self.source.clone(), self.scan.clone());
        Ok(Arc::new(Self::new(input, source, scan, self.schema())))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let lane = context
            .session_config()
            .get_extension::<Lane>()
            .ok_or_else(|| DataFusionError::Internal("ChunkScan runs without a lane".into()))?;
        let tapes = context.session_config().get_extension::<Tapes>();
        let descriptors = self.input.execute(partition, context)?;
        let (source, scan, schema) = (self.source.clone(), self.scan.clone(), self.schema());
        let leaves_cores_idle = self.properties.partitioning.partition_count() < cores();
        let begin = move || {
            let mut stream = RecordBatchReceiverStream::builder(schema.clone(), BATCHES_AHEAD);
            let reader =
                PartitionReader { source, scan, schema, lane, tapes, batches: stream.tx() };
            // The next batch is read while the one before is worked on.
            let reading = reader.read_until_unwanted(descriptors);
            match leaves_cores_idle.then(|| READERS.claim()).flatten() {
                Some(thread) => stream.spawn_blocking(move || thread.block_on(reading)),
                None => stream.spawn(reading),
            }
            stream.build()
        };
        Ok(lazy_stream(self.schema(), begin))
    }
}

/// Reads the chunks of one partition.
struct PartitionReader {
    source: Arc<dyn Source>,
    scan: Arc<Scan>,
    schema: SchemaRef,
    lane: Arc<Lane>,
    tapes: Option<Arc<Tapes>>,
    batches: Sender<DfResult<RecordBatch>>,
}

impl PartitionReader {
    async fn read_until_unwanted(self, descriptors: SendableRecordBatchStream) -> DfResult<()> {
        let batches = self.batches.clone();
        tokio::select! {
            done = self.read_all(descriptors) => done.map_err(Error::external),
            () = batches.closed() => Ok(()),
        }
    }

    async fn read_all(self, mut descriptors: SendableRecordBatchStream) -> Result<()> {
        while let Some(rows) = descriptors.next().await {
            let rows = rows.map_err(from_datafusion)?;
            let column = rows.column(1).as_any().downcast_ref::<BinaryArray>();
            let column =
                column.ok_or_else(|| Error::internal("ChunkScan's input holds no descriptors"))?;
            for descriptor in column.iter().flatten() {
                self.read(descriptor).await?;
                if self.batches.is_closed() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn read(&self, descriptor: &[u8]) -> Result<()> {
        let _slot = self.lane.take().await?;
        let Self { source, scan, schema, tapes, .. } = self;
        let mut batches = BatchSender::new(self.lane.clone(), self.batches.clone());
        let chunk = ChunkRead { scan, descriptor, schema, tapes: tapes.as_deref() };
        source.read(chunk, &mut batches).await
    }
}
