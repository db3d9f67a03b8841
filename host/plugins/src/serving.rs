//! What a daemon serves, written down for who asks from outside.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use longshore_model::atomic_file;
use longshore_model::error::{Error, Result};
use serde::{Deserialize, Serialize};

use super::catalog::{Catalog, Slot};
use super::kind::PluginKind;

/// The state folder's file for it.
const FILE: &str = "plugins.json";

/// One file of the plugin folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServedFile {
    /// The file.
    pub path: PathBuf,
    /// The plugin that serves.
    pub plugin: Option<ServingPlugin>,
    /// Why what the file holds now is not used.
    pub fault: Option<String>,
}

/// A plugin that serves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServingPlugin {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its kind.
    pub kind: PluginKind,
    /// SHA-256 of the component, in hex.
    pub digest: String,
}

impl ServedFile {
    fn of(slot: &Slot) -> Self {
        Self {
            path: slot.path.clone(),
            plugin: slot.serving.as_ref().map(|plugin| ServingPlugin {
                name: plugin.name().to_owned(),
                version: plugin.version.to_string(),
                kind: plugin.kind(),
                digest: plugin.digest().to_owned(),
            }),
            fault: slot.fault.as_ref().map(ToString::to_string),
        }
    }

    /// Writes down what a catalog serves.
    pub(super) fn write(state: &Path, catalog: &Catalog) -> Result<()> {
        let serving: Vec<Self> = catalog.slots().iter().map(Self::of).collect();
        let path = state.join(FILE);
        atomic_file::write(&path, &serde_json::to_vec_pretty(&serving)?)
            .map_err(|error| Error::io(path.display(), error))
    }

    /// What a daemon of this state folder has written down.
    pub fn read(state: &Path) -> Result<Vec<Self>> {
        let path = state.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Error::io(path.display(), error)),
        }
    }
}
