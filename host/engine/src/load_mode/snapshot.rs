//! `snapshot`: rows that are there and are no older than the oldest row that was read give way to those that were
//! read. Older rows stay.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, IsNullExpr, lit};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::TryStreamExt;
use longshore_model::config::load::Snapshot;
use longshore_model::error::{Error, Result};

use super::bounds::{Bounds, binary};
use super::changes::spread;
use super::existing::ExistingFiles;
use super::key::Key;
use super::mapped::{Map, mapped};
use super::output::{rows_of_part, write};
use super::parquet_table::{ParquetTable, from_plan};
use super::session::Session;
use super::stage::{LoadResult, LoadStage, RowChanges};
use crate::datafusion_fault::from_datafusion;

/// Loads what was read.
pub async fn snapshot(stage: &LoadStage, snapshot: &Snapshot) -> Result<LoadResult> {
    let session = Session::new(&stage.scratch, stage.parallel)?;
    let arrival = arrival(snapshot, &stage.schema)?;
    let existing = ExistingFiles::open(stage, &session).await?;
    let read = stage.read(&session)?;
    let inserted = stage.read.iter().map(|part| part.rows).sum();
    if inserted == 0 {
        return existing.unchanged(stage).await;
    }
    let least = least(&session, &read, arrival, &snapshot.arrival).await?;
    let going = going(&session, &existing, arrival, &least).await?;
    let touched: Vec<usize> = (0..going.len()).filter(|file| going[*file] > 0).collect();
    let mixed: Vec<usize> =
        touched.iter().copied().filter(|file| going[*file] < existing.rows[*file]).collect();
    let plan = after(&session, (&existing, &mixed), &read, (arrival, &least))?;
    let (replaced, deleted) = (existing.replaced(&touched), going.iter().sum());
    let rows = inserted + mixed.iter().map(|file| existing.rows[*file]).sum::<u64>();
    let bytes = read.bytes() + mixed.iter().map(|file| existing.files[*file].bytes).sum::<u64>();
    let schema = stage.schema.clone();
    let bare: Map = Arc::new(move |rows| without_number(rows, schema.clone()));
    let plan = mapped(plan, &stage.schema, bare)?;
    let parts = write(stage, &session, plan, rows_of_part(rows, bytes)).await?;
    let kept_files = (existing.files.len() - touched.len()) as u64;
    let rows = RowChanges { inserted, deleted, ..RowChanges::default() };
    Ok(LoadResult { parts, replaced, kept_files, rows })
}

/// The column of the arrival; refuses one whose values have no order.
pub(super) fn arrival(snapshot: &Snapshot, schema: &SchemaRef) -> Result<usize> {
    let name = std::slice::from_ref(&snapshot.arrival);
    let column = Key::of("snapshot.arrival", name, schema)?.columns[0];
    let data_type = schema.field(column).data_type();
    if data_type.is_temporal() || data_type.is_integer() {
        return Ok(column);
    }
    Err(Error::config(format!("`snapshot.arrival`: `{}` is {data_type}", snapshot.arrival))
        .with_hint("name a column of dates, timestamps or whole numbers"))
}

/// The earliest arrival of what was read.
async fn least(
    session: &Session,
    read: &ParquetTable,
    arrival: usize,
    name: &str,
) -> Result<ScalarValue> {
    let groups = spread(read.files().len(), 1);
    let plan = read.scan(groups, &[arrival], None)?;
    let mut rows = plan.execute(0, session.context.clone()).map_err(from_plan)?;
    let (mut nulls, data_type) = (0, read.schema.field(arrival).data_type());
    let mut bounds = Bounds::of(name, data_type)?.ok_or_else(|| Error::internal("no bounds"))?;
    while let Some(batch) = rows.try_next().await.map_err(from_plan)? {
        nulls += batch.column(0).null_count();
        bounds.add(batch.column(0))?;
    }
    match bounds.least() {
        Some(least) if nulls == 0 => Ok(least),
        _ => Err(Error::data(format!("the source has {nulls} rows whose `{name}` is NULL"))
            .with_hint("leave them out, or give them a value, in the query or an `sql` step")),
    }
}

/// How many rows of each file arrived at this value or later.
async fn going(
    session: &Session,
    existing: &ExistingFiles,
    arrival: usize,
    least: &ScalarValue,
) -> Result<Vec<u64>> {
    let groups: Vec<Vec<usize>> = (0..existing.files.len()).map(|file| vec![file]).collect();
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let name = existing.table.schema.field(arrival).name();
    let is_late = binary(existing.table.column(name)?, Operator::GtEq, lit(least.clone()));
    let scan = existing.table.scan(groups, &[arrival], Some(is_late))?;
    let is_late = binary(Arc::new(Column::new(name, 0)), Operator::GtEq, lit(least.clone()));
    let late = FilterExec::try_new(is_late, scan).map_err(from_datafusion)?;
    let counting = (0..existing.files.len()).map(|file| {
        let rows = late.execute(file, session.context.clone());
        async move {
            let count = |all, batch: RecordBatch| async move { Ok(all + batch.num_rows() as u64) };
            rows.map_err(from_plan)?.try_fold(0, count).await.map_err(from_plan)
        }
    });
    futures::StreamExt::buffered(futures::stream::iter(counting), session.parallel)
        .try_collect()
        .await
}

/// The older rows of files that have such, and all that was read.
fn after(
    session: &Session,
    (existing, mixed): (&ExistingFiles, &[usize]),
    read: &ParquetTable,
    (arrival, least): (usize, &ScalarValue),
) -> Result<Arc<dyn ExecutionPlan>> {
    let all: Vec<usize> = (0..read.schema.fields().len()).collect();
    let read = read.scan(spread(read.files().len(), session.parallel), &all, None)?;
    if mixed.is_empty() {
        return Ok(read);
    }
    let groups = mixed.iter().map(|file| vec![*file]).collect();
    let there = existing.table.scan(groups, &all, None)?;
    let column: Arc<dyn PhysicalExpr> =
        Arc::new(Column::new(existing.table.schema.field(arrival).name(), arrival));
    let is_older = binary(column.clone(), Operator::Lt, lit(least.clone()));
    let stays = binary(is_older, Operator::Or, Arc::new(IsNullExpr::new(column)));
    let older = Arc::new(FilterExec::try_new(stays, there).map_err(from_datafusion)?);
    UnionExec::try_new(vec![older, read]).map_err(from_datafusion)
}

/// Rows without the number of their file.
fn without_number(rows: SendableRecordBatchStream, schema: SchemaRef) -> SendableRecordBatchStream {
    let of = schema.clone();
    let bare = rows.and_then(move |batch| {
        let columns = batch.columns()[..of.fields().len()].to_vec();
        let bare = RecordBatch::try_new(of.clone(), columns);
        std::future::ready(bare.map_err(DataFusionError::from))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, bare))
}
