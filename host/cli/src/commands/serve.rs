//! `longshore serve --inbox DIR --state DIR`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use longshore_model::config::Settings;
use longshore_model::config::settings::SettingsArgs;
use longshore_model::error::{Error, Result};
use longshore_run::ledger::Ledger;
use parking_lot::Mutex;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};

use super::api_args::ApiArgs;
use super::cluster::built_with_clusters;
use super::{App, progress};
use crate::cluster::{ClusterProgram, SchedulerOptions};
use longshore_daemon::api::{Api, ApiParts};
use longshore_daemon::{
    ActiveRuns, DRAIN_SECS, Daemon, Inbox, Manager, Schedules, Signal, Submissions, Watch, lock,
};

/// Job files at the same time, unless told.
const JOBS: usize = 2;

#[derive(Args)]
pub(super) struct ServeArgs {
    /// The folder that job files are dropped into; `running`, `done` and `failed` are made in it
    #[arg(long, env = "LONGSHORE_INBOX", value_name = "DIR")]
    inbox: PathBuf,
    /// How many jobs to run at the same time
    #[arg(long, env = "LONGSHORE_JOBS", default_value_t = JOBS, value_name = "N")]
    jobs: usize,
    /// How long to let chunks finish when told to stop; what does not is read again after the start
    #[arg(long, env = "LONGSHORE_DRAIN_SECS", default_value_t = DRAIN_SECS, value_name = "SECS")]
    drain_secs: u64,
    /// The address at which the daemon is the scheduler of a cluster, too
    #[arg(long, env = "LONGSHORE_SCHEDULER_LISTEN", value_name = "ADDR")]
    scheduler_listen: Option<SocketAddr>,
    #[command(flatten)]
    api: ApiArgs,
}

pub(super) fn serve(
    app: &App,
    args: ServeArgs,
    settings: &SettingsArgs,
    program: Option<&dyn ClusterProgram>,
) -> Result<()> {
    let state = &app.settings.state;
    // First of all: a daemon that is told to stop while it starts ends as one that runs.
    let signals = app.io.block_on(async { signals() })?;
    // Held as long as the daemon lives: one daemon a folder.
    let _lock = lock(state)?;
    // Before the API is there: nobody submits to a daemon that may not have its inbox.
    let inbox = Inbox::open(&args.inbox)?;
    let watch: Watch =
        Arc::new(|run, job, progress| Box::new(progress::events(run, job, progress)));
    let ledger = Ledger::open(state)?;
    let (active, jobs) = (ActiveRuns::default(), args.jobs.max(1));
    let plugins = Arc::new(app.plugins()?.written_down_in(state));
    let settings_now = Arc::new(Mutex::new(Settings::clone(&app.settings)));
    let submissions = Submissions::new(state, ledger.clone());
    let schedules = Schedules::keep(&app.settings, ledger.clone(), submissions.clone());
    let parts = ApiParts {
        ledger: ledger.clone(),
        submissions: submissions.clone(),
        schedules: schedules.clone(),
        active: active.clone(),
        settings: settings_now.clone(),
        plugins: plugins.clone(),
        compute: app.compute().clone(),
        inbox: inbox.folder().to_owned(),
        jobs_at_once: jobs,
    };
    let api = app.io.block_on(Api::bind(state, args.api.into(), parts))?;
    if let Some(listen) = args.scheduler_listen {
        let program = built_with_clusters(program)?;
        program.scheduler_beside(&app.host, SchedulerOptions { listen })?;
    }
    let daemon = Daemon {
        plugins,
        settings: settings_now,
        compute: app.compute().clone(),
        schedules,
        submissions,
        ledger,
        holders: Some(app.holders(true)?),
        clusters: app.host.clusters.clone(),
        watch: active.watch(watch),
        jobs,
        api: Mutex::new(Some(api)),
        drain: Duration::from_secs(args.drain_secs),
        manager: Manager::of_process(),
        last_fault: Mutex::default(),
    };
    app.io.block_on(daemon.serve(inbox, signals, || Settings::resolve(settings.clone())))
}

/// SIGTERM and SIGINT stop, SIGHUP reloads.
fn signals() -> Result<Receiver<Signal>> {
    let (send, receive) = channel(8);
    let kinds = [
        (SignalKind::terminate(), Signal::Stop),
        (SignalKind::interrupt(), Signal::Stop),
        (SignalKind::hangup(), Signal::Reload),
    ];
    for (kind, meaning) in kinds {
        let mut arriving = signal(kind).map_err(|error| Error::io("waiting for signals", error))?;
        let send = send.clone();
        tokio::spawn(async move {
            while arriving.recv().await.is_some() && send.send(meaning).await.is_ok() {}
        });
    }
    Ok(receive)
}
