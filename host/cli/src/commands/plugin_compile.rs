//! `longshore plugin compile`: the plugins in the plugin folders, compiled before anybody needs them.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use longshore_model::error::{Error, Result};
use longshore_model::format::counted;
use longshore_plugins::{Plugin, Plugins, Slot};
use longshore_sandbox::Sandbox;
use serde_json::{Value, json};

use super::{App, CommandError, show};

#[derive(Args)]
pub(super) struct CompileArgs {
    /// Compile for any processor of this architecture, into this folder, for a package of the program
    #[arg(long, value_name = "DIR")]
    portable: Option<PathBuf>,
}

pub(super) fn compile(app: &App, args: &CompileArgs) -> Result<(), CommandError> {
    let catalog = match &args.portable {
        Some(folder) => {
            let _on_io = app.io.enter();
            let sandbox = Sandbox::portable(folder, app.settings.limits)?;
            app.io.block_on(Plugins::new(sandbox, &app.settings.plugins).load())?
        }
        None => app.catalog()?,
    };
    let kept_in = args.portable.as_ref().unwrap_or(&app.settings.cache);
    let mut answers = Vec::new();
    let mut failed = 0;
    for slot in catalog.slots() {
        let (answer, line) = match compiled(app, slot, kept_in) {
            Ok((plugin, seconds)) => {
                (as_json(plugin, seconds), format!("{}: {seconds:.1} s", plugin.title()))
            }
            Err(error) => {
                failed += 1;
                let answer = json!({ "path": slot.path, "error": error.report() });
                (answer, format!("not compiled: {error}"))
            }
        };
        if !app.json {
            show::answer(&line);
        }
        answers.push(answer);
    }
    if app.json {
        show::json(&answers);
    }
    if failed == 0 {
        return Ok(());
    }
    let all = counted(answers.len() as u64, "component");
    let error = Error::config(format!("{failed} of {all} are not compiled"))
        .with_hint("the causes are above: fix or remove these files");
    Err(CommandError { error, reported: app.json })
}

/// Compiles a component, and makes sure that it is kept; gives how long that took.
fn compiled<'a>(app: &App, slot: &'a Slot, kept_in: &Path) -> Result<(&'a Plugin, f64)> {
    let Some(plugin) = &slot.serving else {
        let fault = slot.fault.as_deref().map(ToString::to_string).unwrap_or_default();
        return Err(Error::config(fault));
    };
    let started = Instant::now();
    app.io.block_on(plugin.compile())?;
    let seconds = started.elapsed().as_secs_f64();
    if plugin.is_compiled() {
        return Ok((plugin, seconds));
    }
    let cache = kept_in.display();
    Err(Error::resource(format!("{}: the cache folder {cache} cannot keep it", plugin.title()))
        .with_hint("make room there, or name another folder"))
}

fn as_json(plugin: &Plugin, seconds: f64) -> Value {
    json!({
        "name": plugin.name(),
        "version": plugin.version.to_string(),
        "digest": plugin.digest(),
        "seconds": seconds,
    })
}
