//! The table of endpoints. The router, the authorisation and the OpenAPI document are made from it, and from
//! nothing else.

use axum::middleware::from_fn_with_state;
use axum::{Router, middleware};
use longshore_run::ledger::{ChunkDetails, Role};
use serde_json::Value;

use super::cancel::{self, CancelAnswer, CancelBody, RetryAnswer};
use super::dashboard;
use super::endpoint::{Endpoint, delete, get, post};
use super::events::{EventsQuery, LAST_EVENT_ID, events};
use super::guard::{Rules, guard};
use super::health::{self, HealthAnswer};
use super::jobs::{self, ConnectionAnswer, PreviewAnswer, PreviewQuery, ValidateAnswer};
use super::manifest::manifest;
use super::metrics::metrics;
use super::openapi::document_of;
use super::outer::{OuterRules, outer};
use super::overview::{Overview, overview};
use super::plugins::{self, InstallBody, LockedAnswer, PluginsAnswer};
use super::runs::{self, ChunksAnswer, LogAnswer, LogQuery, RunAnswer, RunsAnswer, RunsQuery};
use super::schedules::{
    self, BackfillAnswer, BackfillBody, ChangedAnswer, PauseBody, RunNowBody, SchedulesAnswer,
    TimesAnswer, TimesQuery,
};
use super::schemas;
use super::session::{self, LoginQuery, SessionAnswer};
use super::state::SharedState;
use super::submit::{IDEMPOTENCY_KEY, SubmitAnswer, SubmitBody, TRACE_PARENT, submit};
use super::tokens::{self, AuditAnswer, AuditQuery, NewTokenAnswer, TokenBody, TokensAnswer};
use crate::schedules::{RequestedRun, ScheduleDetails};

/// All endpoints.
pub(super) fn endpoints() -> Vec<Endpoint> {
    [general(), of_runs(), of_jobs(), of_schedules(), administration()].concat()
}

fn general() -> Vec<Endpoint> {
    vec![
        get("/health", "Whether the daemon lives", health::health)
            .public()
            .answer::<HealthAnswer>(),
        get("/ready", "Whether the daemon can run jobs", health::ready)
            .public()
            .answer::<HealthAnswer>(),
        get("/login", "Exchange a login link for a session", session::login)
            .public()
            .query::<LoginQuery>()
            .empty()
            .status(303),
        get("/api/v1/openapi.json", "This document", schemas::document).public(),
        get("/api/v1/schema/job.json", "The JSON Schema of a job file", schemas::job),
        get("/api/v1/session", "Who asks", session::show).answer::<SessionAnswer>(),
        get("/metrics", "The metrics of the daemon, for Prometheus", metrics).text(),
        delete("/api/v1/session", "End a browser's session", session::logout)
            .role(Role::Viewer)
            .empty(),
        get("/api/v1/overview", "What the daemon does now", overview).answer::<Overview>(),
        get("/api/v1/events", "Follow what happens to runs", events)
            .query::<EventsQuery>()
            .header(LAST_EVENT_ID, "The id of the last event that the reader has")
            .events(),
    ]
}

fn of_runs() -> Vec<Endpoint> {
    vec![
        get("/api/v1/runs", "List runs, newest first", runs::list)
            .query::<RunsQuery>()
            .answer::<RunsAnswer>(),
        post("/api/v1/runs", "Submit a job", submit)
            .header(IDEMPOTENCY_KEY, "The key: the same key never gives a second run")
            .header(
                TRACE_PARENT,
                "The caller's span, as W3C's Trace Context has it: the run is a part of its trace",
            )
            .body::<SubmitBody>()
            .answer::<SubmitAnswer>()
            .status(201)
            .asks_once()
            .changes(),
        get("/api/v1/runs/{run}", "Show a run", runs::show).answer::<RunAnswer>(),
        get("/api/v1/runs/{run}/chunks", "Show the state of a run's chunks", runs::chunks)
            .answer::<ChunksAnswer>(),
        get("/api/v1/runs/{run}/chunks/{relation}/{chunk}", "Show a chunk", runs::chunk)
            .answer::<ChunkDetails>(),
        get("/api/v1/runs/{run}/manifest", "Read the manifest of a run", manifest),
        get("/api/v1/runs/{run}/log", "Read the newest lines of a run's log", runs::log)
            .query::<LogQuery>()
            .answer::<LogAnswer>(),
        post("/api/v1/runs/{run}/cancel", "Cancel a run, and wait for its end", cancel::cancel)
            .body::<CancelBody>()
            .answer::<CancelAnswer>()
            .changes(),
        post("/api/v1/runs/{run}/retry", "Try a run again that has failed", cancel::retry)
            .answer::<RetryAnswer>()
            .status(201)
            .asks_once()
            .changes(),
    ]
}

fn of_jobs() -> Vec<Endpoint> {
    vec![
        post("/api/v1/jobs/validate", "Check a job without a connection", jobs::validate)
            .job_body()
            .parameters()
            .answer::<ValidateAnswer>(),
        post("/api/v1/jobs/plan", "Show what a job would do", jobs::plan).job_body().parameters(),
        post("/api/v1/jobs/preview", "Show the first rows of a job's relations", jobs::preview)
            .job_body()
            .query::<PreviewQuery>()
            .parameters()
            .answer::<PreviewAnswer>(),
        post(
            "/api/v1/sources/test",
            "Ask a job's source and target whether they answer",
            jobs::test,
        )
        .job_body()
        .parameters()
        .answer::<ConnectionAnswer>(),
        get("/api/v1/plugins", "List the plugins", plugins::list).answer::<PluginsAnswer>(),
    ]
}

fn of_schedules() -> Vec<Endpoint> {
    vec![
        get("/api/v1/schedules", "List the standing jobs and their schedules", schedules::list)
            .answer::<SchedulesAnswer>(),
        get("/api/v1/schedules/{name}", "Show a schedule", schedules::show)
            .answer::<ScheduleDetails>(),
        get("/api/v1/schedules/{name}/next", "List the next scheduled times", schedules::next)
            .query::<TimesQuery>()
            .answer::<TimesAnswer>(),
        post("/api/v1/schedules/{name}/pause", "Pause a schedule", schedules::pause)
            .body::<PauseBody>()
            .answer::<ChangedAnswer>()
            .changes(),
        post("/api/v1/schedules/{name}/resume", "Resume a schedule", schedules::resume)
            .answer::<ChangedAnswer>()
            .changes(),
        post("/api/v1/schedules/{name}/run-now", "Run a standing job now", schedules::run_now)
            .body::<RunNowBody>()
            .answer::<RequestedRun>()
            .status(201)
            .asks_once()
            .changes(),
        post("/api/v1/schedules/{name}/backfill", "Run times of the past", schedules::backfill)
            .body::<BackfillBody>()
            .answer::<BackfillAnswer>()
            .changes(),
        post(
            "/api/v1/schedules/{name}/test",
            "Ask the source of a standing job",
            jobs::test_standing,
        )
        .answer::<ConnectionAnswer>(),
    ]
}

fn administration() -> Vec<Endpoint> {
    let admin = vec![
        post("/api/v1/plugins/install", "Install a plugin that a registry has", plugins::install)
            .body::<InstallBody>()
            .answer::<LockedAnswer>()
            .changes(),
        post(
            "/api/v1/plugins/lock",
            "Let only the plugins serve that are there now",
            plugins::lock,
        )
        .answer::<LockedAnswer>()
        .changes(),
        get("/api/v1/tokens", "List the tokens", tokens::list).answer::<TokensAnswer>(),
        post("/api/v1/tokens", "Make a token", tokens::create)
            .body::<TokenBody>()
            .answer::<NewTokenAnswer>()
            .status(201)
            .changes(),
        delete("/api/v1/tokens/{name}", "Revoke a token", tokens::revoke).empty(),
        get("/api/v1/audit", "Read the audit log", tokens::audit)
            .query::<AuditQuery>()
            .answer::<AuditAnswer>(),
    ];
    admin.into_iter().map(|endpoint| endpoint.role(Role::Admin)).collect()
}

/// The OpenAPI document of all endpoints.
pub fn document() -> Value {
    document_of(&endpoints())
}

/// The router of all endpoints, and of the dashboard.
pub(super) fn router(state: &SharedState) -> Router {
    let mut router = Router::new();
    for endpoint in endpoints() {
        let rules = Rules::of(&endpoint, state);
        let route = endpoint.route.layer(from_fn_with_state(rules, guard));
        router = router.route(endpoint.path, route);
    }
    router
        .method_not_allowed_fallback(dashboard::other_method)
        .fallback(dashboard::file)
        .with_state(state.clone())
        .layer(middleware::from_fn_with_state(OuterRules::of(state), outer))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::endpoint::Access;
    use super::*;

    #[test]
    fn the_document_has_each_endpoint_once_with_an_id_of_its_own() {
        let document = document();
        let mut ids = BTreeSet::new();
        for endpoint in endpoints() {
            let method = endpoint.method.as_str().to_ascii_lowercase();
            let operation = &document["paths"][endpoint.path][method.as_str()];
            assert!(operation.is_object(), "{method} {}", endpoint.path);
            assert!(ids.insert(operation["operationId"].to_string()), "{operation}");
            assert_eq!(
                operation.get("security").is_none(),
                endpoint.access == Access::Public,
                "{method} {}",
                endpoint.path
            );
        }
        let paths = document["paths"].as_object().unwrap().values();
        let operations: usize = paths.map(|methods| methods.as_object().unwrap().len()).sum();
        assert_eq!(operations, endpoints().len());
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        let document = document();
        let text = document.to_string();
        for reference in text.split("\"#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }
}
