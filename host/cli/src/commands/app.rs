//! What commands work with: the settings, the runtimes, the plugins.

use std::path::Path;
use std::sync::Arc;

use longshore_model::config::settings::SettingsArgs;
use longshore_model::config::{Job, Settings};
use longshore_model::error::{Error, Result};
use longshore_model::memory::memory;
use longshore_plugins::{Catalog, PluginSet, Plugins, Resolver};
use longshore_run::HolderLauncher;
use longshore_sandbox::Sandbox;
use tokio::runtime::{Builder, Handle, Runtime};

/// Threads that serve connections, timers and the inbox; what computes has its own.
const IO_THREADS: usize = 2;

/// A thread's stack: deep SQL is walked on it. Only what is used of it takes memory.
pub(super) const STACK_BYTES: usize = 64 << 20;

/// What commands work with.
pub(super) struct App {
    pub(super) settings: Settings,
    pub(super) json: bool,
    pub(super) io: Runtime,
    compute: Runtime,
}

impl App {
    pub(super) fn new(settings: SettingsArgs, json: bool) -> Result<Self> {
        let settings = Settings::resolve(settings)?;
        memory().set_budget(settings.memory_bytes);
        let fault = |error| Error::io("starting threads", error);
        let io = Builder::new_multi_thread()
            .worker_threads(IO_THREADS)
            .thread_name("io")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .map_err(fault)?;
        let compute = Builder::new_multi_thread()
            .worker_threads(longshore_model::config::settings::cores())
            .thread_name("compute")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .map_err(fault)?;
        Ok(Self { settings, json, io, compute })
    }

    pub(super) fn sandbox(&self) -> Result<Sandbox> {
        let _on_io = self.io.enter();
        Sandbox::new(&self.settings.cache, self.settings.limits)
    }

    pub(super) fn plugins(&self) -> Result<Plugins> {
        let plugins = Plugins::new(self.sandbox()?, &self.settings.plugins);
        Ok(plugins.signed_by(self.settings.policy.signers()))
    }

    /// The plugins as they are now.
    pub(super) fn catalog(&self) -> Result<Arc<Catalog>> {
        self.io.block_on(self.plugins()?.load())
    }

    /// The plugins as they are now, for a job: none if it uses none.
    pub(super) fn catalog_for(&self, job: &Job) -> Result<Arc<Catalog>> {
        if job.uses_plugins() { self.catalog() } else { Ok(Arc::default()) }
    }

    /// The plugins of a job, ready to be opened.
    pub(super) async fn resolve(&self, job: &Job) -> Result<Arc<PluginSet>> {
        if !job.uses_plugins() {
            return Ok(Arc::default());
        }
        let catalog = self.plugins()?.load().await?;
        Resolver::new(&catalog, &self.settings).resolve(job).await.map(Arc::new)
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
            folder: settings.state.join("holders"),
            command: Some(command).filter(|_| starts && settings.hold_secs > 0),
        })
    }

    pub(super) fn compute(&self) -> &Handle {
        self.compute.handle()
    }
}
