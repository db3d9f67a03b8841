//! Jobs as texts: validate them, plan them, preview them, and ask their sources.

use std::collections::BTreeMap;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use longshore_model::config::{Arguments, Job};
use longshore_model::error::{Error, Result};
use longshore_plugins::{PluginSet, Resolver};
use longshore_run::inspection::{
    self, ConnectionTest, RelationPreview, Validation, plan_json, rows_as_texts,
};
use longshore_run::known_load_state;
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

use super::answer::{Answer, ApiError, ErrorBody, Json};
use super::extract::{JobBody, Names, Params};
use super::limits::PREVIEW_LIMIT_ROWS;
use super::schedules::no_standing_jobs;
use super::state::SharedState;

/// The rows of a preview, unless told.
const PREVIEWED_ROWS: usize = 20;

/// What a job that is sent as a text is called.
const NAME: &str = "job";

/// What the query calls a parameter of the job.
const PARAMETER: &str = "param.";

/// What the query calls the rows of a preview.
const ROWS: &str = "rows";

/// Whether a job is valid.
#[derive(Serialize, JsonSchema)]
pub(super) struct ValidateAnswer {
    valid: bool,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<JobError>,
    /// What its author should look at.
    warnings: Vec<String>,
}

/// What is wrong with a job, and where.
#[derive(Serialize, JsonSchema)]
struct JobError {
    #[serde(flatten)]
    error: ErrorBody,
    /// The line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    /// The column, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u64>,
}

/// How much is previewed.
#[derive(Deserialize, JsonSchema)]
pub(super) struct PreviewQuery {
    /// The rows of each relation.
    #[schemars(range(min = 1, max = 1000))]
    rows: Option<usize>,
}

/// The first rows of a job's relations.
#[derive(Serialize, JsonSchema)]
pub(super) struct PreviewAnswer {
    relations: Vec<PreviewedRelation>,
}

/// The first rows of a relation.
#[derive(Serialize, JsonSchema)]
struct PreviewedRelation {
    name: String,
    columns: Vec<PreviewedColumn>,
    /// The values as texts; null for NULL.
    rows: Vec<Vec<Option<String>>>,
}

/// A column of a preview.
#[derive(Serialize, JsonSchema)]
struct PreviewedColumn {
    name: String,
    r#type: String,
}

/// What a job's source, target and catalog have answered.
#[derive(Serialize, JsonSchema)]
pub(super) struct ConnectionAnswer {
    ok: bool,
    source: String,
    target: String,
    register: Option<String>,
    /// What can be read at the source.
    relations: Vec<String>,
}

pub(super) async fn validate(
    State(state): State<SharedState>,
    JobValues(values): JobValues,
    body: JobBody,
) -> Answer<ValidateAnswer> {
    let check = move |state: SharedState| async move {
        let job = match read(&state, &body, values) {
            Ok(job) => job,
            Err(error) => return Ok(ValidateAnswer::of(Vec::new(), Some(error))),
        };
        let (settings, catalog) = (state.settings(), state.plugins.serving());
        let Validation { faults, .. } = inspection::validate_with(&job, &catalog, &settings).await;
        Ok(ValidateAnswer::of(job.warnings, Error::all(faults).err()))
    };
    Ok(Json(state.inspect(check).await?))
}

pub(super) async fn plan(
    State(state): State<SharedState>,
    JobValues(values): JobValues,
    body: JobBody,
) -> Answer<Value> {
    let plan = move |state: SharedState| async move {
        let (job, settings) = (read(&state, &body, values)?, state.settings());
        let loads = known_load_state(&state.ledger, &job)?;
        let plan = inspection::plan(&job, resolve(&state, &job).await?, &settings, loads).await?;
        let there = inspection::existing_files(&job, &settings).await?;
        Ok(plan_json(&job, &plan, &there))
    };
    Ok(Json(state.inspect(plan).await?))
}

pub(super) async fn preview(
    State(state): State<SharedState>,
    Params(PreviewQuery { rows }): Params<PreviewQuery>,
    JobValues(values): JobValues,
    body: JobBody,
) -> Answer<PreviewAnswer> {
    let rows = rows.unwrap_or(PREVIEWED_ROWS);
    if rows == 0 || rows > PREVIEW_LIMIT_ROWS {
        let message = format!("`rows` is not from 1 to {PREVIEW_LIMIT_ROWS}");
        return Err(ApiError::bad_request(message));
    }
    let preview = move |state: SharedState| async move {
        let (job, settings) = (read(&state, &body, values)?, state.settings());
        let plugins = resolve(&state, &job).await?;
        let previews = inspection::preview(&job, rows, plugins, &settings, &state.compute).await?;
        previews.into_iter().map(PreviewedRelation::of).collect::<Result<Vec<_>>>()
    };
    Ok(Json(PreviewAnswer { relations: state.inspect(preview).await? }))
}

pub(super) async fn test(
    State(state): State<SharedState>,
    JobValues(values): JobValues,
    body: JobBody,
) -> Answer<ConnectionAnswer> {
    let test = move |state: SharedState| async move {
        let job = read(&state, &body, values)?;
        ConnectionAnswer::of(&state, &job).await
    };
    Ok(Json(state.inspect(test).await?))
}

pub(super) async fn test_standing(
    State(state): State<SharedState>,
    Names(name): Names<String>,
) -> Answer<ConnectionAnswer> {
    let test = move |state: SharedState| async move {
        let schedules = state.schedules.as_ref().ok_or_else(no_standing_jobs)?;
        let job = schedules.job(&name)?;
        ConnectionAnswer::of(&state, &job).await
    };
    Ok(Json(state.inspect(test).await?))
}

impl ConnectionAnswer {
    async fn of(state: &SharedState, job: &Job) -> Result<Self> {
        let plugins = resolve(state, job).await?;
        let found = inspection::test_connection(job, plugins, &state.settings()).await?;
        let ConnectionTest { source, target, register, relations, .. } = found;
        Ok(Self { ok: true, source, target, register, relations })
    }
}

/// Reads a job that would lie in the inbox.
fn read(state: &SharedState, body: &JobBody, values: BTreeMap<String, Value>) -> Result<Job> {
    let (arguments, policy) = (Arguments::of_request(values), state.settings().policy);
    let name = format!("{NAME}.{}", body.ending);
    Job::of_text(&body.text, &name, &state.inbox, &arguments, &policy)
}

async fn resolve(state: &SharedState, job: &Job) -> Result<Arc<PluginSet>> {
    let (settings, catalog) = (state.settings(), state.plugins.serving());
    Resolver::new(&catalog, &settings).resolve(job).await.map(Arc::new)
}

/// The values of a job's parameters, out of a query.
pub(super) struct JobValues(BTreeMap<String, Value>);

impl<S: Send + Sync> FromRequestParts<S> for JobValues {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // Only a preview has rows.
        let is_preview = parts.uri.path().ends_with("/preview");
        let is_known = |name: &str| is_preview && name == ROWS;
        values(parts.uri.query().unwrap_or_default(), is_known).map(Self)
    }
}

/// `param.day=2026-11-20` is the value of `day`.
fn values(
    query: &str,
    is_known: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, Value>, ApiError> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let mut found = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded(name);
        if let Some(parameter) = name.strip_prefix(PARAMETER) {
            found.insert(parameter.to_owned(), Value::String(decoded(value)));
        } else if !is_known(&name) {
            let message = format!("the query: `{name}` is not known; write {PARAMETER}NAME=VALUE");
            return Err(ApiError::bad_request(message));
        }
    }
    Ok(found)
}

impl ValidateAnswer {
    fn of(warnings: Vec<String>, error: Option<Error>) -> Self {
        Self { valid: error.is_none(), error: error.map(JobError::of), warnings }
    }
}

impl JobError {
    fn of(error: Error) -> Self {
        let message = error.to_string();
        let (line, column) = (number_after(&message, "line "), number_after(&message, "column "));
        Self { error: error.report().into(), line, column }
    }
}

/// The first number that follows a word, as errors of a document name its place.
fn number_after(text: &str, word: &str) -> Option<u64> {
    text.split(word).skip(1).find_map(|rest| {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..digits].parse().ok()
    })
}

impl PreviewedRelation {
    fn of(preview: RelationPreview) -> Result<Self> {
        let fields = preview.batches.first().map(|batch| batch.schema()).into_iter();
        let columns = fields.flat_map(|schema| {
            let column = |field: &arrow::datatypes::FieldRef| PreviewedColumn {
                name: field.name().clone(),
                r#type: field.data_type().to_string(),
            };
            schema.fields().iter().map(column).collect::<Vec<_>>()
        });
        let rows = preview.batches.iter().map(rows_as_texts).collect::<Result<Vec<_>>>()?;
        Ok(Self { name: preview.name, columns: columns.collect(), rows: rows.concat() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_names_parameters_beside_others() {
        let query = "rows=3&param.day=2026-11-20&param.name=a%26b+c";
        let found = values(query, |name| name == ROWS).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((&found["day"], &found["name"]), (&"2026-11-20".into(), &"a&b c".into()));
        assert!(values(query, |_| false).is_err());
    }

    #[test]
    fn the_place_of_a_fault_is_found_in_its_message() {
        let message = "job.yaml: line 12, column 3: `target`: no such key";
        assert_eq!(number_after(message, "line "), Some(12));
        assert_eq!(number_after(message, "column "), Some(3));
        assert_eq!(number_after("no line here", "line "), None);
    }
}
