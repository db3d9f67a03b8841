//! `longshore preview JOB|PATH`: the first rows, as a table.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::sync::Semaphore;

use super::{App, show};
use crate::config::Job;
use crate::error::{Error, Result, ResultExt};
use crate::plan::Planner;
use crate::scan::{Lane, Slots};
use crate::transform::task_context;

pub(super) fn preview(app: &App, path: &Path, rows: usize) -> Result<()> {
    let is_parquet = path.is_dir() || path.extension().is_some_and(|ending| ending == "parquet");
    let previews = match is_parquet {
        true => vec![(path.display().to_string(), read_parquet(path, rows)?)],
        false => read_job(app, path, rows)?,
    };
    if app.json {
        let answer = previews
            .iter()
            .map(|(name, batches)| Ok((name.clone(), rows_as_json(batches)?)))
            .collect::<Result<serde_json::Map<_, _>>>()?;
        show::json(&answer);
        return Ok(());
    }
    for (name, batches) in previews {
        let table =
            pretty_format_batches(&batches).map_err(|error| Error::data(error.to_string()))?;
        show::answer(&format!("{name}\n{table}"));
    }
    Ok(())
}

fn read_job(app: &App, path: &Path, rows: usize) -> Result<Vec<(String, Vec<RecordBatch>)>> {
    let job = Job::read(path)?;
    let catalog = app.catalog()?;
    let planner = Planner { limit: Some(rows), ..Planner::new(&catalog, &app.settings) };
    app.io.block_on(async {
        let plan = planner.plan(&job).await?;
        let mut previews = Vec::new();
        for relation in &plan.relations {
            let slots = Slots::new(Arc::new(Semaphore::new(1)), 1, relation.columns.len());
            let lane = Arc::new(Lane::new(Arc::new(slots)));
            let context = task_context(|config| config.with_extension(lane))?;
            let name = relation.relation.name.clone();
            let stream = relation.physical.execute(0, context)?;
            // What computes does so on its own runtime.
            let reading = app.compute().spawn(stream.try_collect::<Vec<RecordBatch>>());
            let batches = reading.await.map_err(|error| Error::internal(error.to_string()))?;
            let mut batches = batches.context(name.clone())?;
            if batches.is_empty() {
                batches.push(RecordBatch::new_empty(relation.physical.schema()));
            }
            previews.push((name, batches));
        }
        plan.source.release().await;
        Ok(previews)
    })
}

fn read_parquet(path: &Path, rows: usize) -> Result<Vec<RecordBatch>> {
    let mut left = rows;
    let mut batches = Vec::new();
    for file in parquet_files(path)? {
        let place = file.display().to_string();
        let bad = |error: parquet::errors::ParquetError| Error::data(format!("{place}: {error}"));
        let open = File::open(&file).map_err(|error| Error::io(&place, error))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(open).map_err(bad)?;
        let reader = builder.with_limit(left).build().map_err(bad)?;
        for batch in reader {
            let batch = batch.map_err(|error| Error::data(format!("{place}: {error}")))?;
            left -= batch.num_rows();
            batches.push(batch);
        }
        if left == 0 {
            break;
        }
    }
    Ok(batches)
}

fn parquet_files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let listed = fs::read_dir(path).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut files: Vec<PathBuf> = listed
        .map_err(|error| Error::io(path.display(), error))?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "parquet"))
        .collect();
    files.sort();
    match files.is_empty() {
        true => Err(Error::not_found(format!("{}: no Parquet files there", path.display()))
            .with_hint("name a relation's folder, a Parquet file or a job file")),
        false => Ok(files),
    }
}

/// Rows as objects of texts: what the table shows.
fn rows_as_json(batches: &[RecordBatch]) -> Result<serde_json::Value> {
    use arrow::util::display::{ArrayFormatter, FormatOptions};
    let options = FormatOptions::default();
    let mut rows = Vec::new();
    for batch in batches {
        let formatters = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Error::data(error.to_string()))?;
        for row in 0..batch.num_rows() {
            let cell = |(index, formatter): (usize, &ArrayFormatter)| {
                let value = match batch.column(index).is_null(row) {
                    true => serde_json::Value::Null,
                    false => formatter.value(row).to_string().into(),
                };
                (batch.schema().field(index).name().clone(), value)
            };
            rows.push(serde_json::Value::Object(formatters.iter().enumerate().map(cell).collect()));
        }
    }
    Ok(rows.into())
}
