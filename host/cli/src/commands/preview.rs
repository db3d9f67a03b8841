//! `longshore preview JOB|FILES`: the first rows, as a table, or as Arrow for programs.

use std::io::{Write, stdout};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches;
use clap::ValueEnum;
use longshore_model::config::Job;
use longshore_model::config::document::DOCUMENT_LIMIT_BYTES;
use longshore_model::config::place::Side;
use longshore_model::config::plain_path::{is_url, to_url};
use longshore_model::config::small_file::read_small_file;
use longshore_model::error::{Error, Result};
use longshore_model::grant::shown;
use longshore_run::inspection::{RelationPreview, rows_as_texts, shown_column};
use serde_json::json;

use super::params::ParamArgs;
use super::{App, show, stdin_job};

/// The longest value that is shown; `--json` shows all of it.
const CELL_LIMIT_CHARS: usize = 100;

/// The endings of job files; data in such a file is named by its URL.
const JOB_ENDINGS: [&str; 4] = ["yaml", "yml", "toml", "json"];

/// What a stream's metadata calls its relation.
const RELATION_KEY: &str = "longshore.relation";

/// How rows are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// A table for people; `--json` shows its texts
    #[default]
    Table,
    /// For programs: a stream of Arrow IPC for each relation, one after the other. Its metadata has the relation's
    /// name as `longshore.relation`
    Arrow,
}

pub(super) fn preview(
    app: &App,
    what: &str,
    rows: usize,
    form: Form,
    params: &ParamArgs,
) -> Result<()> {
    let job = match files_of(what)? {
        Some(url) => {
            params.refuse_any()?;
            Job::of_files(what, &url)?
        }
        None => params.read_job(app, Path::new(what))?,
    };
    let previews = app.io.block_on(app.host.preview(&job, rows))?;
    if form == Form::Arrow {
        return previews.iter().try_for_each(write_arrow);
    }
    if app.json {
        let answer = previews
            .iter()
            .map(|preview| Ok((preview.name.clone(), rows_as_json(&preview.batches)?)))
            .collect::<Result<serde_json::Map<_, _>>>()?;
        show::json(&answer);
        return Ok(());
    }
    for RelationPreview { name, batches, .. } in previews {
        let cells = batches.iter().map(cells).collect::<Result<Vec<_>>>()?;
        let table =
            pretty_format_batches(&cells).map_err(|error| Error::data(error.to_string()))?;
        show::answer(&format!("{name}\n{table}"));
    }
    Ok(())
}

/// A stream of its own, with the types that the rows have.
fn write_arrow(preview: &RelationPreview) -> Result<()> {
    let Some(first) = preview.batches.first() else { return Ok(()) };
    let schema = first.schema();
    let mut metadata = schema.metadata().clone();
    metadata.insert(RELATION_KEY.into(), preview.name.clone());
    let named = Arc::new(Schema::new_with_metadata(schema.fields().clone(), metadata));
    let fault = |error: ArrowError| match error {
        ArrowError::IoError(_, error) => Error::io("standard output", error),
        other => Error::data(other.to_string()),
    };
    let mut stream = StreamWriter::try_new_buffered(stdout().lock(), &named).map_err(fault)?;
    for batch in &preview.batches {
        stream.write(&batch.clone().with_schema(named.clone()).map_err(fault)?).map_err(fault)?;
    }
    stream.finish().map_err(fault)?;
    stream.get_mut().flush().map_err(|error| Error::io("standard output", error))
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

fn cell(text: &str) -> String {
    let shown = shown(text);
    match shown.char_indices().nth(CELL_LIMIT_CHARS) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

/// The URL of files, if it is not a job that is named.
fn files_of(what: &str) -> Result<Option<String>> {
    if is_url(what) {
        return Ok(Some(what.to_owned()));
    }
    let path = Path::new(what);
    if stdin_job::is_stdin(path) {
        return Ok(None);
    }
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if JOB_ENDINGS.contains(&ending) && !path.is_dir() && !holds_data(path, ending) {
        return Ok(None);
    }
    to_url("FILES", what, Path::new("."), Side::Source).map(Some)
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
        // A job is one object.
        Err(_) if text.trim_ascii_start().starts_with(b"[") => true,
        Err(_) => {
            let lines = serde_json::Deserializer::from_slice(&text);
            let first: Vec<_> = lines.into_iter::<serde_json::Value>().take(2).collect();
            first.len() == 2 && first.iter().all(Result::is_ok)
        }
    }
}

/// Rows as objects of texts: what the table shows.
fn rows_as_json(batches: &[RecordBatch]) -> Result<serde_json::Value> {
    let mut rows = Vec::new();
    for batch in batches {
        let schema = batch.schema();
        for texts in rows_as_texts(batch)? {
            let cells = schema.fields().iter().zip(texts);
            let cells = cells.map(|(field, text)| (field.name().clone(), json!(text)));
            rows.push(serde_json::Value::Object(cells.collect()));
        }
    }
    Ok(rows.into())
}
