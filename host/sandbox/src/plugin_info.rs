//! What a plugin is, in its own words.

use longshore_model::relation::Consistency;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::contract::v0_6::connector_types::{ConnectorFeatures, Pushdown};
use super::contract::v0_6::types::{Description, EndpointField};

/// What a plugin is, in its own words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PluginInfo {
    /// What every kind says.
    #[serde(flatten)]
    pub description: Description,
    /// What it can do, if it is a connector.
    pub features: Option<ConnectorFeatures>,
}

impl PluginInfo {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.description.name
    }

    /// Its own version, as it gives it.
    pub fn version(&self) -> &str {
        &self.description.version
    }

    /// One line on what it does.
    pub fn summary(&self) -> &str {
        &self.description.summary
    }

    /// The URL schemes that choose it.
    pub fn schemes(&self) -> &[String] {
        &self.description.schemes
    }

    /// JSON Schema of its config.
    pub fn config_schema(&self) -> &str {
        &self.description.config_schema
    }

    /// Whether its config has a key.
    pub fn takes(&self, key: &str) -> bool {
        let schema: Value = serde_json::from_str(self.config_schema()).unwrap_or_default();
        schema["properties"].get(key).is_some()
    }

    /// The config fields that name network endpoints.
    pub fn endpoints(&self) -> &[EndpointField] {
        &self.description.endpoints
    }

    /// The config fields that hold secrets.
    pub fn secrets(&self) -> &[String] {
        &self.description.secrets
    }

    /// What it carries out of a scan itself; nothing, if it is no connector.
    pub fn pushdown(&self) -> Pushdown {
        let none = || Pushdown { projection: false, filter: None, limit: false };
        self.features.as_ref().map_or_else(none, |features| features.pushdown.clone())
    }

    /// The best consistency that it can give, if it is a connector.
    pub fn consistency(&self) -> Option<Consistency> {
        self.features.as_ref().map(|features| features.consistency.into())
    }
}
