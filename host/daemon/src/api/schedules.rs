//! Standing jobs and their schedules.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use longshore_model::error::{Class, Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::{Answer, ApiError, Json};
use super::caller::Caller;
use super::extract::{JsonBody, Names, OptionalBody, Params};
use super::state::{ApiState, SharedState};
use crate::schedules::{RequestedRun, ScheduleDetails, ScheduleSummary, ScheduledStart, Schedules};

/// The times of a list, unless told.
const TIMES: usize = 10;

/// The most times of a list.
const TIME_LIMIT: usize = 1_000;

/// Why a schedule is paused, unless told.
const REASON: &str = "paused over the API";

/// The standing jobs.
#[derive(Serialize, JsonSchema)]
pub(super) struct SchedulesAnswer {
    /// By name. None: the daemon has no folder of standing jobs.
    schedules: Vec<ScheduleSummary>,
}

/// How many times are listed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TimesQuery {
    /// The times.
    #[schemars(range(min = 1, max = 1000))]
    count: Option<usize>,
}

/// The next times of a schedule.
#[derive(Serialize, JsonSchema)]
pub(super) struct TimesAnswer {
    times: Vec<ScheduledStart>,
}

/// Why a schedule is paused.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PauseBody {
    /// The reason, for whoever looks later.
    #[schemars(length(max = 1000))]
    reason: Option<String>,
}

/// Whether a schedule has changed.
#[derive(Serialize, JsonSchema)]
pub(super) struct ChangedAnswer {
    /// False: it was so before.
    has_changed: bool,
}

/// A run that is asked for now.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RunNowBody {
    /// Values for the parameters of the job.
    parameters: BTreeMap<String, Value>,
    /// The key: the same key never gives a second run.
    #[schemars(length(min = 1, max = 200))]
    key: Option<String>,
}

/// The scheduled times that runs are asked for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BackfillBody {
    /// The first moment: a date, or a time in RFC 3339.
    from: String,
    /// The moment before which the last time lies.
    to: String,
    /// Values for the parameters of the job.
    #[serde(default)]
    parameters: BTreeMap<String, Value>,
}

/// The runs that are asked for.
#[derive(Serialize, JsonSchema)]
pub(super) struct BackfillAnswer {
    runs: Vec<RequestedRun>,
}

pub(super) async fn list(State(state): State<SharedState>) -> Answer<SchedulesAnswer> {
    let list = |state: &ApiState| match &state.schedules {
        Some(schedules) => schedules.list(),
        None => Ok(Vec::new()),
    };
    Ok(Json(SchedulesAnswer { schedules: state.read(list).await? }))
}

pub(super) async fn show(
    State(state): State<SharedState>,
    Names(name): Names<String>,
) -> Answer<ScheduleDetails> {
    Ok(Json(with_schedules(&state, move |schedules| schedules.show(&name)).await?))
}

pub(super) async fn next(
    State(state): State<SharedState>,
    Names(name): Names<String>,
    Params(TimesQuery { count }): Params<TimesQuery>,
) -> Answer<TimesAnswer> {
    let count = count.unwrap_or(TIMES);
    if count == 0 || count > TIME_LIMIT {
        return Err(ApiError::bad_request(format!("`count` is not from 1 to {TIME_LIMIT}")));
    }
    let times = with_schedules(&state, move |schedules| schedules.next(&name, count)).await?;
    Ok(Json(TimesAnswer { times }))
}

pub(super) async fn pause(
    State(state): State<SharedState>,
    Names(name): Names<String>,
    OptionalBody(PauseBody { reason }): OptionalBody<PauseBody>,
) -> Answer<ChangedAnswer> {
    let reason = reason.unwrap_or_else(|| REASON.to_owned());
    let pause = move |schedules: &Schedules| schedules.pause(&name, &reason);
    Ok(Json(ChangedAnswer { has_changed: with_schedules(&state, pause).await? }))
}

pub(super) async fn resume(
    State(state): State<SharedState>,
    Names(name): Names<String>,
) -> Answer<ChangedAnswer> {
    let resume = move |schedules: &Schedules| schedules.resume(&name);
    Ok(Json(ChangedAnswer { has_changed: with_schedules(&state, resume).await? }))
}

pub(super) async fn run_now(
    State(state): State<SharedState>,
    caller: Caller,
    Names(name): Names<String>,
    OptionalBody(RunNowBody { parameters, key }): OptionalBody<RunNowBody>,
) -> Result<Response, ApiError> {
    let key = key.map(|key| format!("api/run-now/{name}/{key}"));
    let run = move |schedules: &Schedules| {
        schedules.run_now(&name, &parameters, key.as_deref(), Some(&caller.name))
    };
    let run = with_schedules(&state, run).await?;
    let status = if run.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(run)).into_response())
}

pub(super) async fn backfill(
    State(state): State<SharedState>,
    caller: Caller,
    Names(name): Names<String>,
    JsonBody(BackfillBody { from, to, parameters }): JsonBody<BackfillBody>,
) -> Answer<BackfillAnswer> {
    let backfill = move |schedules: &Schedules| {
        schedules.backfill(&name, &from, &to, &parameters, Some(&caller.name))
    };
    Ok(Json(BackfillAnswer { runs: with_schedules(&state, backfill).await? }))
}

async fn with_schedules<T: Send + 'static>(
    state: &SharedState,
    work: impl FnOnce(&Schedules) -> Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    let work = move |state: &ApiState| match &state.schedules {
        Some(schedules) => work(schedules),
        None => Err(no_standing_jobs()),
    };
    let done = state.read(move |state| Ok(work(state))).await?;
    done.map_err(|error| match error.class() {
        Class::NotFound => ApiError::new(StatusCode::NOT_FOUND, error),
        _ => error.into(),
    })
}

pub(super) fn no_standing_jobs() -> Error {
    Error::not_found("the daemon has no folder of standing jobs")
        .with_hint("start it with --jobs-dir DIR")
}
