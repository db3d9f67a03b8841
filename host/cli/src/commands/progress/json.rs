//! Progress for programs: lines of JSON.

use longshore_run::{Progress, Speed};
use serde_json::{Value, json};

/// The line of a run that has an id, and reads nothing yet.
pub(super) fn planning(run: &str, job: &str) -> Value {
    line(run, job, &Progress::default(), &Speed::default())
}

/// The line of a moment. Its keys are those of the HTTP API, and `fraction`.
pub(super) fn line(run: &str, job: &str, progress: &Progress, speed: &Speed) -> Value {
    let relations = progress.relations.iter().map(|relation| {
        json!({
            "name": relation.name,
            "chunks": relation.chunks,
            "done": relation.chunks_done(),
            "rows": relation.rows(),
            "bytes": relation.bytes(),
            "fraction": relation.fraction(),
        })
    });
    json!({ "progress": {
        "run": run,
        "job": job,
        "rows": progress.rows(),
        "bytes": progress.bytes(),
        "rows_per_second": speed.rows_per_second,
        "bytes_per_second": speed.bytes_per_second,
        "fraction": progress.fraction(),
        "eta_seconds": speed.left.map(|left| left.as_secs()),
        "relations": relations.collect::<Vec<_>>(),
    }})
}
