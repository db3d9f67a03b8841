//! What a job is worked on with: settings, and plugins from folders, files or memory.

use std::sync::Arc;

use longshore_model::config::{Job, Settings as Checked};
use longshore_model::error::{Error, Result};
use longshore_plugins::{Admission, Catalog, Compile, Plugin, PluginSet, Plugins, Resolver};
use longshore_run::cluster::Cluster;
use longshore_sandbox::Sandbox;
use tempfile::TempDir;

use crate::component::{ComponentSource, Traps};
use crate::settings::Settings;
use crate::threads::{Threads, threads};

/// What a job is worked on with. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    /// The settings.
    pub settings: Arc<Checked>,
    /// Where it is worked on.
    pub threads: &'static Threads,
    components: Vec<ComponentSource>,
    traps: Traps,
    /// The clusters that runs may go to, if this program can use any.
    pub clusters: Option<Arc<dyn Cluster>>,
    /// The state folder, if it goes with the last who uses it.
    _temporary: Option<Arc<TempDir>>,
}

impl Host {
    /// That of the program, whose signals are its own.
    pub fn of_program(settings: Checked) -> Result<Self> {
        Ok(Self {
            settings: Arc::new(settings),
            threads: threads()?,
            components: Vec::new(),
            traps: Traps::Signals,
            clusters: None,
            _temporary: None,
        })
    }

    /// The same, with clusters that runs may go to, if the program has any.
    pub fn with_clusters(self, clusters: Option<Arc<dyn Cluster>>) -> Self {
        Self { clusters, ..self }
    }

    /// For settings, with a state folder for a while if they name none.
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        let inner = &settings.0;
        let mut checked = inner.checked.clone();
        let temporary = match &inner.state {
            Some(_) => None,
            None => Some(state_for_a_while(&mut checked)?),
        };
        Ok(Self {
            settings: Arc::new(checked),
            threads: threads()?,
            components: inner.components.clone(),
            traps: inner.traps,
            clusters: None,
            _temporary: temporary.map(Arc::new),
        })
    }

    /// A new sandbox, whose connections are served by Longshore's own threads.
    pub fn sandbox(&self) -> Result<Sandbox> {
        let _on_io = self.threads.io.enter();
        let (cache, limits) = (&self.settings.cache, self.settings.limits);
        match self.traps {
            Traps::Checks => Sandbox::without_signal_handlers(cache, limits),
            Traps::Signals => Sandbox::new(cache, limits),
        }
    }

    /// The plugin folders.
    pub fn plugins(&self) -> Result<Plugins> {
        Ok(self.plugins_in(self.sandbox()?))
    }

    fn plugins_in(&self, sandbox: Sandbox) -> Plugins {
        let plugins = Plugins::new(sandbox, &self.settings.plugins);
        plugins.signed_by(self.settings.policy.signers())
    }

    /// The plugins as they are now.
    pub async fn catalog(&self) -> Result<Arc<Catalog>> {
        let sandbox = self.sandbox()?;
        let catalog = self.plugins_in(sandbox.clone()).load().await?;
        if self.components.is_empty() {
            return Ok(catalog);
        }
        let mut given = Vec::new();
        for component in &self.components {
            given.push(self.load(&sandbox, component).await?);
        }
        Ok(Arc::new(catalog.with(given)))
    }

    async fn load(&self, sandbox: &Sandbox, component: &ComponentSource) -> Result<Plugin> {
        let admission = Admission::signed(self.settings.policy.signers());
        match component {
            ComponentSource::File(path) => {
                Plugin::load(sandbox, path, &admission, Compile::OnUse).await
            }
            ComponentSource::Bytes(name, bytes) => {
                Plugin::load_bytes(sandbox, name, bytes.clone(), &admission, Compile::OnUse).await
            }
        }
    }

    /// The plugins as they are now, for a job: none if it uses none.
    pub async fn catalog_for(&self, job: &Job) -> Result<Arc<Catalog>> {
        if job.uses_plugins() { self.catalog().await } else { Ok(Arc::default()) }
    }

    /// The plugins of a job, ready to be opened.
    pub async fn resolve(&self, job: &Job) -> Result<Arc<PluginSet>> {
        if !job.uses_plugins() {
            return Ok(Arc::default());
        }
        let catalog = self.catalog().await?;
        Resolver::new(&catalog, &self.settings).resolve(job).await.map(Arc::new)
    }
}

fn state_for_a_while(checked: &mut Checked) -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("longshore-").tempdir();
    let folder = folder.map_err(|error| Error::io("making a state folder for a while", error))?;
    folder.path().clone_into(&mut checked.state);
    checked.policy.keep_private(folder.path(), checked.secrets.as_deref());
    Ok(folder)
}
