//! `longshore schema`

use serde_json::Value;

/// The JSON Schema of a job file.
pub(super) fn job() -> Value {
    longshore_model::config::job_schema()
}
