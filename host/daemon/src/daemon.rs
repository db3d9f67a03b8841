//! The daemon: all that its loop and its runs work with.

use std::sync::Arc;
use std::time::Duration;

use longshore_model::config::Settings;
use longshore_plugins::Plugins;
use longshore_run::HolderLauncher;
use longshore_run::cluster::Cluster;
use longshore_run::ledger::Ledger;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::active_runs::Watch;
use super::api::Api;
use super::manager::Manager;
use super::schedules::Schedules;
use super::submissions::Submissions;

/// The parts of a daemon.
pub struct Daemon {
    /// The plugins.
    pub plugins: Arc<Plugins>,
    /// The operator's settings; read again on request.
    pub settings: Arc<Mutex<Settings>>,
    /// The runtime that computes.
    pub compute: Handle,
    /// The durable state of runs.
    pub ledger: Ledger,
    /// Keeps snapshots while the daemon is away.
    pub holders: Option<HolderLauncher>,
    /// The clusters that jobs may name; none, if this program can use none.
    pub clusters: Option<Arc<dyn Cluster>>,
    /// Shows progress.
    pub watch: Watch,
    /// Jobs at the same time.
    pub jobs: usize,
    /// How long a stop lets chunks finish.
    pub drain: Duration,
    /// Whoever started the daemon.
    pub manager: Manager,
    /// The API, whose listeners are open.
    pub api: Mutex<Option<Api>>,
    /// What schedules, the API and commands ask for.
    pub submissions: Submissions,
    /// The standing jobs, if there is a folder of them.
    pub schedules: Option<Schedules>,
    /// The last error that kept jobs from being taken.
    pub last_fault: Mutex<Option<String>>,
}

impl Daemon {
    /// The operator's settings, as they are now.
    pub(super) fn settings(&self) -> Settings {
        self.settings.lock().clone()
    }
}
