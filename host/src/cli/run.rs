//! `longshore run JOB`

use std::path::Path;

use super::{App, Failed, show};
use crate::config::Job;
use crate::run::{Runner, new_run_id};

pub(super) fn run(app: &App, path: &Path) -> Result<(), Failed> {
    let job = Job::read(path)?;
    let catalog = app.catalog()?;
    let run = new_run_id()?;
    let runner = Runner { catalog: &catalog, settings: &app.settings, compute: app.compute() };
    let mut showing = None;
    let (report, result) = app.io.block_on(async {
        let watch = |progress| showing = Some(show::progress(progress));
        runner.run(&run, &job, watch, stopped()).await
    });
    drop(showing);
    match app.json {
        true => show::json(&report),
        false => show::answer(&report.to_text()),
    }
    result.map_err(|error| Failed { error, reported: true })
}

/// Resolves when somebody wants the program to stop.
pub(super) async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
