//! `longshore copy SOURCE TARGET`: a job in one command. What it builds is the text of a job file, and that is
//! checked and run as any other.

mod document;
mod login;
mod options;
mod secrets;
mod words;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use longshore::program::{Task, Work};
use longshore_model::config::{Arguments, Job};
use longshore_model::error::Result;
use longshore_run::ledger::{Ledger, Owner};

use super::run::{self, RunKey};
use super::watched::WatchArgs;
use super::{App, CommandError, kept_job, new_file, plan, show};
use document::CopyJob;
pub(super) use secrets::secret_in;

#[derive(Args)]
pub(super) struct CopyArgs {
    /// Where rows come from: a path or a URL, such as `orders.csv`, `s3://raw/*.parquet` or `postgres://reader@db/shop`
    source: OsString,
    /// Where rows go: a folder, a file by the ending of its name (`out.parquet`), or what a sink writes to
    target: OsString,
    #[command(flatten)]
    what: RelationArgs,
    #[command(flatten)]
    how: OptionArgs,
    #[command(flatten)]
    login: login::LoginArgs,
    /// A value that stands for `{{ NAME }}` in queries and names: a text, unless a type is given
    #[arg(long = "param", value_name = "NAME[:TYPE]=VALUE")]
    params: Vec<String>,
    /// Show what would be done, without reading rows
    #[arg(long)]
    dry_run: bool,
    /// Write the job to a YAML file, too: `longshore run FILE` does the same again
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Write over the file of --save
    #[arg(long, requires = "save")]
    force: bool,
    #[command(flatten)]
    key: RunKey,
    #[command(flatten)]
    watch: WatchArgs,
}

/// Arguments that choose the rows to copy.
#[derive(Args)]
struct RelationArgs {
    /// A table of the source; a file or a pattern beneath a folder. Can be given for each of them
    #[arg(long = "table", value_name = "TABLE")]
    tables: Vec<String>,
    /// A query in the source's own SQL, whose result is copied
    #[arg(long, value_name = "SQL", conflicts_with_all = ["tables", "query_file"])]
    query: Option<String>,
    /// A file with such a query
    #[arg(long, value_name = "FILE", conflicts_with = "tables")]
    query_file: Option<PathBuf>,
    /// A column to cut the query's result by, so that it is read in parallel
    #[arg(long, value_name = "COLUMN")]
    chunk_by: Option<String>,
    /// A query, carried out here, over the rows on their way, which are the table `data`
    #[arg(long, value_name = "SQL")]
    sql: Option<String>,
    /// What the relation is called in the target
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
}

/// Arguments on reading and writing.
#[derive(Args)]
struct OptionArgs {
    /// What the files or the connector want to know, as under `source`: `scale=0.1`, `csv.delimiter=;`
    #[arg(long = "option", value_name = "KEY=VALUE")]
    options: Vec<String>,
    /// What the target wants to know, as under `target`: `s3.endpoint=http://127.0.0.1:9000`
    #[arg(long = "target-option", value_name = "KEY=VALUE")]
    target_options: Vec<String>,
    /// The format of what is written: parquet, csv, json or arrow; by a file's ending if absent
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// How it is compressed, such as zstd, gzip or none
    #[arg(long, value_name = "CODEC")]
    compression: Option<String>,
    /// What happens to what is there: version, append, replace or error
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
    /// Rows to a chunk; automatic if absent
    #[arg(long, value_name = "N")]
    chunk_rows: Option<u64>,
}

pub(super) fn copy(app: &App, args: &CopyArgs) -> Result<(), CommandError> {
    if let Some(file) = &args.save {
        new_file::check_is_yaml(file)?;
    }
    let copy = CopyJob::of_args(args)?;
    let text = copy.to_yaml();
    let named = words::of_command;
    let mut job = Job::of_command(&text, &app.settings.policy).map_err(named)?;
    login::ask_if_wanted(app, &mut job).map_err(named)?;
    if let Some(file) = &args.save {
        new_file::write(file, &text, args.force)?;
        show::note(&format!("{}: `longshore run` does the same again", file.display()));
    }
    if args.dry_run {
        return plan::show_plan(app, &job).map_err(|error| named(error).into());
    }
    let done = args.key.with_ledger(app, |ledger| carry_out(app, args, ledger, job, &text));
    done.map_err(|failed| CommandError { error: named(failed.error), ..failed })
}

/// Runs the job; or goes on with a run of the same command that was interrupted.
fn carry_out(
    app: &App,
    args: &CopyArgs,
    ledger: &Ledger,
    job: Job,
    text: &str,
) -> Result<(), CommandError> {
    let mut task = task(app, args, ledger, job)?;
    let signals = app.stop_signals()?;
    kept_job::give_file(&mut task, &app.settings.state, kept_job::COPY, text);
    run::carry_out(app, task, args.watch, signals)
}

fn task(app: &App, args: &CopyArgs, ledger: &Ledger, job: Job) -> Result<Task> {
    let Some(key) = args.key.get() else {
        let run = interrupted_run(ledger, &job)?;
        return Ok(Task::Run(Box::new(run::work(app, ledger, job, run)?)));
    };
    let work = run::work(app, ledger, job.clone(), None)?;
    let work = Work { holders: app.holders(true)?, ..work };
    // The values of parameters are in the text of the job.
    Task::of_key(key, &Arguments::none().into_values(), work, |_| Ok(job))
}

/// The run of the same command that a crash or a kill has ended, if there is one.
fn interrupted_run(ledger: &Ledger, job: &Job) -> Result<Option<String>> {
    for run in ledger.unfinished(Owner::Command)?.into_iter().rev() {
        let is_same = ledger.entry(&run)?.is_some_and(|entry| entry.digest == job.digest);
        if is_same && !ledger.is_locked(&run)? {
            show::note(&format!("going on with run {run}, which was interrupted"));
            return Ok(Some(run));
        }
    }
    Ok(None)
}
