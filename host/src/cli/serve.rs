//! `longshore serve --inbox DIR --state DIR`

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::{App, run::stopped, show};
use crate::daemon::{Daemon, Watch};
use crate::error::Result;

/// Job files at the same time, unless told.
const JOBS: usize = 2;

#[derive(Args)]
pub(super) struct ServeArgs {
    /// The folder that job files are dropped into; `running`, `done` and `failed` are made in it
    #[arg(long, env = "LONGSHORE_INBOX", value_name = "DIR")]
    inbox: PathBuf,
    /// The daemon's own folder: one daemon a folder
    #[arg(long, env = "LONGSHORE_STATE", value_name = "DIR")]
    state: PathBuf,
    /// How many jobs to run at the same time
    #[arg(long, env = "LONGSHORE_JOBS", default_value_t = JOBS, value_name = "N")]
    jobs: usize,
}

pub(super) fn serve(app: &App, args: ServeArgs) -> Result<()> {
    let watch: Watch = Arc::new(|progress| Box::new(show::progress(progress)));
    let compute = app.compute().clone();
    let jobs = args.jobs.max(1);
    let daemon =
        Daemon::new(app.catalog()?, app.settings.clone(), compute, &args.state, jobs, watch)?;
    app.io.block_on(daemon.serve(&args.inbox, stopped()))
}
