//! `longshore hold`: the holder's process. The daemon starts it; nobody else need.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use longshore_model::config::{Arguments, Job};
use longshore_model::error::Result;
use longshore_run::hold as hold_source;
use longshore_run::ledger::Ledger;

use super::App;

#[derive(Args)]
pub(super) struct HoldArgs {
    /// The job file
    job: PathBuf,
    /// The run, whose parameters have values in the ledger
    #[arg(long)]
    run: String,
    /// What it was called when it was dropped
    #[arg(long)]
    name: String,
    /// Where it lay then
    #[arg(long)]
    folder: PathBuf,
    /// The SHA-256 of the connector that the run uses
    #[arg(long)]
    connector: String,
    /// The socket to listen at
    #[arg(long)]
    socket: PathBuf,
}

pub(super) fn hold(app: &App, args: &HoldArgs) -> Result<()> {
    let entry = Ledger::open(&app.settings.state)?.entry(&args.run)?;
    let arguments = Arguments::of_run(&entry.map(|entry| entry.parameters).unwrap_or_default());
    let (file, policy) = (&args.job, &app.settings.policy);
    let job = Job::read_in(file, &args.name, &args.folder, &arguments, policy)?;
    let catalog = app.catalog()?;
    let alone = Duration::from_secs(app.settings.hold_secs);
    let holding = hold_source(&catalog, &app.settings, &job, &args.connector, &args.socket, alone);
    app.io.block_on(holding)
}
