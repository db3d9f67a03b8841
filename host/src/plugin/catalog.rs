//! The catalog: the plugins in the plugin folder, loaded, described, ready to make instances.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::contract::Stamp;
use crate::error::{Error, Result, ResultExt};
use crate::sandbox::{
    ConnectorComponent, ConnectorDescription, Sandbox, SinkDescription, TransformComponent,
    TransformDescription, describe_sink,
};

/// The largest component that is loaded.
pub const COMPONENT_LIMIT_BYTES: u64 = 64 << 20;

/// The kinds of plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Reads rows.
    Connector,
    /// Changes rows.
    Transform,
    /// Writes rows.
    Sink,
}

impl Kind {
    /// The kind whose interface this is.
    pub(super) fn of_interface(interface: &str) -> Option<Self> {
        match interface {
            "connector-api" => Some(Self::Connector),
            "transform-api" => Some(Self::Transform),
            "sink-api" => Some(Self::Sink),
            _ => None,
        }
    }
}

/// A plugin, loaded.
#[derive(Clone)]
pub struct Plugin {
    /// Where it was loaded from.
    pub path: PathBuf,
    /// SHA-256 of the component, in hex.
    pub digest: String,
    /// What its outside says.
    pub stamp: Stamp,
    /// What it says that it is.
    pub described: Described,
}

/// What a plugin says that it is, with the means to run it.
#[derive(Clone)]
pub enum Described {
    /// A connector.
    Connector(ConnectorDescription, ConnectorComponent),
    /// A transform.
    Transform(TransformDescription, TransformComponent),
    /// A sink.
    Sink(SinkDescription),
}

impl Plugin {
    /// Its name.
    pub fn name(&self) -> &str {
        match &self.described {
            Described::Connector(described, _) => &described.name,
            Described::Transform(described, _) => &described.name,
            Described::Sink(described) => &described.name,
        }
    }

    /// Its own version.
    pub fn version(&self) -> &str {
        match &self.described {
            Described::Connector(described, _) => &described.version,
            Described::Transform(described, _) => &described.version,
            Described::Sink(described) => &described.version,
        }
    }

    /// What it does, in a line.
    pub fn summary(&self) -> &str {
        match &self.described {
            Described::Connector(described, _) => &described.summary,
            Described::Transform(described, _) => &described.summary,
            Described::Sink(described) => &described.summary,
        }
    }
}

/// One file of the plugin folder: a plugin, or why it is none.
pub struct Entry {
    /// The file.
    pub path: PathBuf,
    /// What became of it.
    pub loaded: Result<Arc<Plugin>>,
}

/// A connector, chosen for a run.
#[derive(Clone)]
pub struct ConnectorPlugin {
    /// What it says that it is.
    pub described: ConnectorDescription,
    /// Makes its instances.
    pub component: ConnectorComponent,
    /// SHA-256 of the component, in hex.
    pub digest: String,
}

/// A transform, chosen for a run.
#[derive(Clone)]
pub struct TransformPlugin {
    /// What it says that it is.
    pub described: TransformDescription,
    /// Makes its instances.
    pub component: TransformComponent,
    /// SHA-256 of the component, in hex.
    pub digest: String,
}

/// What tells whether a file has changed.
type FileState = (u64, SystemTime);

/// The plugin folder. Files are read again only when they have changed.
pub struct Catalog {
    sandbox: Sandbox,
    folder: PathBuf,
    loaded: Mutex<HashMap<PathBuf, (FileState, Arc<Plugin>)>>,
}

impl Catalog {
    /// A catalog of a folder.
    pub fn new(sandbox: Sandbox, folder: &Path) -> Self {
        Self { sandbox, folder: folder.to_owned(), loaded: Mutex::default() }
    }

    /// Every component of the folder, by file name.
    pub async fn entries(&self) -> Result<Vec<Entry>> {
        let listed =
            fs::read_dir(&self.folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        let mut paths: Vec<PathBuf> = listed
            .map_err(|error| {
                Error::config(format!("plugin folder {}: {error}", self.folder.display()))
                    .with_hint("name the folder of plugins with --plugins DIR or LONGSHORE_PLUGINS")
            })?
            .into_iter()
            .map(|file| file.path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "wasm"))
            .collect();
        paths.sort();
        let loading = paths.into_iter().map(async |path| {
            let loaded = self.load_cached(&path).await;
            Entry { path, loaded }
        });
        Ok(futures::future::join_all(loading).await)
    }

    /// The connector for a URL scheme.
    pub async fn connector(&self, scheme: &str) -> Result<ConnectorPlugin> {
        let choose = |plugin: &Plugin| {
            let Described::Connector(described, component) = &plugin.described else { return None };
            let chosen = ConnectorPlugin {
                described: described.clone(),
                component: component.clone(),
                digest: plugin.digest.clone(),
            };
            Some((described.schemes.clone(), chosen))
        };
        self.choose(&format!("no connector for `{scheme}:`"), scheme, choose).await
    }

    /// The transform of a name.
    pub async fn transform(&self, name: &str) -> Result<TransformPlugin> {
        let choose = |plugin: &Plugin| {
            let Described::Transform(described, component) = &plugin.described else { return None };
            let chosen = TransformPlugin {
                described: described.clone(),
                component: component.clone(),
                digest: plugin.digest.clone(),
            };
            Some((vec![described.name.clone()], chosen))
        };
        self.choose(&format!("no transform `{name}`"), name, choose).await
    }

    /// The first plugin that answers to a word; `answers` gives the words and what to return.
    async fn choose<T>(
        &self,
        missing: &str,
        wanted: &str,
        answers: impl Fn(&Plugin) -> Option<(Vec<String>, T)>,
    ) -> Result<T> {
        let (mut known, mut broken) = (Vec::new(), Vec::new());
        for entry in self.entries().await? {
            match entry.loaded {
                Ok(plugin) => match answers(&plugin) {
                    Some((words, chosen)) if words.iter().any(|word| word == wanted) => {
                        return Ok(chosen);
                    }
                    Some((words, _)) => known.extend(words),
                    None => {}
                },
                Err(error) => broken.push(error.to_string()),
            }
        }
        Err(self.none_found(missing, &known, &broken))
    }

    fn none_found(&self, what: &str, known: &[String], broken: &[String]) -> Error {
        let folder = self.folder.display();
        let message = match broken {
            [] => format!("{what} in {folder}"),
            broken => format!("{what} in {folder} (not usable there: {})", broken.join("; ")),
        };
        Error::config(message).with_hint(match known {
            [] => "put the plugin's component there".to_owned(),
            known => format!("there is {}; put another plugin's component there", known.join(", ")),
        })
    }

    async fn load_cached(&self, path: &Path) -> Result<Arc<Plugin>> {
        let state = fs::metadata(path)
            .and_then(|metadata| Ok((metadata.len(), metadata.modified()?)))
            .map_err(|error| Error::io(path.display(), error))?;
        let cached = self.lock().get(path).filter(|(then, _)| *then == state).cloned();
        if let Some((_, plugin)) = cached {
            return Ok(plugin);
        }
        let plugin = Arc::new(Plugin::load(&self.sandbox, path).await?);
        self.lock().insert(path.to_owned(), (state, plugin.clone()));
        Ok(plugin)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, (FileState, Arc<Plugin>)>> {
        // A panic elsewhere cannot leave a map of finished entries half-changed.
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Plugin {
    /// Loads one component, wherever it lies.
    pub async fn load(sandbox: &Sandbox, path: &Path) -> Result<Self> {
        load(sandbox, path).await.context(path.display().to_string())
    }
}

async fn load(sandbox: &Sandbox, path: &Path) -> Result<Plugin> {
    let compiling = {
        let (sandbox, path) = (sandbox.clone(), path.to_owned());
        tokio::task::spawn_blocking(move || {
            let bytes = read_component(&path)?;
            let stamp = Stamp::read(&bytes)?;
            let digest = hex(&Sha256::digest(&bytes));
            let compiled = sandbox.compile(&path.display().to_string(), &digest, &bytes)?;
            Ok::<_, Error>((stamp, digest, compiled))
        })
    };
    let (stamp, digest, compiled) =
        compiling.await.map_err(|error| Error::internal(format!("compiling: {error}")))??;
    let file = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("plugin");
    let described = match stamp.kind {
        Kind::Connector => {
            let component = ConnectorComponent::new(compiled)?;
            Described::Connector(component.describe(file).await?, component)
        }
        Kind::Transform => {
            let component = TransformComponent::new(compiled)?;
            Described::Transform(component.describe(file).await?, component)
        }
        Kind::Sink => Described::Sink(describe_sink(compiled, file).await?),
    };
    let plugin = Plugin { path: path.to_owned(), digest, stamp, described };
    check_name(plugin.name())?;
    Ok(plugin)
}

fn read_component(path: &Path) -> Result<Vec<u8>> {
    let length = fs::metadata(path).map_err(|error| Error::io("reading it", error))?.len();
    if length > COMPONENT_LIMIT_BYTES {
        return Err(Error::config(format!("{length} bytes, the limit is {COMPONENT_LIMIT_BYTES}")));
    }
    fs::read(path).map_err(|error| Error::io("reading it", error))
}

fn check_name(name: &str) -> Result<()> {
    let fits = !name.is_empty()
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    match fits {
        true => Ok(()),
        false => Err(Error::config("its name is not of lower case letters, digits and `-`")),
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
