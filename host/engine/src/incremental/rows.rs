//! The rows of a small query, as texts: what is asked of a source before a run is planned.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::ExecutionPlan;
use futures::TryStreamExt;
use longshore_model::error::{Error, Result};
use longshore_sandbox::{ChunkHints, Relation, Scan};
use tokio::sync::Semaphore;

use crate::datafusion_fault::from_datafusion;
use crate::scan::{ChunkScan, Lane, Slots, Source, chunk_rows};
use crate::transform::task_context;

/// An answer is one chunk.
const CHUNK_BYTES: u64 = 1 << 40;

/// A row as texts.
pub(super) type TextRow = Vec<Option<String>>;

/// Runs a query in the run's snapshot, if there is one; its rows as texts.
pub(super) async fn query(
    source: &Arc<dyn Source>,
    sql: String,
    snapshot: Option<&str>,
) -> Result<Vec<TextRow>> {
    let relation = Relation::Query(sql);
    let described = source.describe(&relation).await?;
    let snapshot = snapshot.map(str::to_owned);
    let scan = Scan { relation, projection: None, filter: None, limit: None, snapshot };
    let hints =
        ChunkHints { rows: None, bytes: CHUNK_BYTES, parallel: 1, max_chunks: 1, key: None };
    let planned = source.plan(&scan, &hints).await?;
    let columns = described.schema.fields().len();
    let input = chunk_rows(&planned.chunks)?;
    let reading = ChunkScan::new(input, source.clone(), Arc::new(scan), described.schema);
    let slots = Slots::new(Arc::new(Semaphore::new(1)), 1, columns);
    let lane = Arc::new(Lane::new(Arc::new(slots)));
    let context = task_context(|config| config.with_extension(lane))?;
    let batches = reading.execute(0, context).map_err(from_datafusion)?;
    let batches: Vec<RecordBatch> = batches.try_collect().await.map_err(from_datafusion)?;
    let rows = batches.iter().map(texts).collect::<Result<Vec<_>>>()?;
    Ok(rows.concat())
}

/// The first value of the first row.
pub(super) async fn value(
    source: &Arc<dyn Source>,
    sql: String,
    snapshot: Option<&str>,
) -> Result<Option<String>> {
    let rows = query(source, sql, snapshot).await?;
    Ok(rows.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
}

fn texts(batch: &RecordBatch) -> Result<Vec<TextRow>> {
    let columns = batch.columns().iter().map(|column| cast(column, &DataType::Utf8));
    let columns = columns
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| from_datafusion(DataFusionError::from(error)))?;
    let text = |column: &dyn Array, row: usize| {
        let texts = column.as_string_opt::<i32>();
        let texts = texts.ok_or_else(|| Error::internal("a column that is no text"))?;
        Ok(texts.is_valid(row).then(|| texts.value(row).to_owned()))
    };
    let row = |row| columns.iter().map(|column| text(column.as_ref(), row)).collect();
    (0..batch.num_rows()).map(row).collect()
}
