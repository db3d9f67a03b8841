//! `longshore schema`, of a job file and of the HTTP API

use serde_json::Value;

/// The JSON Schema of a job file.
pub(super) fn job() -> Value {
    longshore_model::config::job_schema()
}

/// The OpenAPI document of the HTTP API.
pub(super) fn api() -> Value {
    longshore_daemon::api::document()
}
