//! `longshore plugin install` and `longshore plugin lock`: what comes into the plugin folder, and what
//! may serve there.

use std::path::{Path, PathBuf};

use clap::Args;
use longshore_model::error::Result;
use longshore_model::format::counted;
use longshore_plugins::{Installation, Lock, Plugin};
use serde_json::json;

use super::{App, show};

#[derive(Args)]
pub(super) struct InstallArgs {
    /// Components, folders of them, or what a registry has: oci://REGISTRY/REPOSITORY:TAG
    #[arg(required = true, value_name = "FILE|DIR|OCI")]
    from: Vec<PathBuf>,
}

/// Copies components into the plugin folder.
pub(super) fn install(app: &App, args: &InstallArgs) -> Result<()> {
    let installed = app.io.block_on(longshore_plugins::install(&app.plugins()?, &args.from))?;
    if app.json {
        let each = installed.iter().map(|Installation { plugin, path }| as_json(plugin, path));
        show::json(&each.collect::<Vec<_>>());
        return Ok(());
    }
    for Installation { plugin, path } in &installed {
        show::answer(&format!("{} -> {}", plugin.title(), path.display()));
    }
    Ok(())
}

/// Writes the plugin folder's lock file.
pub(super) fn lock(app: &App) -> Result<()> {
    let lock = app.io.block_on(longshore_plugins::lock(&app.plugins()?))?;
    if app.json {
        show::json(&lock.plugins());
    } else {
        show::answer(&format!(
            "{} holds {}",
            Lock::path(app.settings.plugins.first()).display(),
            counted(lock.plugins().len() as u64, "plugin")
        ));
    }
    Ok(())
}

fn as_json(plugin: &Plugin, path: &Path) -> serde_json::Value {
    json!({
        "name": plugin.name(),
        "version": plugin.version.to_string(),
        "digest": plugin.digest(),
        "path": path,
    })
}
