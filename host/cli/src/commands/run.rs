//! `longshore run JOB`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use longshore::Run;
use longshore::program::{RunResult, Task, Work, check_run_key};
use longshore_model::atomic_file;
use longshore_model::config::{Arguments, Job, ParameterRecord, ParentRun};
use longshore_model::error::{Error, Result};
use longshore_model::format::counted;
use longshore_model::trace_context::TraceParent;
use longshore_model::watermark::Backfill;
use longshore_run::ledger::Ledger;
use longshore_run::{Progress, RunControl, RunReport};
use longshore_telemetry::metrics_text;

use crate::stop_signals::{SIGTERM_EXIT_CODE, StopSignals};

use super::params::{self, ParamArgs};
use super::progress::ProgressDisplay;
use super::watched::{ProgressForm, WatchArgs};
use super::{App, CommandError, kept_job, progress, show, stdin_job};

#[derive(Args)]
pub(super) struct RunArgs {
    /// The job file: YAML, TOML or JSON; `-` for standard input
    job: PathBuf,
    #[command(flatten)]
    params: ParamArgs,
    #[command(flatten)]
    key: RunKey,
    /// Load a window of the incremental relations once more: from this value. The watermark stays
    #[arg(
        long,
        value_name = "VALUE",
        requires = "to",
        conflicts_with = "run_key",
        allow_negative_numbers = true
    )]
    from: Option<String>,
    /// The value before which the window ends
    #[arg(long, value_name = "VALUE", requires = "from", allow_negative_numbers = true)]
    to: Option<String>,
    #[command(flatten)]
    watch: WatchArgs,
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
        work: impl FnOnce(&Ledger) -> Result<(), CommandError>,
    ) -> Result<(), CommandError> {
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

pub(super) fn run(app: &App, args: &RunArgs) -> Result<(), CommandError> {
    let job = args.params.read_job(app, &args.job)?;
    args.key.with_ledger(app, |ledger| {
        let signals = app.stop_signals()?;
        let mut task = task(app, args, ledger, job)?;
        if stdin_job::is_stdin(&args.job) {
            stdin_job::give_file(&mut task, &app.settings.state)?;
        }
        carry_out(app, task, args.watch, signals)
    })
}

/// What there is to do: a run under a new id, or that of a run key.
fn task(app: &App, args: &RunArgs, ledger: &Ledger, job: Job) -> Result<Task, CommandError> {
    let Some(key) = args.key.get() else {
        let work = work(app, ledger, job, None)?;
        if let (Some(from), Some(to)) = (&args.from, &args.to) {
            ledger.set_backfill(&work.run, &Backfill { from: from.clone(), to: to.clone() })?;
        }
        return Ok(Task::Run(Box::new(work)));
    };
    let work = Work { holders: app.holders(true)?, ..work(app, ledger, job, None)? };
    let again =
        |begun: &ParameterRecord| params::read_job(app, &args.job, &Arguments::of_run(begun));
    Ok(Task::of_key(key, &args.params.values()?, work, again)?)
}

/// The work on a run, which may have begun before.
pub(super) fn work(app: &App, ledger: &Ledger, job: Job, run: Option<String>) -> Result<Work> {
    let work = Work::new(app.host.clone(), ledger.clone(), job)?;
    let run = run.unwrap_or(work.run);
    let (trace_parent, parent_run) = (TraceParent::of_environment(), ParentRun::of_environment());
    Ok(Work { run, trace_parent, parent_run, ..work })
}

/// Writes metrics to a file, whole or not at all.
fn write_metrics(file: &Path, ledger: &Ledger) -> Result<()> {
    let text = metrics_text(ledger, None)?;
    atomic_file::write(file, text.as_bytes())
        .map_err(|error| Error::io(format!("--metrics-file {}", file.display()), error))
}

fn run_key(text: &str) -> Result<String, String> {
    check_run_key(text).map_err(|error| error.hint().unwrap_or_default().to_owned())?;
    Ok(text.to_owned())
}

/// Goes on with a run in the foreground, or runs its job again.
pub(super) fn carry_on(
    app: &App,
    ledger: &Ledger,
    run: String,
    job: Job,
) -> Result<(), CommandError> {
    let signals = app.stop_signals()?;
    let work = work(app, ledger, job, Some(run))?;
    carry_out(app, Task::Run(Box::new(work)), WatchArgs::default(), signals)
}

/// Does what there is to do, shows its progress, stops it on a signal, and says what came of it.
pub(super) fn carry_out(
    app: &App,
    task: Task,
    watch: WatchArgs,
    mut signals: StopSignals,
) -> Result<(), CommandError> {
    let (id, is_retried) = match &task {
        Task::Run(work) => {
            if watch.progress == ProgressForm::Json {
                progress::tell_begin(&work.run, &work.job.name);
            }
            (work.run.clone(), work.is_retried)
        }
        Task::Done(report, ..) => (report.run.clone(), true),
    };
    let name = match &task {
        Task::Run(work) => work.job.name.clone(),
        Task::Done(report, ..) => report.job.clone(),
    };
    let mut run = Run::begin(move || Ok(task));
    let watched = WatchedRun { run: &id, job: &name, is_retried, args: watch };
    let RunResult { report, result } = app.io.block_on(ended(&mut run, watched, &mut signals))?;
    kept_job::forget_ended(&app.settings.state, &id, report.status);
    answer(app, &report);
    deliver(app, &mut run, &mut signals);
    result.map_err(|error| CommandError { error, reported: true })
}

/// A run that somebody watches.
#[derive(Clone, Copy)]
struct WatchedRun<'a> {
    run: &'a str,
    job: &'a str,
    is_retried: bool,
    args: WatchArgs,
}

async fn ended(
    run: &mut Run,
    watched: WatchedRun<'_>,
    signals: &mut StopSignals,
) -> Result<RunResult> {
    let (control, progress) = (run.control().clone(), run.progress());
    let told_twice = async {
        let exit_code = tokio::select! {
            exit_code = signals.next() => exit_code,
            () = watched.args.parent_ended() => SIGTERM_EXIT_CODE,
        };
        stop(&control, exit_code, watched.is_retried);
        // What is left to do may wait for a plugin, and that for ever.
        signals.next().await
    };
    let exit_code = tokio::select! {
        ended = run.ended() => return ended,
        exit_code = told_twice => exit_code,
        never = progress::follow(progress, |progress| watched.show(progress)) => match never {},
    };
    Err(Error::cancelled("the run was ended at once: what it left stays")
        .with_hint(format!("`longshore runs cancel {}` removes it", watched.run))
        .with_exit_code(exit_code))
}

impl WatchedRun<'_> {
    /// Shows its progress, in the form that is asked for.
    fn show(self, progress: Arc<Progress>) -> Option<ProgressDisplay> {
        match self.args.progress {
            ProgressForm::Json => Some(progress::tell(self.run, self.job, progress)),
            ProgressForm::Text => (!show::is_quiet()).then(|| progress::watch(progress)),
        }
    }
}

/// Stops a run. A scheduler that ends a task starts it again: then what was read is kept.
fn stop(control: &RunControl, exit_code: u8, is_retried: bool) {
    if is_retried && exit_code == SIGTERM_EXIT_CODE {
        control.interrupt_by_signal(exit_code);
    } else {
        control.cancel(Some(exit_code));
    }
}

/// Waits until others have been told of the run. What is left is delivered by the next process.
fn deliver(app: &App, run: &mut Run, signals: &mut StopSignals) {
    let delivered = app.io.block_on(async {
        tokio::select! {
            delivered = run.delivered() => Some(delivered),
            _ = signals.next() => None,
        }
    });
    match delivered {
        Some(Ok(left)) if left > 0 => show::warning(&format!(
            "{} in the outbox: the next run or daemon that uses {} delivers what waits",
            counted(left, "message"),
            app.settings.state.display()
        )),
        Some(Err(error)) => show::warning(&error.to_string()),
        _ => {}
    }
}

fn answer(app: &App, report: &RunReport) {
    let text = report.to_text();
    if app.json {
        show::json(report);
    } else if !text.trim().is_empty() {
        show::answer(&text);
    }
}

/// The ledger of the state folder. A command whose user has none that can be written still runs.
fn ledger(app: &App) -> Result<Ledger> {
    Ledger::open(&app.settings.state).or_else(|error| {
        show::warning(&format!("{error}: this run is not written down"));
        Ledger::in_memory()
    })
}
