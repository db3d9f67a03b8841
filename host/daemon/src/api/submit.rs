//! Submitting a job. It goes the way of a dropped file, and a key asks once.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use longshore_model::config::{Arguments, Job};
use longshore_model::error::{Error, Result};
use longshore_model::format::is_steering;
use longshore_model::trace_context::TraceParent;
use longshore_run::{TriggerKind, new_run_id};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::{ApiError, Json};
use super::caller::Caller;
use super::extract::JsonBody;
use super::state::{ApiState, SharedState};
use crate::submissions::{Submission, SubmittedRun};

/// The header that gives the key.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The header that tells the caller's span.
pub(super) const TRACE_PARENT: &str = "traceparent";

/// The longest name of a job, and the longest key.
const NAME_LIMIT_BYTES: usize = 150;
const KEY_LIMIT_BYTES: usize = 200;

/// A job that is submitted.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SubmitBody {
    /// The job's name, as its file would be called without an ending.
    #[schemars(length(min = 1, max = 150))]
    name: String,
    /// The text of the job file.
    document: String,
    /// The format of the text.
    #[serde(default)]
    format: Format,
    /// Values for the parameters of the job.
    #[serde(default)]
    parameters: BTreeMap<String, Value>,
    /// The key: the same key never gives a second run.
    #[schemars(length(min = 1, max = 200))]
    key: Option<String>,
}

/// A format of job files.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, strum::IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
enum Format {
    /// YAML.
    #[default]
    Yaml,
    /// JSON.
    Json,
    /// TOML.
    Toml,
}

/// The run that a job gets.
#[derive(Serialize, JsonSchema)]
pub(super) struct SubmitAnswer {
    /// The run's id.
    run: String,
    /// Whether the key asked for it for the first time.
    is_new: bool,
}

pub(super) async fn submit(
    State(state): State<SharedState>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<SubmitBody>,
) -> Result<Response, ApiError> {
    let file = file_name(&body.name, body.format)?;
    let trace_parent = trace_parent(&headers);
    let key = match key(&body, &headers)? {
        Some(key) => format!("api/{key}"),
        None => format!("api/{}", new_run_id()?),
    };
    let (known_key, document) = (key.clone(), body.document.clone());
    let is_known =
        state.read(move |state| state.ledger.trigger_of_key(&known_key)).await?.is_some();
    if !is_known {
        check(&state, &file, document, body.parameters.clone()).await?;
    }
    let submitting = move |state: &ApiState| {
        state.submissions.submit(&Submission {
            key: &key,
            job: &file,
            document: body.document.as_bytes(),
            folder: &state.inbox,
            arguments: &body.parameters,
            kind: TriggerKind::Api,
            scheduled: None,
            requested_by: Some(&caller.name),
            is_exclusive: false,
            trace_parent,
        })
    };
    let SubmittedRun { run, is_new, is_same_job } = state.read(submitting).await?;
    if !is_same_job {
        let error = Error::config(format!("the key has asked for run {run} with another job"))
            .with_hint("give another key");
        return Err(ApiError::conflict(error));
    }
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(SubmitAnswer { run, is_new })).into_response())
}

/// Refuses a job that cannot be read, before anything is written down.
async fn check(
    state: &SharedState,
    file: &str,
    document: String,
    parameters: BTreeMap<String, Value>,
) -> Result<(), ApiError> {
    let file = file.to_owned();
    state
        .inspect(|state| async move {
            let (arguments, policy) = (Arguments::of_request(parameters), state.settings().policy);
            Job::of_text(&document, &file, &state.inbox, &arguments, &policy).map(|_| ())
        })
        .await
}

/// The name of a job's file. It becomes a part of paths.
fn file_name(name: &str, format: Format) -> Result<String, ApiError> {
    let is_name = !name.is_empty()
        && name.len() <= NAME_LIMIT_BYTES
        && !name.starts_with('.')
        && !name.contains(|c: char| c == '/' || c == '\0' || is_steering(c));
    if !is_name {
        let what =
            format!("`name` is no name of a job: at most {NAME_LIMIT_BYTES} bytes, without `/`");
        return Err(ApiError::bad_request(what));
    }
    let ending: &str = format.into();
    Ok(format!("{name}.{ending}"))
}

/// The caller's span. What cannot be read is no reason not to run.
fn trace_parent(headers: &HeaderMap) -> Option<TraceParent> {
    headers.get(TRACE_PARENT)?.to_str().ok()?.parse().ok()
}

/// The key of a submission, from its body or its header.
fn key(body: &SubmitBody, headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let header = headers.get(IDEMPOTENCY_KEY).map(|value| value.to_str().map(str::to_owned));
    let header = header.transpose();
    let header = header.map_err(|_| ApiError::bad_request("the key is not ASCII text"))?;
    let key = match (&body.key, header) {
        (Some(key), Some(header)) if *key != header => {
            return Err(ApiError::bad_request("the body has another key than the header"));
        }
        (Some(key), _) => key.clone(),
        (None, Some(header)) => header,
        (None, None) => return Ok(None),
    };
    let is_key = !key.is_empty() && key.len() <= KEY_LIMIT_BYTES && !key.contains(is_steering);
    if !is_key {
        let what = format!("the key is not one line of 1 to {KEY_LIMIT_BYTES} bytes");
        return Err(ApiError::bad_request(what));
    }
    Ok(Some(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_its_folder() {
        assert_eq!(file_name("my.shop", Format::Toml).unwrap(), "my.shop.toml");
        for name in ["", ".hidden", "../x", "a/b", "a\0b", "a\nb", &"x".repeat(151)] {
            assert!(file_name(name, Format::Yaml).is_err(), "{name:?}");
        }
    }
}
