//! Cancelling a run, and trying one again.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use longshore_model::error::{Error, Result};
use longshore_run::phase::{Outcome, Phase};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::answer::{Answer, ApiError, Json};
use super::caller::Caller;
use super::extract::{Names, OptionalBody};
use super::limits::REQUEST_SECS;
use super::runs::{RunState, state_of, unknown};
use super::state::{ApiState, SharedState};

/// How often it is looked whether the run has ended.
const LOOK_MILLIS: u64 = 100;

/// How long a cancel is waited for, unless told.
const DEADLINE_SECS: u64 = 30;

/// The longest that can be asked for: the answer must come in time.
const DEADLINE_LIMIT_SECS: u64 = REQUEST_SECS - 5;

/// How a run is cancelled.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CancelBody {
    /// How long the answer may wait for the run's end.
    #[schemars(range(max = 55))]
    deadline_seconds: Option<u64>,
}

/// What a cancel has reached when it is answered.
#[derive(Serialize, JsonSchema)]
pub(super) struct CancelAnswer {
    /// The state of the run.
    state: String,
    /// Whether the run has ended. If not, it ends as soon as it can.
    is_over: bool,
    /// What still works on it.
    alive: Vec<String>,
}

/// A run that tries another again.
#[derive(Serialize, JsonSchema)]
pub(super) struct RetryAnswer {
    /// The new run's id.
    run: String,
}

pub(super) async fn cancel(
    State(state): State<SharedState>,
    Names(run): Names<String>,
    OptionalBody(body): OptionalBody<CancelBody>,
) -> Answer<CancelAnswer> {
    let seconds = body.deadline_seconds.unwrap_or(DEADLINE_SECS);
    if seconds > DEADLINE_LIMIT_SECS {
        let message = format!("`deadline_seconds` is more than {DEADLINE_LIMIT_SECS}");
        return Err(ApiError::bad_request(message));
    }
    request(&state, &run).await?;
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let id = run.clone();
        let (now, alive) =
            state.read(move |state| Ok((state_of(state, &id)?, alive(state, &id)?))).await?;
        let RunState { state: name, is_over } = now.ok_or_else(unknown)?;
        if is_over || Instant::now() >= deadline {
            let alive = if is_over { Vec::new() } else { alive };
            return Ok(Json(CancelAnswer { state: name, is_over, alive }));
        }
        sleep(Duration::from_millis(LOOK_MILLIS)).await;
    }
}

/// Asks whoever works on the run.
async fn request(state: &SharedState, run: &str) -> Result<(), ApiError> {
    let id = run.to_owned();
    let requested =
        move |state: &ApiState| Ok((state.ledger.request_cancel(&id)?, state_of(state, &id)?));
    let (is_requested, now) = state.read(requested).await?;
    let now = now.ok_or_else(unknown)?;
    if is_requested {
        return Ok(());
    }
    let error = Error::config(format!("the run is {}: there is nothing to cancel", now.state));
    Err(ApiError::conflict(error))
}

/// What works on a run, in words.
fn alive(state: &ApiState, run: &str) -> Result<Vec<String>> {
    let attempts = state.ledger.details(run)?.map(|details| details.attempts).unwrap_or_default();
    let alive = attempts.into_iter().filter(|attempt| attempt.finished.is_none());
    Ok(alive.map(|attempt| format!("chunk {} of {}", attempt.chunk, attempt.relation)).collect())
}

pub(super) async fn retry(
    State(state): State<SharedState>,
    caller: Caller,
    Names(run): Names<String>,
) -> Result<Response, ApiError> {
    let id = run.clone();
    let entry = state.read(move |state| state.ledger.entry(&id)).await?.ok_or_else(unknown)?;
    if entry.phase == Phase::Done(Outcome::Succeeded) || !entry.phase.is_done() {
        let error =
            Error::config(format!("the run is {}: there is nothing to try again", entry.phase));
        return Err(ApiError::conflict(error));
    }
    let again = move |state: &ApiState| state.submissions.retry(&run, Some(&caller.name));
    let submitted = state.read(again).await?;
    let status = if submitted.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(RetryAnswer { run: submitted.run })).into_response())
}
