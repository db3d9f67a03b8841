//! The kinds of plugin.

use longshore_model::error::Result;
use longshore_sandbox::{
    CompiledComponent, Component, Connector, ContractVersion, PluginInfo, Sink, Transform,
};
use serde::{Deserialize, Serialize};

/// The kind of a plugin: the world that its component is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginKind {
    /// Reads rows.
    Connector,
    /// Changes rows.
    Transform,
    /// Writes rows.
    Sink,
}

impl PluginKind {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connector => "connector",
            Self::Transform => "transform",
            Self::Sink => "sink",
        }
    }

    /// Asks a component of this kind what it is; errors call it `name`.
    pub(super) async fn describe(
        self,
        compiled: &CompiledComponent,
        contract: ContractVersion,
        name: &str,
    ) -> Result<PluginInfo> {
        match self {
            Self::Connector => {
                Component::<Connector>::new(compiled, contract)?.describe(name).await
            }
            Self::Transform => {
                Component::<Transform>::new(compiled, contract)?.describe(name).await
            }
            Self::Sink => Component::<Sink>::new(compiled, contract)?.describe(name).await,
        }
    }

    /// The kind whose interface this is.
    pub(super) fn of_interface(interface: &str) -> Option<Self> {
        match interface {
            "connector-api" => Some(Self::Connector),
            "transform-api" => Some(Self::Transform),
            "sink-api" => Some(Self::Sink),
            _ => None,
        }
    }
}
