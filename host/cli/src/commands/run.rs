//! `longshore run JOB`

use std::path::Path;

use longshore_model::config::Job;
use longshore_model::error::Error;
use longshore_plugins::Catalog;
use longshore_run::ledger::{Ledger, Owner};
use longshore_run::{HolderLauncher, RunControl, Runner, forget_old_runs, new_run_id};

use super::params::ParamArgs;
use super::{App, Failed, show};

/// What a process that a signal ended has as its exit code: 128 and the signal.
const SIGINT_EXIT_CODE: u8 = 130;
const SIGTERM_EXIT_CODE: u8 = 143;

pub(super) fn run(app: &App, path: &Path, params: &ParamArgs) -> Result<(), Failed> {
    let job = params.read_job(app, path)?;
    execute(app, &ledger(app)?, &new_run_id()?, &job)
}

/// Runs a job in the foreground, or goes on with a run of it.
pub(super) fn execute(app: &App, ledger: &Ledger, run: &str, job: &Job) -> Result<(), Failed> {
    let catalog = app.catalog_for(job)?;
    // A run that the daemon began, and that is gone on with here, may have a holder.
    let holders = app.holders(false)?;
    let is_resumed = ledger.entry(run)?.is_some();
    let runner = runner(app, &catalog, ledger, &holders, is_resumed);
    let mut showing = None;
    let ended = app.io.block_on(async {
        let watch = |progress| showing = Some(show::progress(progress));
        let control = RunControl::default();
        let told_twice = async {
            let exit_code = stop_signal().await;
            control.cancel(Some(exit_code));
            // What is left to do may wait for a plugin, and that for ever.
            stop_signal().await
        };
        tokio::select! {
            ended = runner.run(run, job, watch, &control) => Ok(ended),
            exit_code = told_twice => Err(exit_code),
        }
    });
    drop(showing);
    let (report, result) = ended.map_err(|exit_code| {
        Error::cancelled("the run was ended at once: what it left stays")
            .with_hint(format!("`longshore runs cancel {run}` removes it"))
            .with_exit_code(exit_code)
    })?;
    if let Err(error) = forget_old_runs(ledger, &app.settings) {
        show::warning(&error.to_string());
    }
    if app.json {
        show::json(&report)
    } else {
        show::answer(&report.to_text())
    }
    result.map_err(|error| Failed { error, reported: true })
}

/// What runs jobs in the foreground.
pub(super) fn runner<'a>(
    app: &'a App,
    catalog: &'a Catalog,
    ledger: &'a Ledger,
    holders: &'a HolderLauncher,
    is_resumed: bool,
) -> Runner<'a> {
    Runner {
        catalog,
        settings: &app.settings,
        compute: app.compute(),
        ledger,
        owner: Owner::Command,
        holders: Some(holders),
        is_resumed,
        own_folders: std::slice::from_ref(&app.settings.state),
    }
}

/// The ledger of the state folder. A command whose user has none that can be written still runs.
fn ledger(app: &App) -> Result<Ledger, Error> {
    Ledger::open(&app.settings.state).or_else(|error| {
        show::warning(&format!("{error}: this run is not written down"));
        Ledger::in_memory()
    })
}

/// Resolves when somebody wants the program to stop, with the exit code that shells expect of it.
async fn stop_signal() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => SIGTERM_EXIT_CODE,
        _ = tokio::signal::ctrl_c() => SIGINT_EXIT_CODE,
    }
}
