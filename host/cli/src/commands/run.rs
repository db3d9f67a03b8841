//! `longshore run JOB`

use std::path::{Path, PathBuf};

use clap::Args;
use longshore_model::atomic_file;
use longshore_model::config::{Arguments, Job, ParentRun};
use longshore_model::error::{Error, Result};
use longshore_model::format::counted;
use longshore_model::trace_context::TraceParent;
use longshore_model::watermark::Backfill;
use longshore_plugins::Catalog;
use longshore_run::ledger::{KeyedJob, KeyedRun, Ledger, Owner};
use longshore_run::{HolderLauncher, RunControl, RunReport, Runner, forget_old_runs, new_run_id};
use longshore_telemetry::{BackgroundDelivery, COMMAND_PATIENCE, Courier, metrics_text};
use tokio::time::Instant;

use super::params::ParamArgs;
use super::{App, Failed, progress, show};

/// What a process that a signal ended has as its exit code: 128 and the signal.
const SIGINT_EXIT_CODE: u8 = 130;
const SIGTERM_EXIT_CODE: u8 = 143;

/// The longest run key.
const RUN_KEY_LIMIT_BYTES: usize = 200;

#[derive(Args)]
pub(super) struct RunArgs {
    /// The job file: YAML, TOML or JSON
    job: PathBuf,
    #[command(flatten)]
    params: ParamArgs,
    #[command(flatten)]
    key: RunKey,
    /// Load a window of the incremental relations once more: from this value. The watermark stays
    #[arg(long, value_name = "VALUE", requires = "to", conflicts_with = "run_key")]
    from: Option<String>,
    /// The value before which the window ends
    #[arg(long, value_name = "VALUE", requires = "from")]
    to: Option<String>,
}

/// What a scheduler says of a run, or wants to know.
#[derive(Args)]
pub(super) struct RunKey {
    /// A name for this piece of work: the same key resumes its run, and runs nothing again that has succeeded
    #[arg(long, value_name = "KEY", value_parser = run_key)]
    run_key: Option<String>,
    /// Write metrics there when the run is over, for the textfile collector of node_exporter
    #[arg(long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
}

impl RunKey {
    /// The key, if one is given.
    pub(super) fn get(&self) -> Option<&str> {
        self.run_key.as_deref()
    }

    /// Runs something with the ledger that it needs, and writes the metrics.
    pub(super) fn with_ledger(
        &self,
        app: &App,
        work: impl FnOnce(&Ledger) -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        let ledger = match self.run_key {
            None => ledger(app)?,
            Some(_) => Ledger::open(&app.settings.state)?,
        };
        let done = work(&ledger);
        if let Some(file) = &self.metrics_file
            && let Err(error) = write_metrics(file, &ledger)
        {
            show::warning(&error.to_string());
        }
        done
    }
}

/// Who runs a job in the foreground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// A person, who looks at what failed.
    Person,
    /// A workflow scheduler, which starts the same task again.
    Scheduler,
}

pub(super) fn run(app: &App, args: &RunArgs) -> Result<(), Failed> {
    let job = args.params.read_job(app, &args.job)?;
    args.key.with_ledger(app, |ledger| match args.key.get() {
        None => run_anew(app, args, ledger, &job),
        Some(key) => run_of_key(app, args, ledger, key, job),
    })
}

/// Runs a job under a new id.
fn run_anew(app: &App, args: &RunArgs, ledger: &Ledger, job: &Job) -> Result<(), Failed> {
    let run = new_run_id()?;
    if let (Some(from), Some(to)) = (&args.from, &args.to) {
        ledger.set_backfill(&run, &Backfill { from: from.clone(), to: to.clone() })?;
    }
    execute(app, ledger, &run, job, Caller::Person)
}

/// Writes metrics to a file, whole or not at all.
fn write_metrics(file: &Path, ledger: &Ledger) -> Result<()> {
    let text = metrics_text(ledger, None)?;
    atomic_file::write(file, text.as_bytes())
        .map_err(|error| Error::io(format!("--metrics-file {}", file.display()), error))
}

/// Runs a job, or resumes its run, under a key. A run that has succeeded gives its report again.
fn run_of_key(
    app: &App,
    args: &RunArgs,
    ledger: &Ledger,
    key: &str,
    job: Job,
) -> Result<(), Failed> {
    let asked = KeyedJob {
        key,
        job: &job.name,
        digest: &job.digest,
        arguments: &args.params.values()?,
        parameters: &job.parameters,
    };
    let (run, parameters) = match ledger.keyed_run(&asked, &new_run_id()?)? {
        KeyedRun::Open { run, parameters } => (run, parameters),
        KeyedRun::Succeeded(report) => {
            let report: RunReport = serde_json::from_value(report).map_err(Error::from)?;
            answer(app, &report);
            deliver(app, ledger, None);
            return Ok(());
        }
    };
    let job = if parameters == job.parameters {
        job
    } else {
        // What was computed from the time of the first attempt stays.
        Job::read(&args.job, &Arguments::of_run(&parameters), &app.settings.policy)?
    };
    execute(app, ledger, &run, &job, Caller::Scheduler)
}

fn run_key(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > RUN_KEY_LIMIT_BYTES || text.contains(char::is_control) {
        return Err(format!("give 1 to {RUN_KEY_LIMIT_BYTES} bytes, without control characters"));
    }
    Ok(text.to_owned())
}

/// Runs a job in the foreground, or goes on with a run of it.
pub(super) fn execute(
    app: &App,
    ledger: &Ledger,
    run: &str,
    job: &Job,
    caller: Caller,
) -> Result<(), Failed> {
    let is_retried = caller == Caller::Scheduler;
    let catalog = app.catalog_for(job)?;
    // A run that the daemon began, and that is gone on with here, may have a holder.
    let holders = app.holders(is_retried)?;
    let is_resumed = ledger.entry(run)?.is_some();
    let runner = Runner { is_retried, ..runner(app, &catalog, ledger, &holders, is_resumed) };
    let delivery = deliver_beside(app, ledger);
    let (report, result) = carry_out(app, &runner, run, job)?;
    if let Err(error) = forget_old_runs(ledger, &app.settings) {
        show::warning(&error.to_string());
    }
    answer(app, &report);
    deliver(app, ledger, delivery);
    result.map_err(|error| Failed { error, reported: true })
}

/// Runs a job, shows its progress, and stops it on a signal.
fn carry_out(
    app: &App,
    runner: &Runner<'_>,
    run: &str,
    job: &Job,
) -> Result<(RunReport, Result<()>)> {
    let mut showing = None;
    let ended = app.io.block_on(async {
        let watch = |progress| showing = (!show::is_quiet()).then(|| progress::watch(progress));
        let control = RunControl::default();
        let told_twice = async {
            stop(&control, stop_signal().await, runner.is_retried);
            // What is left to do may wait for a plugin, and that for ever.
            stop_signal().await
        };
        tokio::select! {
            ended = runner.run(run, job, watch, &control) => Ok(ended),
            exit_code = told_twice => Err(exit_code),
        }
    });
    drop(showing);
    ended.map_err(|exit_code| {
        Error::cancelled("the run was ended at once: what it left stays")
            .with_hint(format!("`longshore runs cancel {run}` removes it"))
            .with_exit_code(exit_code)
    })
}

/// Stops a run. A scheduler that ends a task starts it again: then what was read is kept.
fn stop(control: &RunControl, exit_code: u8, is_retried: bool) {
    if is_retried && exit_code == SIGTERM_EXIT_CODE {
        control.interrupt_by_signal(exit_code);
    } else {
        control.cancel(Some(exit_code));
    }
}

/// Delivers beside a run, if there is something to tell before it ends: that it has begun.
fn deliver_beside(app: &App, ledger: &Ledger) -> Option<BackgroundDelivery> {
    app.settings.lineage.transport.as_ref()?;
    let (courier, secrets) = (Courier::new(ledger.clone()), app.settings.secrets.clone());
    Some(BackgroundDelivery::begin(app.io.handle(), courier, secrets))
}

/// Delivers what tells others of the run. What is left is delivered by the next process.
fn deliver(app: &App, ledger: &Ledger, beside: Option<BackgroundDelivery>) {
    let (secrets, courier) = (app.settings.secrets.as_deref(), Courier::new(ledger.clone()));
    let until = Instant::now() + COMMAND_PATIENCE;
    let delivering = async {
        if let Some(beside) = beside {
            beside.end(until).await;
        }
        courier.drain(secrets, until - Instant::now()).await
    };
    let delivered = app.io.block_on(async {
        tokio::select! {
            delivered = delivering => delivered,
            _ = stop_signal() => ledger.outbox_length(),
        }
    });
    match delivered {
        Ok(0) => {}
        Ok(left) => show::warning(&format!(
            "{} in the outbox: the next run or daemon that uses {} delivers what waits",
            counted(left, "message"),
            app.settings.state.display()
        )),
        Err(error) => show::warning(&error.to_string()),
    }
}

pub(super) fn answer(app: &App, report: &RunReport) {
    let text = report.to_text();
    if app.json {
        show::json(report);
    } else if !text.trim().is_empty() {
        show::answer(&text);
    }
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
        is_retried: false,
        trace_parent: trace_parent(),
        parent_run: ParentRun::of_environment(),
        own_folders: std::slice::from_ref(&app.settings.state),
    }
}

/// The span of the caller. What cannot be read is no reason not to run.
fn trace_parent() -> Option<TraceParent> {
    std::env::var("TRACEPARENT").ok()?.parse().ok()
}

/// The ledger of the state folder. A command whose user has none that can be written still runs.
fn ledger(app: &App) -> Result<Ledger> {
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
