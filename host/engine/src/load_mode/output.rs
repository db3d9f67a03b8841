//! The new parts of a load, written as parts of chunks are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::common::runtime::SpawnedTask;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::{StreamExt, TryStreamExt};
use longshore_model::error::{Error, Result};
use longshore_model::part::Part;
use tokio::sync::Mutex;

use super::parquet_table::from_plan;
use super::session::Session;
use super::stage::LoadStage;
use crate::datafusion_fault::IntoDataFusion;
use crate::write::{Attempt, FileParts, Parts};

/// About how large a new part becomes.
const PART_BYTES: u64 = 256 << 20;

/// The rows of a part, where so many rows have so many bytes.
pub(super) fn rows_of_part(rows: u64, bytes: u64) -> u64 {
    let each = (bytes / rows.max(1)).max(1);
    (PART_BYTES / each).max(1)
}

/// Writes the rows of a plan, a few partitions at a time, into parts of at most about so many rows.
pub(super) async fn write(
    stage: &LoadStage,
    session: &Session,
    plan: Arc<dyn ExecutionPlan>,
    part_rows: u64,
) -> Result<Vec<Part>> {
    let number = Arc::new(AtomicU64::new(0));
    let partitions = 0..plan.properties().partitioning.partition_count();
    let writing = partitions.map(|partition| {
        let rows = plan.execute(partition, session.context.clone());
        let (parts, number) = (stage.parts.clone(), number.clone());
        async move {
            let rows = rows.map_err(from_plan)?;
            let written = SpawnedTask::spawn(write_parts(parts, rows, part_rows, number)).await;
            written.map_err(|error| Error::internal(error.to_string()))?
        }
    });
    let written: Vec<Vec<Part>> =
        futures::stream::iter(writing).buffer_unordered(session.parallel).try_collect().await?;
    let mut written = written.concat();
    written.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(written)
}

async fn write_parts(
    parts: Arc<FileParts>,
    rows: SendableRecordBatchStream,
    part_rows: u64,
    number: Arc<AtomicU64>,
) -> Result<Vec<Part>> {
    let schema = rows.schema();
    let rows = Arc::new(Mutex::new(rows.peekable()));
    let mut written = Vec::new();
    loop {
        let is_over = {
            let mut rows = rows.lock().await;
            std::pin::Pin::new(&mut *rows).peek().await.is_none()
        };
        if is_over {
            return Ok(written);
        }
        let source = rows.clone();
        let next = futures::stream::try_unfold(0, move |taken: u64| {
            let source = source.clone();
            async move {
                if taken >= part_rows {
                    return Ok(None);
                }
                let batch = source.lock().await.try_next().await;
                let batch = batch.map_err(|error| from_plan(error).external())?;
                Ok(batch.map(|batch| (taken + batch.num_rows() as u64, batch)).map(|(t, b)| (b, t)))
            }
        });
        let next = Box::pin(RecordBatchStreamAdapter::new(schema.clone(), next));
        let chunk = number.fetch_add(1, Ordering::Relaxed);
        written.extend(parts.write(next, chunk, Attempt(0), None).await?.parts);
    }
}
