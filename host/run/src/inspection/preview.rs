//! The first rows of a job's relations.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::FieldRef;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use longshore_engine::datafusion_fault::from_datafusion;
use longshore_engine::plan::{Planner, RelationPlan};
use longshore_engine::scan::{Lane, Slots};
use longshore_engine::transform::task_context;
use longshore_model::config::{Job, Settings};
use longshore_model::error::{Error, Result, ResultExt};
use longshore_plugins::PluginSet;
use longshore_values::text_column;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// The first rows of a relation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RelationPreview {
    /// The relation's name in the job.
    pub name: String,
    /// Its rows, in one batch at least.
    pub batches: Vec<RecordBatch>,
}

/// Reads the first rows of each relation of a job. What computes does so on `compute`.
pub async fn preview(
    job: &Job,
    rows: usize,
    plugins: Arc<PluginSet>,
    settings: &Settings,
    compute: &Handle,
) -> Result<Vec<RelationPreview>> {
    let planner = Planner { limit: Some(rows), ..Planner::new(plugins, settings) };
    let plan = planner.plan(job).await?;
    let mut previews = Vec::new();
    for relation in &plan.relations {
        let name = relation.relation.name.clone();
        let mut batches = first_rows(relation, compute).await.context(name.clone())?;
        if batches.is_empty() {
            batches.push(RecordBatch::new_empty(relation.physical.schema()));
        }
        previews.push(RelationPreview { name, batches });
    }
    plan.source.release().await;
    Ok(previews)
}

/// The rows of a relation that is planned for a look at it.
pub(crate) async fn first_rows(
    relation: &RelationPlan,
    compute: &Handle,
) -> Result<Vec<RecordBatch>> {
    let slots = Slots::new(Arc::new(Semaphore::new(1)), 1, relation.columns.len());
    let lane = Arc::new(Lane::new(Arc::new(slots)));
    let context = task_context(|config| config.with_extension(lane))?;
    let stream = relation.physical.execute(0, context).map_err(from_datafusion)?;
    let reading = compute.spawn(stream.try_collect::<Vec<RecordBatch>>());
    let batches = reading.await.map_err(|error| Error::internal(error.to_string()))?;
    batches.map_err(from_datafusion)
}

/// The rows of a batch as texts, with null for NULL.
pub fn rows_as_texts(batch: &RecordBatch) -> Result<Vec<Vec<Option<String>>>> {
    let unshowable = |error: ArrowError| Error::data(error.to_string());
    let options = FormatOptions::default();
    let fields = batch.schema_ref().fields().iter();
    let columns = fields.zip(batch.columns()).map(|(field, column)| shown_column(field, column));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(unshowable)?;
    let formatters = columns.iter().map(|column| ArrayFormatter::try_new(column, &options));
    let formatters = formatters.collect::<Result<Vec<_>, _>>().map_err(unshowable)?;
    let cell = |row: usize, index: usize| {
        let is_null = batch.column(index).is_null(row);
        (!is_null).then(|| formatters[index].value(row).to_string())
    };
    let row = |row: usize| (0..formatters.len()).map(|index| cell(row, index)).collect();
    Ok((0..batch.num_rows()).map(row).collect())
}

/// Dates and moments as the writers write them.
pub fn shown_column(field: &FieldRef, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if field.data_type().is_temporal() {
        Ok(text_column(field, column)?.unwrap_or_else(|| column.clone()))
    } else {
        Ok(column.clone())
    }
}
