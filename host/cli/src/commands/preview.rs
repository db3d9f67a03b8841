//! `longshore preview JOB|FILES`: the first rows, as a table.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;
use longshore_engine::datafusion_fault::from_datafusion;
use longshore_engine::plan::Planner;
use longshore_engine::scan::{Lane, Slots};
use longshore_engine::transform::task_context;
use longshore_model::config::Job;
use longshore_model::config::document::DOCUMENT_LIMIT_BYTES;
use longshore_model::config::small_file::read_small_file;
use longshore_model::config::store_url::encoded_path;
use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::grant::shown;
use longshore_values::text_column;
use tokio::sync::Semaphore;

use super::params::ParamArgs;
use super::{App, show};

/// The longest value that is shown; `--json` shows all of it.
const CELL_LIMIT_CHARS: usize = 100;

/// The endings of job files; data in such a file is named by its URL.
const JOB_ENDINGS: [&str; 4] = ["yaml", "yml", "toml", "json"];

pub(super) fn preview(app: &App, what: &str, rows: usize, params: &ParamArgs) -> Result<()> {
    let job = match files_of(what)? {
        Some(url) => {
            params.refuse_any()?;
            Job::of_files(what, &url)?
        }
        None => params.read_job(app, Path::new(what))?,
    };
    let previews = read(app, &job, rows)?;
    if app.json {
        let answer = previews
            .iter()
            .map(|(name, batches)| Ok((name.clone(), rows_as_json(batches)?)))
            .collect::<Result<serde_json::Map<_, _>>>()?;
        show::json(&answer);
        return Ok(());
    }
    for (name, batches) in previews {
        let cells = batches.iter().map(cells).collect::<Result<Vec<_>>>()?;
        let table =
            pretty_format_batches(&cells).map_err(|error| Error::data(error.to_string()))?;
        show::answer(&format!("{name}\n{table}"));
    }
    Ok(())
}

/// Rows as a terminal can show them: long values cut, and nothing in them that would steer it.
fn cells(batch: &RecordBatch) -> Result<RecordBatch> {
    let unshowable = |error: ArrowError| Error::data(error.to_string());
    let column = |(field, column): (&FieldRef, &ArrayRef)| {
        let options = FormatOptions::default();
        let column = &shown_column(field, column)?;
        let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
        let cell =
            |row: usize| column.is_valid(row).then(|| cell(&formatter.value(row).to_string()));
        let cells: StringArray = (0..column.len()).map(cell).collect();
        let field = Field::new(shown(field.name()), DataType::Utf8, true);
        Ok((Arc::new(field), Arc::new(cells) as ArrayRef))
    };
    let columns = batch.schema_ref().fields().iter().zip(batch.columns()).map(column);
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(unshowable)?;
    let (fields, cells): (Vec<FieldRef>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let schema = Arc::new(Schema::new(fields));
    RecordBatch::try_new_with_options(schema, cells, &rows).map_err(unshowable)
}

/// Dates and moments as the writers write them.
fn shown_column(field: &FieldRef, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if field.data_type().is_temporal() {
        Ok(text_column(field, column)?.unwrap_or_else(|| column.clone()))
    } else {
        Ok(column.clone())
    }
}

fn cell(text: &str) -> String {
    let shown = shown(text);
    match shown.char_indices().nth(CELL_LIMIT_CHARS) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

/// The URL of files, if it is not a job that is named.
fn files_of(what: &str) -> Result<Option<String>> {
    if what.contains("://") {
        return Ok(Some(what.to_owned()));
    }
    let path = Path::new(what);
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if JOB_ENDINGS.contains(&ending) && !path.is_dir() && !holds_data(path, ending) {
        return Ok(None);
    }
    let whole = std::path::absolute(path).map_err(|error| Error::io(what, error))?;
    let whole = whole.to_str().ok_or_else(|| {
        Error::config(format!("{}: its path is not UTF-8", whole.display()))
            .with_hint("name it otherwise")
    })?;
    // A path is a name, unless only a pattern makes sense of it.
    if whole.contains(['*', '?', '[']) && !path.exists() {
        Ok(Some(format!("file://{}", whole.replace('%', "%25").replace('?', "%3F"))))
    } else {
        Ok(Some(format!("file://{}", encoded_path(whole))))
    }
}

/// JSON that is no job: rows, and not keys of which one is the source.
fn holds_data(path: &Path, ending: &str) -> bool {
    if ending != "json" {
        return false;
    }
    let text = read_small_file("the file", path, DOCUMENT_LIMIT_BYTES);
    // What is too large for a job is data.
    let Ok(text) = text else { return path.is_file() };
    match serde_json::from_slice::<serde_json::Value>(&text) {
        Ok(value) => !["source", "target"].iter().any(|key| value.get(key).is_some()),
        // A job is one value.
        Err(_) => {
            let lines = serde_json::Deserializer::from_slice(&text);
            let first: Vec<_> = lines.into_iter::<serde_json::Value>().take(2).collect();
            first.len() == 2 && first.iter().all(Result::is_ok)
        }
    }
}

fn read(app: &App, job: &Job, rows: usize) -> Result<Vec<(String, Vec<RecordBatch>)>> {
    app.io.block_on(async {
        let plugins = app.resolve(job).await?;
        let planner = Planner { limit: Some(rows), ..Planner::new(plugins, &app.settings) };
        let plan = planner.plan(job).await?;
        let mut previews = Vec::new();
        for relation in &plan.relations {
            let slots = Slots::new(Arc::new(Semaphore::new(1)), 1, relation.columns.len());
            let lane = Arc::new(Lane::new(Arc::new(slots)));
            let context = task_context(|config| config.with_extension(lane))?;
            let name = relation.relation.name.clone();
            let stream = relation.physical.execute(0, context).map_err(from_datafusion)?;
            // What computes does so on its own runtime.
            let reading = app.compute().spawn(stream.try_collect::<Vec<RecordBatch>>());
            let batches = reading.await.map_err(|error| Error::internal(error.to_string()))?;
            let mut batches = batches.map_err(from_datafusion).context(name.clone())?;
            if batches.is_empty() {
                batches.push(RecordBatch::new_empty(relation.physical.schema()));
            }
            previews.push((name, batches));
        }
        plan.source.release().await;
        Ok(previews)
    })
}

/// Rows as objects of texts: what the table shows.
fn rows_as_json(batches: &[RecordBatch]) -> Result<serde_json::Value> {
    let options = FormatOptions::default();
    let mut rows = Vec::new();
    for batch in batches {
        let fields = batch.schema_ref().fields().iter();
        let columns =
            fields.zip(batch.columns()).map(|(field, column)| shown_column(field, column));
        let columns = columns.collect::<Result<Vec<_>, _>>();
        let columns = columns.map_err(|error| Error::data(error.to_string()))?;
        let formatters = columns
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Error::data(error.to_string()))?;
        for row in 0..batch.num_rows() {
            let cell = |(index, formatter): (usize, &ArrayFormatter)| {
                let value = if batch.column(index).is_null(row) {
                    serde_json::Value::Null
                } else {
                    formatter.value(row).to_string().into()
                };
                (batch.schema().field(index).name().clone(), value)
            };
            rows.push(serde_json::Value::Object(formatters.iter().enumerate().map(cell).collect()));
        }
    }
    Ok(rows.into())
}
