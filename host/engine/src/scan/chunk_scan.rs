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
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use futures::StreamExt;
use longshore_model::error::{Error, Result};
use longshore_model::memory::{Account, memory};
use longshore_sandbox::tape::Tapes;
use longshore_sandbox::{OdbcReading, Scan};
use tokio::sync::mpsc::Sender;

use super::chunk::{Chunk, ReadBy, open};
use super::component::ComponentSource;
use super::files::FileSource;
use super::odbc::SESSION_ESTIMATE_BYTES;
use super::slots::Lane;
use super::source::Source;
use crate::batch::batch_bytes;
use crate::datafusion_fault::{IntoDataFusion, from_datafusion};
use crate::ipc::{IpcDecoder, ReadLimits, lazy_stream};

/// Batches that wait between reading and what comes after it.
const BATCHES_AHEAD: usize = 2;

/// Of batches that are larger, none waits: the next is read when this one is taken.
const WAITING_BATCH_LIMIT_BYTES: usize = 4 << 20;

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
    source: Arc<Source>,
    scan: Arc<Scan>,
    properties: Arc<PlanProperties>,
}

impl ChunkScan {
    /// Reads the chunks that `input` describes; their rows are of `schema`.
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        source: Arc<Source>,
        scan: Arc<Scan>,
        schema: SchemaRef,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(input.properties().partitioning.partition_count()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { input, source, scan, properties: Arc::new(properties) }
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
        let [input] = <[_; 1]>::try_from(children)
            .map_err(|_| DataFusionError::Internal("ChunkScan has one input".into()))?;
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
        let begin = move || {
            // A task of its own: the next batch is read while the one before is worked on.
            let mut stream = RecordBatchReceiverStream::builder(schema.clone(), BATCHES_AHEAD);
            let reading = Reading { source, scan, schema, lane, tapes, batches: stream.tx() };
            stream
                .spawn(async move { reading.read_all(descriptors).await.map_err(Error::external) });
            stream.build()
        };
        Ok(lazy_stream(self.schema(), begin))
    }
}

struct Reading {
    source: Arc<Source>,
    scan: Arc<Scan>,
    schema: SchemaRef,
    lane: Arc<Lane>,
    tapes: Option<Arc<Tapes>>,
    batches: Sender<DfResult<RecordBatch>>,
}

impl Reading {
    async fn read_all(self, mut descriptors: SendableRecordBatchStream) -> Result<()> {
        while let Some(rows) = descriptors.next().await {
            let rows = rows.map_err(from_datafusion)?;
            let column = rows.column(1).as_any().downcast_ref::<BinaryArray>();
            let column =
                column.ok_or_else(|| Error::internal("ChunkScan's input holds no descriptors"))?;
            for descriptor in column.iter().flatten() {
                if !self.read(descriptor).await? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Reads one chunk; false when nobody wants more.
    async fn read(&self, descriptor: &[u8]) -> Result<bool> {
        let _slot = self.lane.take().await?;
        let mut held = memory().account();
        match &*self.source {
            Source::Component(source, _) => match open(descriptor)? {
                ReadBy::Component(own) => self.read_component(source, &own, &mut held).await,
                ReadBy::Odbc(reading) => self.read_odbc(source, &reading, &mut held).await,
                ReadBy::Files(own) => {
                    let files = self.source.files_of(&self.scan.relation)?;
                    self.read_files(&files, &own, &mut held).await
                }
            },
            Source::Files(source) => self.read_files(source, descriptor, &mut held).await,
        }
    }

    async fn read_files(
        &self,
        source: &FileSource,
        descriptor: &[u8],
        held: &mut Account,
    ) -> Result<bool> {
        let (mut rows, bytes) = source.read(&self.scan, descriptor, &self.schema).await?;
        let mut beside = memory().account();
        beside.set(usize::try_from(bytes).unwrap_or(usize::MAX));
        self.lane.beside(bytes);
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let bytes = batch_bytes(&batch);
            if !self.hand_on(batch, bytes, held).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn read_component(
        &self,
        source: &ComponentSource,
        descriptor: &[u8],
        held: &mut Account,
    ) -> Result<bool> {
        let tapes = self.tapes.as_deref();
        let reading = source.read(&self.scan, descriptor, &self.schema, tapes);
        let (mut reader, _lent) = reading.await?;
        // What came of looking at what the plugin sent: an error may hold its words.
        let told = |error: Error| error.told(|text| source.grant().clean(text));
        let mut decoder = IpcDecoder::new(self.schema.clone());
        let mut limits = ReadLimits::new(source.limits());
        let mut had_large_batches = false;
        while let Some(pieces) = reader.next().await? {
            limits.call()?;
            self.lane.beside(reader.usage().memory_bytes);
            for batch in decoder.push(pieces).map_err(told)? {
                let bytes = limits.batch(&batch)?;
                had_large_batches |= bytes > WAITING_BATCH_LIMIT_BYTES;
                if !self.hand_on(batch, bytes, held).await? {
                    return Ok(false);
                }
            }
        }
        if let Some(batch) = decoder.finish().map_err(told)? {
            let bytes = limits.batch(&batch)?;
            had_large_batches |= bytes > WAITING_BATCH_LIMIT_BYTES;
            if !self.hand_on(batch, bytes, held).await? {
                return Ok(false);
            }
        }
        source.take_back(reader.close().await?, tapes, had_large_batches).await;
        Ok(true)
    }

    async fn read_odbc(
        &self,
        source: &ComponentSource,
        reading: &OdbcReading,
        held: &mut Account,
    ) -> Result<bool> {
        let told = |error: Error| error.told(|text| source.grant().clean(text));
        let mut beside = memory().account();
        beside.set(SESSION_ESTIMATE_BYTES);
        let mut rows = source.read_odbc(reading, &self.schema).await.map_err(told)?;
        while let Some(batches) = rows.next().await.map_err(told)? {
            for batch in batches {
                let bytes = batch_bytes(&batch);
                if !self.hand_on(batch, bytes, held).await? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Hands a batch of so many bytes on; false when nobody wants it.
    async fn hand_on(&self, batch: RecordBatch, bytes: usize, held: &mut Account) -> Result<bool> {
        let waits = bytes <= WAITING_BATCH_LIMIT_BYTES;
        // This one, those that wait behind it, and the one that is worked on.
        held.set(bytes * if waits { BATCHES_AHEAD + 2 } else { 2 });
        self.lane.count(batch.num_rows(), bytes);
        let is_wanted = self.batches.send(Ok(batch)).await.is_ok();
        if !waits {
            // All places are free again when it is taken.
            let _ = self.batches.reserve_many(self.batches.max_capacity()).await;
        }
        Ok(is_wanted)
    }
}
