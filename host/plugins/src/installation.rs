//! Installing plugins: what comes into the plugin folder, and what may serve there.

use std::fs;
use std::path::{Path, PathBuf};

use longshore_model::atomic_file;
use longshore_model::error::{Error, Result};

use super::admission::{Admission, Lock, signature_of};
use super::folder::Plugins;
use super::plugin::{Compile, Plugin};
use super::registry::{Reference, pull};

/// A plugin that was installed.
pub struct Installation {
    /// The plugin.
    pub plugin: Plugin,
    /// Where it lies in the plugin folder.
    pub path: PathBuf,
}

/// Copies components into the first plugin folder, where they serve from then on, and takes them into its lock file,
/// if it has one. They are files, folders of them, or what a registry has.
pub async fn install(plugins: &Plugins, from: &[PathBuf]) -> Result<Vec<Installation>> {
    let folder = plugins.folders().first();
    fs::create_dir_all(folder).map_err(|error| Error::io(folder.display(), error))?;
    let pulled = tempfile::tempdir().map_err(|error| Error::io("a temporary folder", error))?;
    let mut installed = Vec::new();
    for plugin in loaded(plugins, &fetched(from, pulled.path()).await?).await? {
        // Before the file: else the folder would refuse it for a moment.
        if let Some(mut lock) = Lock::read(folder)? {
            lock.take_in(plugin.name(), &plugin.version, plugin.digest());
            lock.write(folder)?;
        }
        let path = folder.join(format!("{}.wasm", plugin.name()));
        let signature = signature_of(plugin.path());
        if signature.exists() {
            copy(&signature, &signature_of(&path))?;
        }
        copy(plugin.path(), &path)?;
        installed.push(Installation { plugin, path });
    }
    Ok(installed)
}

/// Writes the lock file of the first plugin folder: what lies there now may serve, and nothing else.
pub async fn lock(plugins: &Plugins) -> Result<Lock> {
    let folder = plugins.folders().first();
    let mut lock = Lock::default();
    for plugin in loaded(plugins, &[folder.to_owned()]).await? {
        lock.take_in(plugin.name(), &plugin.version, plugin.digest());
    }
    lock.write(folder)?;
    Ok(lock)
}

/// Files and folders, with what is in registries fetched into this folder.
async fn fetched(from: &[PathBuf], folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for (number, path) in from.iter().enumerate() {
        let reference = path.to_str().filter(|text| Reference::is_meant(text));
        let Some(reference) = reference else {
            paths.push(path.clone());
            continue;
        };
        let own = folder.join(number.to_string());
        fs::create_dir(&own).map_err(|error| Error::io(own.display(), error))?;
        paths.push(pull(&reference.parse()?, &own).await?);
    }
    Ok(paths)
}

/// The plugins of these files and folders: all can be used, or none is touched.
async fn loaded(plugins: &Plugins, from: &[PathBuf]) -> Result<Vec<Plugin>> {
    let admission = Admission::signed(plugins.signers());
    let mut loaded = Vec::new();
    for path in components(from)? {
        loaded.push(Plugin::load(plugins.sandbox(), &path, &admission, Compile::AtOnce).await?);
    }
    Ok(loaded)
}

fn components(from: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut components = Vec::new();
    for path in from {
        let unreadable = |error| Error::io(path.display(), error);
        if !fs::metadata(path).map_err(unreadable)?.is_dir() {
            components.push(path.clone());
            continue;
        }
        let before = components.len();
        for file in fs::read_dir(path).map_err(unreadable)? {
            let file = file.map_err(unreadable)?.path();
            if file.extension().is_some_and(|ending| ending == "wasm") {
                components.push(file);
            }
        }
        components[before..].sort();
        if components.len() == before {
            return Err(Error::config(format!("{}: there is no component in it", path.display()))
                .with_hint("name a file that ends in .wasm, or a folder with some"));
        }
    }
    Ok(components)
}

/// A half-written file is never seen under its name. What is copied onto itself stays.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let same = fs::canonicalize(from).ok().zip(fs::canonicalize(to).ok());
    if same.is_some_and(|(from, to)| from == to) {
        return Ok(());
    }
    atomic_file::copy(from, to)
        .map_err(|error| Error::io(format!("{} -> {}", from.display(), to.display()), error))
}
