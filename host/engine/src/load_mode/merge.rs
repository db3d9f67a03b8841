//! `merge`: a row that was read takes the place of the one with its key, or is added, or removes it. All other rows
//! stay.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;
use datafusion::common::runtime::SpawnedTask;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::{StreamExt, TryStreamExt};
use longshore_model::config::load::Merge;
use longshore_model::error::{Error, Result};

use super::bounds;
use super::changes::{Changes, Sole};
use super::existing::ExistingFiles;
use super::join::Join;
use super::mapped::{Map, mapped};
use super::output::{rows_of_part, write};
use super::parquet_table::from_plan;
use super::resolve::resolved;
use super::session::Session;
use super::stage::{LoadResult, LoadStage, RowCounts};
use crate::write::Parts;

/// Merges what was read.
pub async fn merge(stage: &LoadStage, merge: &Merge) -> Result<LoadResult> {
    let session = Session::new(&stage.scratch, stage.parallel)?;
    let existing = ExistingFiles::open(stage, &session).await?;
    let changes = Changes::collect(stage, &session, &Sole::of_merge(merge)).await?;
    if changes.rows == 0 {
        return existing.unchanged(stage).await;
    }
    let join = Join::of(&changes, &session);
    let predicate = bounds::within(&changes.bounds, &existing.table)?;
    let matches = join.matches(&session, &changes, &existing, predicate)?;
    let touched = files_with(&session, matches, join).await?;
    let counts = Arc::new(RowCounts::default());
    let files: Vec<usize> = touched.iter().copied().collect();
    let plan = join.full(&session, &changes, &existing, &files)?;
    let (schema, counting) = (stage.schema.clone(), counts.clone());
    let resolve: Map = Arc::new(move |rows| resolved(rows, schema.clone(), counting.clone()));
    let plan = mapped(plan, &stage.schema, resolve)?;
    let (replaced, kept_files) =
        (existing.replaced(&touched), (existing.files.len() - touched.len()) as u64);
    let rows = files.iter().map(|file| existing.rows[*file]).sum::<u64>() + changes.rows;
    let bytes = replaced.iter().map(|file| file.bytes).sum::<u64>() + changes.table.bytes();
    let mut parts = write(stage, &session, plan, rows_of_part(rows, bytes)).await?;
    if parts.is_empty() && kept_files == 0 {
        // Its columns stay known.
        parts.extend(stage.parts.write_empty(stage.schema.clone()).await?);
    }
    Ok(LoadResult { parts, replaced, kept_files, rows: counts.so_far() })
}

/// The files that the rows of a plan lie in; their last column is the number of the file.
pub(super) async fn files_with(
    session: &Session,
    plan: Arc<dyn ExecutionPlan>,
    join: Join,
) -> Result<BTreeSet<usize>> {
    let partitions = 0..plan.properties().partitioning.partition_count();
    let finding = partitions.map(|partition| {
        let rows = plan.execute(partition, session.context.clone());
        async move {
            let rows = rows.map_err(from_plan)?;
            let found = SpawnedTask::spawn(files_of(rows, join == Join::Lookup)).await;
            found.map_err(|error| Error::internal(error.to_string()))?
        }
    });
    let found: Vec<BTreeSet<usize>> =
        futures::stream::iter(finding).buffer_unordered(session.parallel).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// The files that rows lie in. All lie in one, where that `is_one`: the first tells it.
async fn files_of(mut rows: SendableRecordBatchStream, is_one: bool) -> Result<BTreeSet<usize>> {
    let mut found = BTreeSet::new();
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(from_plan)?;
        let numbers = batch.columns().last().map(|numbers| numbers.as_primitive::<UInt64Type>());
        let numbers = numbers.into_iter().flat_map(|numbers| numbers.values().iter());
        found.extend(numbers.map(|number| *number as usize));
        if is_one && !found.is_empty() {
            break;
        }
    }
    Ok(found)
}
