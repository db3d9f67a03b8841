//! The daemon's metrics: those of the process and its ledger, and the queue.

use std::fs;
use std::path::Path;

use chrono::{DateTime, Utc};
use longshore_model::error::Result;
use longshore_run::ledger::Ledger;
use longshore_telemetry::Queue;

use super::parameter_file::is_parameter_file;

/// The metrics, in Prometheus's text format.
pub(super) fn metrics(ledger: &Ledger, inbox: &Path) -> Result<String> {
    longshore_telemetry::metrics_text(ledger, Some(queue(ledger, inbox)?))
}

/// What was dropped and not taken, and what was asked for and has not begun.
fn queue(ledger: &Ledger, inbox: &Path) -> Result<Queue> {
    let asked = ledger.waiting_runs()?;
    let mut queue = Queue { jobs: asked.runs, since: asked.since };
    // A folder that is gone for a while holds no jobs.
    for entry in fs::read_dir(inbox).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        let Ok(metadata) = fs::metadata(entry.path()) else { continue };
        if is_hidden || !metadata.is_file() || is_parameter_file(&entry.path()) {
            continue;
        }
        queue.jobs += 1;
        let since = metadata.modified().ok().map(DateTime::<Utc>::from);
        queue.since = queue.since.into_iter().chain(since).min();
    }
    Ok(queue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_wait_in_the_inbox_are_the_queue() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.yaml", "b.json", "a.params.yaml", ".hidden.yaml"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        fs::create_dir(folder.path().join("done")).unwrap();
        let ledger = Ledger::in_memory().unwrap();
        let text = metrics(&ledger, folder.path()).unwrap();
        assert!(text.contains("longshore_queue_jobs 2.0\n"), "{text}");
        let gone = metrics(&ledger, &folder.path().join("gone")).unwrap();
        assert!(gone.contains("longshore_queue_jobs 0.0\n"), "{gone}");
    }
}
