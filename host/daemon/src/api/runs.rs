//! Runs: lists of them, one of them, its chunks, its manifest and its log.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::DateTime;
use longshore_model::error::{Error, Result};
use longshore_run::Trigger;
use longshore_run::ledger::{
    AttemptRecord, ChunkDetails, EventRecord, ExecutorRecord, QUEUED, RelationChunks,
    RelationCounts, RunDetails, RunFilter, RunRecord, TaskCounts, TriggerEntry,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answer::{Answer, ApiError, Json};
use super::extract::{Names, Params};
use super::limits::PAGE_LIMIT;
use super::overview::progress;
use super::progress::ProgressAnswer;
use super::state::{ApiState, SharedState};
use crate::run_log::{self, LogLine};

/// The runs of a page, unless told.
const LISTED: usize = 50;

/// Which runs a list has.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RunsQuery {
    /// Only runs of the job of this name.
    job: Option<String>,
    /// Only runs in this state.
    state: Option<ListedState>,
    /// Only runs whose id or job's name holds this text.
    search: Option<String>,
    /// Only runs that began at this moment or later, in RFC 3339.
    since: Option<String>,
    /// Only runs that began before this moment, in RFC 3339.
    until: Option<String>,
    /// The most runs that are listed.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<usize>,
    /// What an earlier page has as `next`.
    cursor: Option<String>,
}

/// The state of a run that has begun.
#[derive(Clone, Copy, Deserialize, JsonSchema, strum::IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
enum ListedState {
    Running,
    Committing,
    Interrupted,
    Succeeded,
    Failed,
    Cancelled,
}

/// A page of runs.
#[derive(Serialize, JsonSchema)]
pub(super) struct RunsAnswer {
    /// The runs, newest first.
    runs: Vec<RunSummary>,
    /// The cursor of the next page; null where this is the last.
    next: Option<String>,
}

/// A run, in one line.
#[derive(Serialize, JsonSchema)]
pub(super) struct RunSummary {
    run: String,
    /// The job's name.
    job: String,
    /// planning, reading, committing, succeeded, failed, cancelled; or queued.
    phase: String,
    /// running, committing, interrupted, succeeded, failed, cancelled; or queued.
    state: String,
    /// Who runs it: daemon or command.
    owner: String,
    /// When it began, or was asked for.
    created: String,
    finished: Option<String>,
    restarts: u32,
    tasks: TaskCounts,
    /// The rows of the tasks that are done.
    rows_read: u64,
    /// Its report when it has ended; without relations in a list.
    report: Option<Value>,
}

/// A run with all that is known of it.
#[derive(Serialize, JsonSchema)]
pub(super) struct RunAnswer {
    #[serde(flatten)]
    run: RunSummary,
    /// Where its job file lies.
    file: String,
    /// What asked for it; null for a dropped file and for a command.
    trigger: Option<Trigger>,
    /// The values of its job's parameters.
    parameters: Map<String, Value>,
    /// What happened to it.
    events: Vec<EventRecord>,
    /// When it entered each of its phases.
    phases: Vec<EventRecord>,
    /// The attempts that failed or have not ended, oldest first.
    attempts: Vec<AttemptRecord>,
    /// What each executor of a cluster did for it; empty on one machine.
    executors: Vec<ExecutorRecord>,
    relations: Vec<RelationCounts>,
    /// How far it is; null when it has ended or not begun.
    progress: Option<ProgressAnswer>,
}

/// The chunks of a run.
#[derive(Serialize, JsonSchema)]
pub(super) struct ChunksAnswer {
    relations: Vec<RelationChunks>,
}

/// Which lines of a log are read.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogQuery {
    /// Those after the line of this id.
    after: Option<i64>,
    /// The most lines.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<usize>,
}

/// Lines of a log.
#[derive(Serialize, JsonSchema)]
pub(super) struct LogAnswer {
    /// The lines that the daemon still has, oldest first.
    lines: Vec<LogLine>,
    /// What to give as `after` for those that follow.
    next: i64,
}

pub(super) async fn list(
    State(state): State<SharedState>,
    Params(query): Params<RunsQuery>,
) -> Answer<RunsAnswer> {
    let filter = filter(query)?;
    let page = state.read(move |state| state.ledger.page(&filter)).await?;
    let runs = page.runs.into_iter().map(RunSummary::without_relations).collect();
    Ok(Json(RunsAnswer { runs, next: page.next }))
}

pub(super) async fn show(
    State(state): State<SharedState>,
    Names(run): Names<String>,
) -> Answer<RunAnswer> {
    let found = state.read(move |state| RunAnswer::of(state, &run)).await?;
    found.map(Json).ok_or_else(unknown)
}

pub(super) async fn chunks(
    State(state): State<SharedState>,
    Names(run): Names<String>,
) -> Answer<ChunksAnswer> {
    let find = move |state: &ApiState| match state.ledger.chunk_map(&run)? {
        Some(relations) => Ok(Some(relations)),
        // A run that has not begun has no chunks yet.
        None => Ok(state.ledger.trigger(&run)?.map(|_| Vec::new())),
    };
    let found = state.read(find).await?;
    found.map(|relations| Json(ChunksAnswer { relations })).ok_or_else(unknown)
}

pub(super) async fn chunk(
    State(state): State<SharedState>,
    Names((run, relation, chunk)): Names<(String, String, usize)>,
) -> Answer<ChunkDetails> {
    let found = state.read(move |state| state.ledger.chunk(&run, &relation, chunk)).await?;
    found.map(Json).ok_or_else(|| ApiError::not_found("the run has no such chunk"))
}

pub(super) async fn log(
    State(state): State<SharedState>,
    Names(run): Names<String>,
    Params(query): Params<LogQuery>,
) -> Answer<LogAnswer> {
    let limit = checked_limit(query.limit.unwrap_or(PAGE_LIMIT))?;
    let id = run.clone();
    state.read(move |state| state_of(state, &id)).await?.ok_or_else(unknown)?;
    let after = query.after.unwrap_or(0);
    let lines = run_log::lines(&run, after, limit);
    let next = lines.last().map_or(after, |line| line.id);
    Ok(Json(LogAnswer { lines, next }))
}

/// No run has this id.
pub(super) fn unknown() -> ApiError {
    let error = Error::not_found("no run has this id");
    ApiError::new(StatusCode::NOT_FOUND, error.with_hint("`longshore runs` lists the runs"))
}

fn filter(query: RunsQuery) -> Result<RunFilter, ApiError> {
    let limit = checked_limit(query.limit.unwrap_or(LISTED))?;
    Ok(RunFilter {
        job: query.job,
        state: query.state.map(|state| <&str>::from(state).to_owned()),
        search: query.search.filter(|text| !text.is_empty()),
        since: query.since.as_deref().map(|at| moment("since", at)).transpose()?,
        until: query.until.as_deref().map(|at| moment("until", at)).transpose()?,
        cursor: query.cursor,
        limit,
    })
}

/// A page's limit, which the client has given.
pub(super) fn checked_limit(limit: usize) -> Result<usize, ApiError> {
    if limit == 0 || limit > PAGE_LIMIT {
        return Err(ApiError::bad_request(format!("`limit` is not from 1 to {PAGE_LIMIT}")));
    }
    Ok(limit)
}

/// A moment as the ledger writes it.
fn moment(name: &str, text: &str) -> Result<String, ApiError> {
    let at = DateTime::parse_from_rfc3339(text);
    let at = at.map_err(|_| {
        let what = format!("`{name}` is no moment such as 2026-11-20T10:00:00Z");
        ApiError::bad_request(what)
    })?;
    Ok(at.to_utc().to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

impl From<RunRecord> for RunSummary {
    fn from(run: RunRecord) -> Self {
        Self {
            phase: run.phase.to_string(),
            state: run.state.to_owned(),
            run: run.run,
            job: run.job,
            owner: run.owner,
            created: run.created,
            finished: run.finished,
            restarts: run.restarts,
            tasks: run.tasks,
            rows_read: run.rows_read,
            report: run.report,
        }
    }
}

impl RunSummary {
    fn without_relations(mut run: RunRecord) -> Self {
        if let Some(Value::Object(report)) = &mut run.report {
            report.remove("relations");
        }
        run.into()
    }

    /// A run that is asked for and has not begun.
    fn queued(trigger: &TriggerEntry) -> Self {
        Self {
            run: trigger.run.clone(),
            job: trigger.job.clone(),
            phase: QUEUED.to_owned(),
            state: QUEUED.to_owned(),
            owner: "daemon".to_owned(),
            created: trigger.trigger.requested.clone(),
            finished: None,
            restarts: 0,
            tasks: TaskCounts::default(),
            rows_read: 0,
            report: None,
        }
    }
}

impl RunAnswer {
    fn of(state: &ApiState, run: &str) -> Result<Option<Self>> {
        if let Some(details) = state.ledger.details(run)? {
            return Self::of_details(state, details).map(Some);
        }
        Ok(state.ledger.trigger(run)?.map(Self::queued))
    }

    fn of_details(state: &ApiState, details: RunDetails) -> Result<Self> {
        let RunDetails { run, file, trigger, parameters, events, phases, attempts, executors } =
            details;
        let is_open = !run.phase.is_done();
        let relations = match &run.report {
            Some(report) => published(report),
            None => state.ledger.relation_counts(&run.run)?,
        };
        Ok(Self {
            progress: is_open.then(|| progress(state, &run.run)).transpose()?,
            parameters: parameters.values().clone().into_iter().collect(),
            run: run.into(),
            file,
            trigger,
            events,
            phases,
            attempts,
            executors,
            relations,
        })
    }

    fn queued(trigger: TriggerEntry) -> Self {
        Self {
            run: RunSummary::queued(&trigger),
            file: String::new(),
            trigger: Some(trigger.trigger),
            parameters: trigger.arguments.into_iter().collect(),
            events: Vec::new(),
            phases: Vec::new(),
            attempts: Vec::new(),
            executors: Vec::new(),
            relations: Vec::new(),
            progress: None,
        }
    }
}

/// The relations that a run has published, from its report.
fn published(report: &Value) -> Vec<RelationCounts> {
    let relations = report["relations"].as_array().into_iter().flatten();
    let count = |relation: &Value, key: &str| relation[key].as_u64().unwrap_or(0);
    let counts = relations.map(|relation| RelationCounts {
        name: relation["relation"].as_str().unwrap_or_default().to_owned(),
        chunks: count(relation, "chunks"),
        done: count(relation, "chunks"),
        rows: count(relation, "rows"),
        bytes: count(relation, "bytes"),
    });
    counts.collect()
}

/// The state of a run, in a word; none if no run has this id.
pub(super) fn state_of(state: &ApiState, run: &str) -> Result<Option<RunState>> {
    if let Some(record) = state.ledger.record(run)? {
        let is_over = record.phase.is_done();
        return Ok(Some(RunState { state: record.state.to_owned(), is_over }));
    }
    let trigger = state.ledger.trigger(run)?;
    Ok(trigger.map(|_| RunState { state: QUEUED.to_owned(), is_over: false }))
}

/// The state of a run.
pub(super) struct RunState {
    pub(super) state: String,
    pub(super) is_over: bool,
}
