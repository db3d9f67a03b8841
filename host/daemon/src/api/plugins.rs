//! The plugins that serve.

use axum::extract::State;
use longshore_plugins::Slot;
use schemars::JsonSchema;
use serde::Serialize;

use super::answer::{Answer, ErrorBody, Json};
use super::state::Shared;

/// The files of the plugin folders.
#[derive(Serialize, JsonSchema)]
pub(super) struct PluginsAnswer {
    plugins: Vec<PluginAnswer>,
}

/// A file of a plugin folder.
#[derive(Serialize, JsonSchema)]
struct PluginAnswer {
    path: String,
    /// The plugin that serves.
    #[serde(flatten)]
    serving: Option<ServingAnswer>,
    /// Why what the file holds now is not used.
    error: Option<ErrorBody>,
}

/// A plugin that serves.
#[derive(Serialize, JsonSchema)]
struct ServingAnswer {
    name: String,
    version: String,
    /// connector, transform, sink or catalog.
    kind: String,
    summary: String,
    /// SHA-256 of the component, in hex.
    digest: String,
    /// The version of the plugin contract.
    contract: String,
    /// What it asks of the host.
    imports: Vec<String>,
    schemes: Vec<String>,
    /// The keys of its config that name servers.
    endpoints: Vec<String>,
    /// The keys of its config that are secrets.
    secrets: Vec<String>,
}

pub(super) async fn list(State(state): State<Shared>) -> Answer<PluginsAnswer> {
    let catalog = state.plugins.serving();
    let plugins = catalog.slots().iter().map(PluginAnswer::of).collect();
    Ok(Json(PluginsAnswer { plugins }))
}

impl PluginAnswer {
    fn of(slot: &Slot) -> Self {
        let serving = slot.serving.as_ref().map(|plugin| ServingAnswer {
            name: plugin.name().to_owned(),
            version: plugin.version.to_string(),
            kind: plugin.kind().name().to_owned(),
            summary: plugin.info.summary().to_owned(),
            digest: plugin.digest().to_owned(),
            contract: plugin.stamp().contract.name().to_owned(),
            imports: plugin.stamp().imports.clone(),
            schemes: plugin.info.schemes().to_vec(),
            endpoints: plugin.info.endpoints().iter().map(|field| field.field.clone()).collect(),
            secrets: plugin.info.secrets().to_vec(),
        });
        let error = slot.fault.as_ref().map(|fault| fault.report().into());
        Self { path: slot.path.display().to_string(), serving, error }
    }
}
