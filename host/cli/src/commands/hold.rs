//! `longshore hold`: the holder's process. The daemon starts it; nobody else need.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use longshore_model::config::Job;
use longshore_model::error::Result;
use longshore_run::hold as hold_source;

use super::App;

#[derive(Args)]
pub(super) struct HoldArgs {
    /// The job file
    job: PathBuf,
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
    let job = Job::read_in(&args.job, &args.name, &args.folder, &app.settings.policy)?;
    let catalog = app.catalog()?;
    let alone = Duration::from_secs(app.settings.hold_secs);
    let holding = hold_source(&catalog, &app.settings, &job, &args.connector, &args.socket, alone);
    app.io.block_on(holding)
}
