//! What commands work with: the settings, the threads, the plugins.

use std::path::Path;
use std::sync::Arc;

use longshore::program::{Host, holders_folder};
use longshore_model::config::settings::SettingsArgs;
use longshore_model::config::{Job, Settings};
use longshore_model::error::{Error, Result};
use longshore_plugins::{Catalog, PluginSet, Plugins};
use longshore_run::HolderLauncher;
use longshore_run::cluster::Cluster;
use longshore_sandbox::Sandbox;
use tokio::runtime::{Handle, Runtime};

use crate::stop_signals::StopSignals;

/// The settings and threads that commands share.
pub(super) struct App {
    pub(super) settings: Arc<Settings>,
    pub(super) json: bool,
    pub(super) host: Host,
    pub(super) io: &'static Runtime,
}

impl App {
    pub(super) fn new(
        settings: SettingsArgs,
        json: bool,
        clusters: Option<Arc<dyn Cluster>>,
    ) -> Result<Self> {
        let settings = Settings::resolve(settings)?;
        longshore::set_memory_budget(settings.memory_bytes);
        let host = Host::of_program(settings)?.with_clusters(clusters);
        Ok(Self { settings: host.settings.clone(), json, io: &host.threads.io, host })
    }

    pub(super) fn sandbox(&self) -> Result<Sandbox> {
        self.host.sandbox()
    }

    pub(super) fn plugins(&self) -> Result<Plugins> {
        self.host.plugins()
    }

    /// The plugins as they are now.
    pub(super) fn catalog(&self) -> Result<Arc<Catalog>> {
        self.io.block_on(self.host.catalog())
    }

    /// The plugins as they are now, for a job: none if it uses none.
    pub(super) fn catalog_for(&self, job: &Job) -> Result<Arc<Catalog>> {
        self.io.block_on(self.host.catalog_for(job))
    }

    /// The plugins of a job, ready to be opened.
    pub(super) async fn resolve(&self, job: &Job) -> Result<Arc<PluginSet>> {
        self.host.resolve(job).await
    }

    /// What finds the holders of the state folder, and starts them with these settings.
    pub(super) fn holders(&self, starts: bool) -> Result<HolderLauncher> {
        let program = std::env::current_exe()
            .map_err(|error| Error::io("finding the program itself", error))?;
        let path = |path: &Path| path.display().to_string();
        let settings = &self.settings;
        let mut command = vec![path(&program)];
        for folder in settings.plugins.all() {
            command.extend(["--plugins".into(), path(folder)]);
        }
        command.extend(["--cache".into(), path(&settings.cache)]);
        command.extend(["--state".into(), path(&settings.state)]);
        command.extend(["--hold-secs".into(), settings.hold_secs.to_string()]);
        if let Some(secrets) = &settings.secrets {
            command.extend(["--secrets".into(), path(secrets)]);
        }
        for (flag, file) in [("--config", &settings.file), ("--policy", &settings.policy_file)] {
            command.extend(file.iter().flat_map(|file| [flag.to_owned(), path(file)]));
        }
        Ok(HolderLauncher {
            folder: holders_folder(&self.host),
            command: Some(command).filter(|_| starts && settings.hold_secs > 0),
        })
    }

    /// The signals that ask the program to stop, from now on.
    pub(super) fn stop_signals(&self) -> Result<StopSignals> {
        let _on_io = self.io.enter();
        StopSignals::listen()
    }

    pub(super) fn compute(&self) -> &Handle {
        self.host.threads.compute.handle()
    }
}
