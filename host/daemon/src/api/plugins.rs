//! The plugins that serve, and what may serve.

use std::path::PathBuf;

use axum::extract::State;
use longshore_model::error::Error;
use longshore_plugins::registry::Reference;
use longshore_plugins::{AdmittedComponent, Installation, Slot};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, ApiError, ErrorBody, Json};
use super::extract::JsonBody;
use super::state::SharedState;

/// The files of the plugin folders.
#[derive(Serialize, JsonSchema)]
pub(super) struct PluginsAnswer {
    plugins: Vec<PluginAnswer>,
}

/// A plugin that is installed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct InstallBody {
    /// What a registry has: oci://REGISTRY/REPOSITORY:TAG
    reference: String,
}

/// Plugins that may serve from now on.
#[derive(Serialize, JsonSchema)]
pub(super) struct LockedAnswer {
    plugins: Vec<LockedPlugin>,
}

/// A plugin that may serve.
#[derive(Serialize, JsonSchema)]
struct LockedPlugin {
    name: String,
    version: String,
    /// SHA-256 of the component, in hex.
    digest: String,
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
    /// Who has signed it, where the policy names signers: a public key of minisign.
    signer: Option<String>,
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

pub(super) async fn list(State(state): State<SharedState>) -> Answer<PluginsAnswer> {
    let catalog = state.plugins.serving();
    let plugins = catalog.slots().iter().map(PluginAnswer::of).collect();
    Ok(Json(PluginsAnswer { plugins }))
}

/// Installs what a registry has, if the policy lets it.
pub(super) async fn install(
    State(state): State<SharedState>,
    JsonBody(InstallBody { reference }): JsonBody<InstallBody>,
) -> Answer<LockedAnswer> {
    if !state.settings().policy.allows_remote_install() {
        let error = Error::auth("the policy does not let plugins be installed over the API")
            .with_hint("write `remote_install = true` into the policy, with `signers`");
        return Err(ApiError::forbidden(error));
    }
    // A path would be one of the daemon's machine.
    if !Reference::is_meant(&reference) {
        return Err(ApiError::bad_request("`reference` is not oci://REGISTRY/REPOSITORY:TAG"));
    }
    let from = [PathBuf::from(reference)];
    let install = move |state: SharedState| async move {
        let installed = longshore_plugins::install(&state.plugins, &from).await?;
        let locked = installed.iter().map(|Installation { plugin, .. }| LockedPlugin {
            name: plugin.name().to_owned(),
            version: plugin.version.to_string(),
            digest: plugin.digest().to_owned(),
        });
        Ok(LockedAnswer { plugins: locked.collect() })
    };
    Ok(Json(state.inspect(install).await?))
}

/// Lets what lies in the plugin folder serve, and nothing else.
pub(super) async fn lock(State(state): State<SharedState>) -> Answer<LockedAnswer> {
    let lock = |state: SharedState| async move { longshore_plugins::lock(&state.plugins).await };
    let lock = state.inspect(lock).await?;
    let locked = lock.plugins().iter().cloned();
    let plugins = locked.map(|AdmittedComponent { name, version, digest }| LockedPlugin {
        name,
        version,
        digest,
    });
    Ok(Json(LockedAnswer { plugins: plugins.collect() }))
}

impl PluginAnswer {
    fn of(slot: &Slot) -> Self {
        let serving = slot.serving.as_ref().map(|plugin| ServingAnswer {
            name: plugin.name().to_owned(),
            version: plugin.version.to_string(),
            kind: plugin.kind().name().to_owned(),
            summary: plugin.info.summary().to_owned(),
            digest: plugin.digest().to_owned(),
            signer: plugin.signer().map(str::to_owned),
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
