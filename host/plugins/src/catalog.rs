//! The catalog: the plugins that serve at one moment, by file. A run keeps the one that it began
//! with, so that whatever happens to the plugin folder, it never mixes versions.

use std::cmp::Reverse;
use std::path::PathBuf;
use std::sync::Arc;

use longshore_model::config::{PluginFolders, PluginRequirement};
use longshore_model::error::{Error, Result};

use super::kind::PluginKind;
use super::plugin::{Plugin, PluginDigests};

/// One file of the plugin folder.
#[derive(Clone)]
pub struct Slot {
    /// The file.
    pub path: PathBuf,
    /// The plugin that serves: the last good one that the file held.
    pub serving: Option<Arc<Plugin>>,
    /// Why what the file holds now is not used.
    pub fault: Option<Arc<Error>>,
}

/// The plugins that serve at one moment.
#[derive(Clone, Default)]
pub struct Catalog {
    folders: Option<PluginFolders>,
    slots: Vec<Slot>,
}

impl Catalog {
    pub(super) fn new(folders: PluginFolders, slots: Vec<Slot>) -> Self {
        Self { folders: Some(folders), slots }
    }

    /// The same, with these plugins besides: of equal versions, they are chosen.
    pub fn with(&self, plugins: Vec<Plugin>) -> Self {
        let slot = |plugin: Plugin| Slot {
            path: plugin.path().to_owned(),
            serving: Some(Arc::new(plugin)),
            fault: None,
        };
        let slots = self.slots.iter().cloned().chain(plugins.into_iter().map(slot));
        Self { folders: self.folders.clone(), slots: slots.collect() }
    }

    /// Whether a plugin of this digest serves.
    pub fn has(&self, digest: &str) -> bool {
        self.serving().any(|plugin| plugin.digest() == digest)
    }

    /// Every file, by folder and name.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The connector for a URL scheme: the one that is wanted, or the highest version.
    pub fn connector(&self, scheme: &str, wanted: &PluginRequirement) -> Result<Arc<Plugin>> {
        self.choose(PluginKind::Connector, &format!("connector for `{scheme}:`"), scheme, wanted)
    }

    /// The transform of a name.
    pub fn transform(&self, wanted: &PluginRequirement) -> Result<Arc<Plugin>> {
        let name = wanted.name.clone().unwrap_or_default();
        self.choose(PluginKind::Transform, &format!("transform `{name}`"), &name, wanted)
    }

    /// The sink for a URL scheme: the one that is wanted, or the highest version.
    pub fn sink(&self, scheme: &str, wanted: &PluginRequirement) -> Result<Arc<Plugin>> {
        let what = format!("sink for `{scheme}:`");
        let chosen = self.choose(PluginKind::Sink, &what, scheme, wanted);
        chosen.map_err(|error| match error.hint() {
            Some(hint) => {
                let hint = format!("write to file, s3, azure, hdfs or sftp; or {hint}");
                error.with_hint(hint)
            }
            None => error,
        })
    }

    /// A plugin of any kind.
    pub fn find(&self, wanted: &PluginRequirement) -> Option<Arc<Plugin>> {
        self.best(self.serving().filter(|plugin| fits(wanted, plugin))).cloned()
    }

    /// What a run that uses these plugins should know: that a file holds something newer, which
    /// cannot be used.
    pub fn warnings(&self, digests: &PluginDigests) -> Vec<String> {
        let used = |plugin: &Plugin| digests.values().any(|digest| digest == plugin.digest());
        let warning = |slot: &Slot| {
            let (plugin, fault) = (slot.serving.as_ref()?, slot.fault.as_ref()?);
            used(plugin).then(|| {
                format!("{fault}: the last good one is used, {} {}", plugin.name(), plugin.version)
            })
        };
        self.slots.iter().filter_map(warning).collect()
    }

    fn serving(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        self.slots.iter().filter_map(|slot| slot.serving.as_ref())
    }

    /// The best of the plugins of a kind that answer to a word and are wanted.
    fn choose(
        &self,
        kind: PluginKind,
        what: &str,
        word: &str,
        wanted: &PluginRequirement,
    ) -> Result<Arc<Plugin>> {
        let of_kind = || self.serving().filter(|plugin| plugin.kind() == kind);
        let answering =
            || of_kind().filter(|plugin| plugin.words().iter().any(|answer| answer == word));
        if let Some(plugin) = self.best(answering().filter(|plugin| fits(wanted, plugin))) {
            return Ok(plugin.clone());
        }
        let there: Vec<String> = answering().map(|plugin| plugin.title()).collect();
        if !there.is_empty() {
            let message = format!("no {what} is `{wanted}` in {}", self.place());
            return Err(Error::config(message).with_hint(format!("there is {}", there.join(", "))));
        }
        let faults = self.slots.iter().filter(|slot| slot.serving.is_none());
        let faults: Vec<String> =
            faults.filter_map(|slot| slot.fault.as_ref()).map(ToString::to_string).collect();
        let message = format!("no {what} in {}", self.place());
        let message = match faults.as_slice() {
            [] => message,
            faults => format!("{message} (not usable there: {})", faults.join("; ")),
        };
        let known: Vec<String> = of_kind().flat_map(|plugin| plugin.words().to_vec()).collect();
        Err(Error::config(message).with_hint(match known.as_slice() {
            [] => "put the plugin's component there".to_owned(),
            known => format!("there is {}; put another plugin's component there", known.join(", ")),
        }))
    }

    /// The highest version; of equal ones, that of the folder named first, and there the one that
    /// came last.
    fn best<'a>(&self, plugins: impl Iterator<Item = &'a Arc<Plugin>>) -> Option<&'a Arc<Plugin>> {
        let folders = self.folders.as_ref().map_or(&[][..], PluginFolders::all);
        let folder = |plugin: &Plugin| {
            folders.iter().position(|folder| plugin.path().parent() == Some(folder.as_path()))
        };
        plugins.max_by_key(|plugin| (&plugin.version, Reverse(folder(plugin)), plugin.changed()))
    }

    /// Where its plugins lie.
    fn place(&self) -> String {
        let folders = self.folders.as_ref().map(ToString::to_string);
        folders.filter(|folders| !folders.is_empty()).unwrap_or_else(|| "the plugins given".into())
    }
}

fn fits(wanted: &PluginRequirement, plugin: &Plugin) -> bool {
    wanted.fits(plugin.name(), &plugin.version, plugin.digest())
}
