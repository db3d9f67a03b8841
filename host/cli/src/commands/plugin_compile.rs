//! `longshore plugin compile`: the plugins in the plugin folders, compiled before anybody needs them.

use std::time::Instant;

use longshore_model::error::{Error, Result};
use serde_json::json;

use super::{App, show};

pub(super) fn compile(app: &App) -> Result<()> {
    let catalog = app.catalog()?;
    let mut answers = Vec::new();
    let mut faults = Vec::new();
    for slot in catalog.slots() {
        let Some(plugin) = &slot.serving else {
            faults.extend(slot.fault.as_ref().map(|fault| fault.to_string()));
            continue;
        };
        let started = Instant::now();
        if let Err(error) = app.io.block_on(plugin.compile()) {
            faults.push(error.to_string());
            continue;
        }
        let seconds = started.elapsed().as_secs_f64();
        if !app.json {
            show::answer(&format!("{}: {seconds:.1} s", plugin.title()));
        }
        answers.push(json!({
            "name": plugin.name(),
            "version": plugin.version.to_string(),
            "digest": plugin.digest(),
            "seconds": seconds,
        }));
    }
    if app.json {
        show::json(&answers);
    }
    match faults.as_slice() {
        [] => Ok(()),
        faults => Err(Error::config(faults.join("; ")).with_hint("the others are compiled")),
    }
}
