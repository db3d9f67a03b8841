//! `longshore hold`: the holder's process. The daemon starts it; nobody else need.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::App;
use crate::config::Job;
use crate::error::Result;
use crate::run::hold as hold_source;

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
    /// The socket to listen at
    #[arg(long)]
    socket: PathBuf,
}

pub(super) fn hold(app: &App, args: &HoldArgs) -> Result<()> {
    let job = Job::read_in(&args.job, &args.name, &args.folder)?;
    let catalog = app.catalog()?;
    let alone = Duration::from_secs(app.settings.hold_secs);
    app.io.block_on(hold_source(&catalog, &app.settings, &job, &args.socket, alone))
}
