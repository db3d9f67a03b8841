//! The settings of transfers, as a program gives them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use longshore_model::config::settings::{SettingsArgs, default_cache};
use longshore_model::config::{PluginFolders, Policy, Settings as Checked};
use longshore_model::error::{Error, Result};
use longshore_model::limits::Limits;

use crate::component::{ComponentSource, Traps};

/// The settings of transfers. Cheap to clone; transfers with different settings can run at the same time.
#[derive(Clone, Debug)]
pub struct Settings(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    /// The folder of its state is empty where it has none.
    pub(crate) checked: Checked,
    pub(crate) state: Option<PathBuf>,
    pub(crate) components: Vec<ComponentSource>,
    pub(crate) traps: Traps,
}

impl Settings {
    /// Settings with the defaults of a library: no environment variable but `LONGSHORE_PLUGINS`, and no
    /// `longshore.toml`, changes them.
    pub fn builder() -> SettingsBuilder {
        SettingsBuilder::default()
    }

    /// The settings that the program would have: those of `longshore.toml` and of the environment. Its state folder
    /// is among them, so that `longshore runs` lists the runs.
    pub fn of_program() -> Result<Self> {
        let checked = Checked::resolve(SettingsArgs::default())?;
        let state = Some(checked.state.clone());
        Ok(Self(Arc::new(Inner { checked, state, components: Vec::new(), traps: Traps::Checks })))
    }
}

/// Collects settings. Each is named as in `longshore.toml`, and has its default there unless it says otherwise.
#[derive(Clone, Debug, Default)]
#[must_use = "`build` makes settings of it"]
pub struct SettingsBuilder {
    state: Option<PathBuf>,
    cache: Option<PathBuf>,
    secrets: Option<PathBuf>,
    policy: Option<PathBuf>,
    folders: Vec<PathBuf>,
    components: Vec<ComponentSource>,
    parallel: Option<usize>,
    retries: Option<u32>,
    relation_retries: Option<u32>,
    retry_backoff: Option<Duration>,
    history_runs: Option<u64>,
    limits: Limits,
    traps: Traps,
}

impl SettingsBuilder {
    /// The folder of the ledger: what survives the process. Without one, each run has a folder of its own among the
    /// temporary files, which goes with it: then there are no run keys, and no incremental relations.
    pub fn state(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state = Some(folder.into());
        self
    }

    /// The folder of compiled plugins, which the program shares; `~/.cache/longshore` by default.
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(folder.into());
        self
    }

    /// The folder of secrets, one file each; there is none by default.
    pub fn secrets(mut self, folder: impl Into<PathBuf>) -> Self {
        self.secrets = Some(folder.into());
        self
    }

    /// The file of the policy: what jobs and plugins may touch; whatever jobs name, by default.
    pub fn policy(mut self, file: impl Into<PathBuf>) -> Self {
        self.policy = Some(file.into());
        self
    }

    /// A folder of plugins; may be called again. By default those of `LONGSHORE_PLUGINS`, else `plugins` beside the
    /// program that runs.
    pub fn plugins(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folders.push(folder.into());
        self
    }

    /// One component, by its file; may be called again.
    pub fn plugin(mut self, file: impl Into<PathBuf>) -> Self {
        self.components.push(ComponentSource::File(file.into()));
        self
    }

    /// One component that is in memory, such as one of `include_bytes!`; may be called again. Errors call it `name`.
    pub fn plugin_bytes(
        mut self,
        name: impl Into<String>,
        component: impl Into<Arc<[u8]>>,
    ) -> Self {
        self.components.push(ComponentSource::Bytes(name.into(), component.into()));
        self
    }

    /// How many chunks to read at the same time, unless the job says.
    pub fn parallel(mut self, chunks: usize) -> Self {
        self.parallel = Some(chunks);
        self
    }

    /// How often a chunk is tried again.
    pub fn retries(mut self, limit: u32) -> Self {
        self.retries = Some(limit);
        self
    }

    /// How often chunks whose retries are used up are tried again, after the rest of their relation.
    pub fn relation_retries(mut self, limit: u32) -> Self {
        self.relation_retries = Some(limit);
        self
    }

    /// The wait before the first retry, in whole milliseconds; it doubles with each.
    pub fn retry_backoff(mut self, wait: Duration) -> Self {
        self.retry_backoff = Some(wait);
        self
    }

    /// How many runs the ledger remembers.
    pub fn history_runs(mut self, runs: u64) -> Self {
        self.history_runs = Some(runs);
        self
    }

    /// What one instance of a plugin may use.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Has faults of plugins told by handlers of SIGSEGV, SIGBUS, SIGILL and SIGFPE, as in the program. Plugins are
    /// quicker then. The handlers are those of the whole process, and stay; they pass on what is not theirs.
    pub fn signal_handlers(mut self) -> Self {
        self.traps = Traps::Signals;
        self
    }

    /// Checks the settings.
    pub fn build(self) -> Result<Settings> {
        let folders = plugin_folders(&self.folders)?;
        let cache = absolute(self.cache.unwrap_or_else(default_cache))?;
        let state = self.state.as_deref().map(absolute).transpose()?;
        let mut checked = Checked::with_defaults(folders, cache, state.clone().unwrap_or_default());
        checked.secrets = self.secrets.as_deref().map(absolute).transpose()?;
        checked.policy = self.policy.as_deref().map(Policy::read).transpose()?.unwrap_or_default();
        checked.policy_file = self.policy;
        if let Some(state) = &state {
            checked.policy.keep_private(state, checked.secrets.as_deref());
        }
        match self.parallel {
            Some(0) => return Err(Error::config("`parallel` is 0").with_hint("give 1 or more")),
            Some(parallel) => checked.parallel = parallel,
            None => {}
        }
        let retry = &mut checked.retry;
        retry.limit = self.retries.unwrap_or(retry.limit);
        retry.relation_limit = self.relation_retries.unwrap_or(retry.relation_limit);
        if let Some(wait) = self.retry_backoff {
            retry.backoff_millis = wait.as_millis().try_into().unwrap_or(u64::MAX);
        }
        checked.history_runs = self.history_runs.unwrap_or(checked.history_runs);
        self.limits.check()?;
        checked.limits = self.limits;
        let (components, traps) = (self.components, self.traps);
        Ok(Settings(Arc::new(Inner { checked, state, components, traps })))
    }
}

/// The folders that are named; else those of the environment that are there.
fn plugin_folders(named: &[PathBuf]) -> Result<PluginFolders> {
    if !named.is_empty() {
        return PluginFolders::of(named);
    }
    let folders = PluginFolders::of_environment()?;
    let there: Vec<PathBuf> = folders.all().iter().filter(|path| path.is_dir()).cloned().collect();
    PluginFolders::of(&there)
}

fn absolute(path: impl AsRef<Path>) -> Result<PathBuf> {
    let path = path.as_ref();
    std::path::absolute(path).map_err(|error| Error::io(path.display(), error))
}
