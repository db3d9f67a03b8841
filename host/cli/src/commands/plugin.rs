//! `longshore plugin list` and `longshore plugin inspect`

use std::fmt::{Display, Write};
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use longshore_daemon as daemon;
use longshore_model::error::{Error, Result};
use longshore_plugins::{Admission, Compile, Plugin, ServedFile, ServingPlugin, Slot};
use longshore_sandbox::EndpointField;
use serde_json::{Value, json};

use super::table::Table;
use super::{App, show};

/// The digits of a digest that people see.
const SHOWN_DIGITS: usize = 12;

#[derive(Args)]
pub(super) struct ListArgs {
    /// What the daemon of the state folder serves now, instead of what lies in the plugin folder
    #[arg(long)]
    serving: bool,
}

pub(super) fn list(app: &App, args: &ListArgs) -> Result<()> {
    if args.serving {
        return list_serving(app);
    }
    let catalog = app.catalog()?;
    let slots = catalog.slots();
    if app.json {
        show::json(&slots.iter().map(slot_json).collect::<Vec<_>>());
        return Ok(());
    }
    if slots.is_empty() {
        show::answer(&format!("no plugins in {}", app.settings.plugins));
    }
    let mut table = Table::new(&["NAME", "VERSION", "KIND", "SUMMARY"]);
    for plugin in slots.iter().filter_map(|slot| slot.serving.as_ref()) {
        let (name, version) = (plugin.name().to_owned(), plugin.version.to_string());
        table.add([name, version, kind(plugin).to_owned(), plugin.info.summary().to_owned()]);
    }
    answer(&table, slots.iter().filter_map(|slot| slot.fault.as_ref()));
    Ok(())
}

fn list_serving(app: &App) -> Result<()> {
    let state = &app.settings.state;
    if !daemon::is_running(state)? {
        return Err(Error::config(format!("no daemon runs on {}", state.display()))
            .with_hint("start one with `longshore serve`, or name its folder with --state"));
    }
    let serving = ServedFile::read(state)?;
    if app.json {
        show::json(&serving);
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "VERSION", "KIND", "DIGEST", "FILE"]);
    for file in &serving {
        if let Some(ServingPlugin { name, version, kind, digest }) = &file.plugin {
            let digest: String = digest.chars().take(SHOWN_DIGITS).collect();
            table.add([
                name.clone(),
                version.clone(),
                kind.name().to_owned(),
                format!("sha256:{digest}"),
                file.path.display().to_string(),
            ]);
        }
    }
    answer(&table, serving.iter().filter_map(|file| file.fault.as_ref()));
    Ok(())
}

/// Shows the plugins, and then why others cannot be used.
fn answer(table: &Table, faults: impl Iterator<Item = impl Display>) {
    if !table.is_empty() {
        show::answer(&table.to_text());
    }
    faults.for_each(|fault| show::answer(&format!("not usable: {fault}")));
}

pub(super) fn inspect(app: &App, wanted: &str) -> Result<()> {
    let plugin = find(app, wanted)?;
    // The stamp may be wrong: this compares it with the component.
    app.io.block_on(plugin.compile())?;
    if app.json {
        show::json(&plugin_json(&plugin))
    } else {
        show::answer(&plugin_text(&plugin))
    }
    Ok(())
}

/// A plugin by its name in the folder, or by its file.
pub(super) fn find(app: &App, wanted: &str) -> Result<Arc<Plugin>> {
    let path = Path::new(wanted);
    if path.is_file() {
        let sandbox = app.sandbox()?;
        let admission = Admission::default();
        let loading = Plugin::load(&sandbox, path, &admission, Compile::OnUse);
        return app.io.block_on(loading).map(Arc::new);
    }
    let catalog = app.catalog()?;
    if let Some(plugin) = catalog.find(&wanted.parse()?) {
        return Ok(plugin);
    }
    let is_wanted = |slot: &&Slot| slot.path.file_stem().is_some_and(|stem| stem == wanted);
    if let Some(fault) = catalog.slots().iter().find(is_wanted).and_then(|slot| slot.fault.as_ref())
    {
        let error = Error::config(format!("not usable: {fault}"));
        return Err(match fault.hint() {
            Some(hint) => error.with_hint(hint),
            None => error,
        });
    }
    Err(Error::config(format!("no plugin `{wanted}` in {}", app.settings.plugins))
        .with_hint("`longshore plugin list` shows them; or name a component's file"))
}

pub(super) fn kind(plugin: &Plugin) -> &'static str {
    plugin.kind().name()
}

fn slot_json(slot: &Slot) -> Value {
    match (&slot.serving, &slot.fault) {
        (_, Some(fault)) => json!({ "path": slot.path, "error": fault.report() }),
        (Some(plugin), None) => plugin_json(plugin),
        (None, None) => json!({ "path": slot.path }),
    }
}

fn plugin_json(plugin: &Plugin) -> Value {
    let schema = plugin.info.config_schema();
    json!({
        "name": plugin.name(),
        "version": plugin.version.to_string(),
        "kind": kind(plugin),
        "summary": plugin.info.summary(),
        "path": plugin.path(),
        "digest": plugin.digest(),
        "signer": plugin.signer(),
        "contract": plugin.stamp().contract.name(),
        "imports": plugin.stamp().imports,
        "schemes": plugin.info.schemes(),
        "endpoints": endpoints(plugin),
        "secrets": plugin.info.secrets(),
        "config_schema": serde_json::from_str::<Value>(schema).unwrap_or(Value::Null),
    })
}

fn plugin_text(plugin: &Plugin) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} {} ({}): {}",
        plugin.name(),
        plugin.version,
        kind(plugin),
        plugin.info.summary()
    );
    let _ = writeln!(text, "file:      {}", plugin.path().display());
    let _ = writeln!(text, "digest:    sha256:{}", plugin.digest());
    if let Some(signer) = plugin.signer() {
        let _ = writeln!(text, "signer:    {signer}");
    }
    let _ = writeln!(text, "contract:  longshore:plugin {}", plugin.stamp().contract.name());
    let _ = writeln!(text, "imports:   {}", listed(&plugin.stamp().imports));
    let _ = writeln!(text, "schemes:   {}", listed(plugin.info.schemes()));
    let _ = writeln!(text, "endpoints: {}", listed(&endpoints(plugin)));
    let _ = writeln!(text, "secrets:   {}", listed(plugin.info.secrets()));
    let _ = writeln!(text, "config:");
    let schema = plugin.info.config_schema();
    let schema: Value = serde_json::from_str(schema).unwrap_or(Value::Null);
    for (key, field) in schema["properties"].as_object().into_iter().flatten() {
        let about = field["description"].as_str().unwrap_or_default().replace('\n', " ");
        let _ = writeln!(text, "  {key}: {about}");
    }
    text
}

fn endpoints(plugin: &Plugin) -> Vec<String> {
    let endpoint = |e: &EndpointField| format!("{} (port {})", e.field, e.default_port);
    plugin.info.endpoints().iter().map(endpoint).collect()
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "none".into(),
        names => names.join(", "),
    }
}
