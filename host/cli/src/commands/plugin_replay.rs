//! `longshore plugin replay TAPE`: what failed in a run, again, off-line, also by a newer build.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use longshore_model::config::PluginRequirement;
use longshore_model::error::{Error, Result};
use longshore_model::format::{counted, grouped};
use longshore_plugins::Plugin;
use longshore_sandbox::tape::{Label, PluginLabel};
use serde_json::json;

use super::{App, CommandError, plugin, show};
use crate::conformance::{Replay, ReplayResult, Verdict};

#[derive(Args)]
pub(super) struct ReplayArgs {
    /// A tape: a file that a job with `record: on-failure` left
    tape: PathBuf,
    /// The build to run: a component's file, or a plugin's name; else the one that was recorded, or
    /// the highest version of it in the plugin folder
    #[arg(long, value_name = "PLUGIN")]
    plugin: Option<String>,
}

pub(super) fn replay(app: &App, args: &ReplayArgs) -> Result<(), CommandError> {
    let tape = Replay::read(&args.tape)?;
    let plugin = match &args.plugin {
        Some(wanted) => plugin::find(app, wanted)?,
        None => recorded_or_newer(app, &tape.label.plugin)?,
    };
    let (label, replayed) = app.io.block_on(tape.run(&plugin))?;
    if app.json {
        show::json(&json!({
            "tape": { "run": label.run, "relation": label.relation, "chunk": label.chunk,
                "attempt": label.attempt, "recorded": label.recorded, "plugin": label.plugin,
                "error": replayed.then.error.report(), "hidden": replayed.then.hidden },
            "plugin": PluginLabel::new(plugin.name(), &plugin.version, plugin.digest()),
            "verdict": <&str>::from(replayed.verdict),
            "rows": replayed.rows,
            "outputs": replayed.outputs,
            "error": replayed.error.as_ref().map(Error::report),
        }))
    } else {
        show::answer(&text(&label, &plugin, &replayed))
    }
    match replayed.error {
        None => Ok(()),
        Some(error) => Err(CommandError { error, reported: true }),
    }
}

/// The build that was recorded, or else the plugin of its name.
fn recorded_or_newer(app: &App, recorded: &PluginLabel) -> Result<Arc<Plugin>> {
    let catalog = app.catalog()?;
    let PluginLabel { name, version, digest } = recorded;
    let exact: PluginRequirement = format!("{name}@sha256:{digest}").parse()?;
    let found = catalog.find(&exact).or_else(|| catalog.find(&name.parse().ok()?));
    found.ok_or_else(|| {
        let folder = &app.settings.plugins;
        Error::config(format!("no {name} {version} in {folder}, and no other {name}"))
            .with_hint("name a build of it with --plugin")
    })
}

fn text(label: &Label, plugin: &Plugin, replayed: &ReplayResult) -> String {
    let Label { run, relation, chunk, attempt, recorded, plugin: worked, .. } = label;
    let by_whom = if worked.digest == plugin.digest() {
        "by the same build".to_owned()
    } else {
        format!("by {}", plugin.title())
    };
    let now = replayed
        .error
        .as_ref()
        .map_or_else(|| "it went past that".to_owned(), |error| format!("it failed: {error}"));
    let verdict = match replayed.verdict {
        Verdict::Same => "the same, bit for bit".to_owned(),
        Verdict::Passed => "no longer fails where it failed".to_owned(),
        Verdict::FailedOtherwise => "fails in another way".to_owned(),
        Verdict::GaveOther(call) => {
            format!("fails in the same way, but gave something else in call {call}")
        }
    };
    let hidden = match replayed.then.hidden {
        0 => String::new(),
        places => {
            let places = counted(places, "place");
            format!("\n  secrets are blacked out in {places}: rows with them differ")
        }
    };
    format!(
        "{relation}, chunk {chunk}, attempt {attempt} of run {run}\n  \
         {} {} worked on it at {recorded}, and failed: {}\n  \
         replayed {by_whom}: {} rows in {}; {now}{hidden}\n{verdict}",
        worked.name,
        worked.version,
        replayed.then.error,
        grouped(replayed.rows),
        counted(replayed.outputs, "call"),
    )
}
