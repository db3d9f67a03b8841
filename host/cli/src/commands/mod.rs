//! The command line: one file for each command.

mod api_args;
mod app;
mod board;
mod cluster;
mod completions;
mod copy;
mod docs;
mod hold;
mod init;
mod kept_job;
mod lineage;
mod log;
mod new_file;
mod odbc;
mod params;
mod plan;
mod plugin;
mod plugin_bench;
mod plugin_build;
mod plugin_check;
mod plugin_compile;
mod plugin_install;
mod plugin_new;
mod plugin_replay;
mod preview;
mod progress;
mod remote;
mod run;
mod run_lines;
mod runs;
mod schedule;
mod schema;
mod schema_drift;
mod serve;
mod show;
mod start;
mod state;
mod stdin_job;
mod table;
mod test_connection;
mod token;
mod validate;
mod verify;
mod watched;
mod yaml;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use longshore_model::config::settings::SettingsArgs;
use longshore_model::error::{Error, Result};

use crate::cluster::ClusterProgram;
use crate::remote::{RemoteArgs, SubmitArgs};
use app::App;
use log::LogArgs;
use params::ParamArgs;

pub use start::{main, main_with};

/// Moves tables and query results out of databases into a data lake.
#[derive(Parser)]
#[command(name = "longshore", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    server: RemoteArgs,
    /// Print the answer as JSON on stdout
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    log: LogArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Copy tables, files or a query's result, without a job file
    ///
    /// Examples:
    ///
    ///   longshore copy orders.csv orders.parquet
    ///
    ///   longshore copy postgres://reader@db/shop --table orders s3://lake/shop
    ///
    ///   longshore copy tpch: --option scale=0.1 --table orders out.parquet
    Copy(Box<copy::CopyArgs>),
    /// Run a job and wait for it
    Run(run::RunArgs),
    /// Write a commented job file: by questions, or an example
    Init(init::InitArgs),
    /// Print the completions of a shell
    Completions(completions::CompletionsArgs),
    /// Show what a run would do, without reading rows
    Plan {
        /// The job file; `-` for standard input
        job: PathBuf,
        #[command(flatten)]
        params: ParamArgs,
    },
    /// Show what a job reads and writes, and which columns come from which, without reading rows
    Lineage {
        /// The job file; `-` for standard input
        job: PathBuf,
        #[command(flatten)]
        params: ParamArgs,
    },
    /// Check a job file, without asking its source
    Validate {
        /// The job file; `-` for standard input
        job: PathBuf,
        /// Show the job as it is understood: parameters filled in, defaults named, secrets hidden
        #[arg(long)]
        show: bool,
        #[command(flatten)]
        params: ParamArgs,
    },
    /// Show the first rows of a job's relations, or of files
    Preview {
        /// The job file, `-` for standard input; or files: a path, or a URL, which may be a pattern
        #[arg(value_name = "JOB|FILES")]
        what: String,
        /// How many rows to show
        #[arg(long, default_value_t = 10, value_name = "N")]
        rows: usize,
        /// How rows are shown
        #[arg(long, value_enum, value_name = "FORM", default_value_t)]
        format: preview::Form,
        #[command(flatten)]
        params: ParamArgs,
    },
    /// Check that a job's source answers, and list what can be read there
    TestConnection {
        /// The job file; `-` for standard input
        job: PathBuf,
        #[command(flatten)]
        params: ParamArgs,
    },
    /// List the runs that the ledger knows, newest first
    Runs {
        #[command(subcommand)]
        command: Option<runs::RunsCommand>,
        /// How many to list
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
    },
    /// Give a job to a daemon, and print the run that it gets
    Submit(SubmitArgs),
    /// Wait for a run of a daemon, and end as it ends
    Wait {
        /// The run's id
        run: String,
    },
    /// Re-read what a run published, and say whether it is still what was written
    Verify(verify::VerifyArgs),
    /// Take jobs from a folder, for as long as it runs
    Serve(serve::ServeArgs),
    /// Print a link that opens the daemon's dashboard in a browser, once
    Dashboard(token::DashboardArgs),
    /// Manage the tokens of the daemon's HTTP API
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Look at the schedules of standing jobs, and steer them
    #[command(subcommand)]
    Schedule(schedule::ScheduleCommand),
    /// Look at watermarks: how far incremental relations have been loaded
    #[command(subcommand)]
    State(state::StateCommand),
    /// Keep a job's snapshot open at its source: the daemon starts this
    #[command(hide = true)]
    Hold(hold::HoldArgs),
    /// Write man pages and completions, for packages
    #[command(hide = true)]
    Docs(docs::DocsArgs),
    /// Look at plugins, make them, and check them
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Look at the ODBC drivers and data sources of this machine
    #[command(subcommand)]
    Odbc(odbc::OdbcCommand),
    /// Serve a cluster, whose machines share the work of runs
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Print the JSON Schema of a job file, or look at how the columns of a source have changed
    Schema {
        #[command(subcommand)]
        command: Option<schema_drift::SchemaCommand>,
        /// Print the OpenAPI document of the HTTP API instead
        #[arg(long)]
        api: bool,
    },
}

#[derive(Subcommand)]
enum PluginCommand {
    /// List the plugins
    List(plugin::ListArgs),
    /// Show what a plugin is, asks for, and takes as config
    Inspect {
        /// A plugin's name, or a component's file
        plugin: String,
    },
    /// Copy components into the plugin folder, and take them into its lock file
    Install(plugin_install::InstallArgs),
    /// Write the plugin folder's lock file: only the plugins in it now may be used
    Lock,
    /// Make the crate of a new plugin: it builds, tests and runs as it is
    New(plugin_new::NewArgs),
    /// Compile a plugin's crate and make it a component
    Build(plugin_build::BuildArgs),
    /// Compile the plugins in the plugin folders ahead of time, so that no command has to
    Compile(plugin_compile::CompileArgs),
    /// Run the conformance suite against a component, written in any language
    Check(plugin_check::Subject),
    /// Measure a component: rows per second, computing, memory, calls of the host
    Bench(plugin_bench::BenchArgs),
    /// Run again, off-line, what a plugin did for a chunk that failed
    #[command(
        long_about = "Run again, off-line, what a plugin did for a chunk that failed. A job with \
        `record: on-failure` leaves a tape of it in the state folder: all that crossed into the \
        plugin, rows included, without secrets. The exit code is that of the error that comes; \
        none, if the plugin goes past where it failed."
    )]
    Replay(plugin_replay::ReplayArgs),
}

/// A command's error, and whether its `--json` answer already tells it.
struct CommandError {
    error: Error,
    reported: bool,
}

impl From<Error> for CommandError {
    fn from(error: Error) -> Self {
        Self { error, reported: false }
    }
}

fn dispatch_plugin(app: &App, command: PluginCommand) -> Result<(), CommandError> {
    match command {
        PluginCommand::New(args) => Ok(plugin_new::new(&args)?),
        PluginCommand::Build(args) => Ok(plugin_build::build(app, &args)?),
        PluginCommand::Compile(args) => plugin_compile::compile(app, &args),
        PluginCommand::List(args) => Ok(plugin::list(app, &args)?),
        PluginCommand::Inspect { plugin } => Ok(plugin::inspect(app, &plugin)?),
        PluginCommand::Install(args) => Ok(plugin_install::install(app, &args)?),
        PluginCommand::Lock => Ok(plugin_install::lock(app)?),
        PluginCommand::Check(subject) => plugin_check::check(app, &subject),
        PluginCommand::Bench(args) => Ok(plugin_bench::bench(app, &args)?),
        PluginCommand::Replay(args) => plugin_replay::replay(app, &args),
    }
}

fn dispatch(cli: Cli, program: Option<&dyn ClusterProgram>) -> Result<(), CommandError> {
    match &cli.command {
        Command::Schema { api, command: None } => {
            show::json(&if *api { schema::api() } else { schema::job() });
            return Ok(());
        }
        Command::Schema { api: true, command: Some(_) } => {
            return Err(Error::config("`schema --api` has no subcommand")
                .with_hint("leave one of both out")
                .into());
        }
        Command::Docs(args) => return Ok(docs::docs(args)?),
        Command::Init(args) => return Ok(init::init(args)?),
        Command::Completions(args) => {
            completions::completions(args);
            return Ok(());
        }
        Command::Plugin(PluginCommand::New(args)) => return Ok(plugin_new::new(args)?),
        _ => {}
    }
    let clusters = program.map(|program| program.clusters());
    let app = App::new(cli.settings.clone(), cli.json, clusters)?;
    match cli.command {
        Command::Copy(args) => copy::copy(&app, &args),
        Command::Run(args) => run::run(&app, &args),
        Command::Plan { job, params } => Ok(plan::plan(&app, &job, &params)?),
        Command::Lineage { job, params } => Ok(lineage::lineage(&app, &job, &params)?),
        Command::Validate { job, show, params } => {
            Ok(validate::validate(&app, &job, show, &params)?)
        }
        Command::Preview { what, rows, format, params } => {
            Ok(preview::preview(&app, &what, rows, format, &params)?)
        }
        Command::TestConnection { job, params } => Ok(test_connection::test(&app, &job, &params)?),
        Command::Runs { command: Some(_), limit: Some(_) } => Err(runs::limit_of_one().into()),
        Command::Runs { command, limit } if cli.server.is_given() => {
            Ok(remote::runs(&app, &cli.server, command, limit)?)
        }
        Command::Submit(args) => remote::submit(&app, &cli.server, &args),
        Command::Wait { run } => remote::wait(&app, &cli.server, &run),
        Command::Runs { command, limit } => runs::runs(&app, command, limit),
        Command::Verify(args) => verify::verify(&app, &args),
        Command::Hold(args) => Ok(hold::hold(&app, &args)?),
        Command::Serve(args) => Ok(serve::serve(&app, args, &cli.settings, program)?),
        Command::Dashboard(args) => Ok(token::dashboard(&app, &args)?),
        Command::Token(command) => Ok(token::token(&app, command)?),
        Command::Schedule(command) => Ok(schedule::schedule(&app, command)?),
        Command::State(command) => Ok(state::state(&app, command)?),
        Command::Cluster(command) => Ok(cluster::cluster(&app, program, command)?),
        Command::Odbc(command) => Ok(odbc::odbc(&app, &command)?),
        Command::Plugin(command) => dispatch_plugin(&app, command),
        Command::Schema { command: Some(command), .. } => schema_drift::schema(&app, &command),
        Command::Docs(_) | Command::Init(_) | Command::Completions(_) | Command::Schema { .. } => {
            Ok(())
        }
    }
}
