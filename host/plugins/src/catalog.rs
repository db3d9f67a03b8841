//! The catalog: the plugins that serve at one moment, by file. A run keeps the one that it began
//! with, so that whatever happens to the plugin folder, it never mixes versions.

use std::cmp::Reverse;
use std::path::PathBuf;
use std::sync::Arc;

use longshore_model::config::{PluginFolders, PluginRequirement};
use longshore_model::error::{Error, Result};
use longshore_sandbox::{
    ConnectorComponent, ConnectorDescription, SinkComponent, SinkDescription, TransformComponent,
    TransformDescription,
};

use super::component::{Chosen, ConnectorPlugin, Described, Plugin, SinkPlugin, TransformPlugin};

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

/// What a plugin of a kind says that it is, what runs it, and what it answers to.
type OfKind<'a, D, C> = Option<(&'a D, &'a C, &'a [String])>;

impl Catalog {
    pub(super) fn new(folders: PluginFolders, slots: Vec<Slot>) -> Self {
        Self { folders: Some(folders), slots }
    }

    /// Every file, by folder and name.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The connector for a URL scheme: the one that is wanted, or the highest version.
    pub fn connector(&self, scheme: &str, wanted: &PluginRequirement) -> Result<ConnectorPlugin> {
        fn of_kind(described: &Described) -> OfKind<'_, ConnectorDescription, ConnectorComponent> {
            match described {
                Described::Connector(d, c) => Some((d, c, d.schemes.as_slice())),
                _ => None,
            }
        }
        self.choose(&format!("connector for `{scheme}:`"), scheme, wanted, of_kind)
    }

    /// The transform of a name.
    pub fn transform(&self, wanted: &PluginRequirement) -> Result<TransformPlugin> {
        fn of_kind(described: &Described) -> OfKind<'_, TransformDescription, TransformComponent> {
            match described {
                Described::Transform(d, c) => Some((d, c, std::slice::from_ref(&d.name))),
                _ => None,
            }
        }
        let name = wanted.name.clone().unwrap_or_default();
        self.choose(&format!("transform `{name}`"), &name, wanted, of_kind)
    }

    /// The sink for a URL scheme: the one that is wanted, or the highest version.
    pub fn sink(&self, scheme: &str, wanted: &PluginRequirement) -> Result<SinkPlugin> {
        fn of_kind(described: &Described) -> OfKind<'_, SinkDescription, SinkComponent> {
            match described {
                Described::Sink(d, c) => Some((d, c, d.schemes.as_slice())),
                _ => None,
            }
        }
        let chosen = self.choose(&format!("sink for `{scheme}:`"), scheme, wanted, of_kind);
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
    pub fn warnings(&self, digests: &[&str]) -> Vec<String> {
        let used = |plugin: &Plugin| digests.contains(&plugin.digest.as_str());
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
    fn choose<D: Clone, C: Clone>(
        &self,
        what: &str,
        word: &str,
        wanted: &PluginRequirement,
        of_kind: impl Fn(&Described) -> OfKind<'_, D, C>,
    ) -> Result<Chosen<D, C>> {
        let answers = |plugin: &Arc<Plugin>, word: &str| {
            let of_kind = of_kind(&plugin.described);
            of_kind.is_some_and(|(_, _, answers)| answers.iter().any(|answer| answer == word))
        };
        let answering = || self.serving().filter(|plugin| answers(plugin, word));
        if let Some(plugin) = self.best(answering().filter(|plugin| fits(wanted, plugin)))
            && let Some((described, component, _)) = of_kind(&plugin.described)
        {
            let (version, digest) = (plugin.version.clone(), plugin.digest.clone());
            let (described, component) = (described.clone(), component.clone());
            return Ok(Chosen {
                described,
                component,
                version,
                digest,
                asks_for_odbc: plugin.stamp.asks_for_odbc(),
                asks_for_kerberos: plugin.stamp.asks_for_kerberos(),
            });
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
        let of_kind = self.serving().filter_map(|plugin| of_kind(&plugin.described));
        let known: Vec<String> = of_kind.flat_map(|(_, _, answers)| answers.to_vec()).collect();
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
            folders.iter().position(|folder| plugin.path.parent() == Some(folder.as_path()))
        };
        plugins.max_by_key(|plugin| (&plugin.version, Reverse(folder(plugin)), plugin.came))
    }

    /// Where its plugins lie.
    fn place(&self) -> String {
        self.folders.as_ref().map(ToString::to_string).unwrap_or_default()
    }
}

fn fits(wanted: &PluginRequirement, plugin: &Plugin) -> bool {
    wanted.fits(plugin.name(), &plugin.version, &plugin.digest)
}
