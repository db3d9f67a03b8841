//! `longshore plugin install` and `longshore plugin lock`: what comes into the plugin folder, and what
//! may serve there.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use longshore_model::atomic_file;
use longshore_model::error::{Error, Result};
use longshore_model::format::counted;
use longshore_plugins::registry::{Reference, pull};
use longshore_plugins::{Admission, Compile, Lock, Plugin, signature_of};
use serde_json::json;

use super::{App, show};

#[derive(Args)]
pub(super) struct InstallArgs {
    /// Components, folders of them, or what a registry has: oci://REGISTRY/REPOSITORY:TAG
    #[arg(required = true, value_name = "FILE|DIR|OCI")]
    from: Vec<PathBuf>,
}

/// Copies components into the plugin folder, where they serve from then on, and takes them into its
/// lock file, if it has one.
pub(super) fn install(app: &App, args: &InstallArgs) -> Result<()> {
    let folder = app.settings.plugins.first();
    fs::create_dir_all(folder).map_err(|error| Error::io(folder.display(), error))?;
    let pulled = tempfile::tempdir().map_err(|error| Error::io("a temporary folder", error))?;
    let plugins = loaded(app, &fetched(app, &args.from, pulled.path())?)?;
    let mut installed = Vec::new();
    for plugin in &plugins {
        // Before the file: else the folder would refuse it for a moment.
        if let Some(mut lock) = Lock::read(folder)? {
            lock.take_in(plugin.name(), &plugin.version, plugin.digest());
            lock.write(folder)?;
        }
        let to = folder.join(format!("{}.wasm", plugin.name()));
        let signature = signature_of(plugin.path());
        if signature.exists() {
            copy(&signature, &signature_of(&to))?;
        }
        copy(plugin.path(), &to)?;
        if !app.json {
            show::answer(&format!("{} -> {}", plugin.title(), to.display()));
        }
        installed.push(as_json(plugin, &to));
    }
    if app.json {
        show::json(&installed);
    }
    Ok(())
}

/// Writes the plugin folder's lock file: what lies there now may serve, and nothing else.
pub(super) fn lock(app: &App) -> Result<()> {
    let folder = app.settings.plugins.first();
    let plugins = loaded(app, &[folder.to_owned()])?;
    let mut lock = Lock::default();
    for plugin in &plugins {
        lock.take_in(plugin.name(), &plugin.version, plugin.digest());
    }
    lock.write(folder)?;
    if app.json {
        show::json(&lock.plugins())
    } else {
        show::answer(&format!(
            "{} holds {}",
            Lock::path(folder).display(),
            counted(lock.plugins().len() as u64, "plugin")
        ))
    }
    Ok(())
}

/// Files and folders, with what is in registries fetched into this folder.
fn fetched(app: &App, from: &[PathBuf], folder: &Path) -> Result<Vec<PathBuf>> {
    let fetch = |(number, path): (usize, &PathBuf)| match path.to_str() {
        Some(text) if Reference::is_meant(text) => {
            let own = folder.join(number.to_string());
            fs::create_dir(&own).map_err(|error| Error::io(own.display(), error))?;
            app.io.block_on(pull(&text.parse()?, &own))
        }
        _ => Ok(path.clone()),
    };
    from.iter().enumerate().map(fetch).collect()
}

/// The plugins of these files and folders: all can be used, or none is touched.
fn loaded(app: &App, from: &[PathBuf]) -> Result<Vec<Plugin>> {
    let (sandbox, admission) = (app.sandbox()?, Admission::signed(app.settings.policy.signers()));
    let load =
        |path: PathBuf| app.io.block_on(Plugin::load(&sandbox, &path, &admission, Compile::AtOnce));
    components(from)?.into_iter().map(load).collect()
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

fn as_json(plugin: &Plugin, path: &Path) -> serde_json::Value {
    json!({
        "name": plugin.name(),
        "version": plugin.version.to_string(),
        "digest": plugin.digest(),
        "path": path,
    })
}
