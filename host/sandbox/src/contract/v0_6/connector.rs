//! The exports of a connector. Those of `connector-lookup-api` may be missing, which no world of WIT can say.

use wasmtime::component::InstancePre;
use wasmtime::{AsContextMut, Result};

use super::connector_world::exports::longshore::plugin::{connector_api, connector_lookup_api};

/// A component that is a connector, before it is instantiated.
pub struct ConnectorPre<T: 'static> {
    instance: InstancePre<T>,
    api: connector_api::GuestIndices,
    lookup: Option<connector_lookup_api::GuestIndices>,
}

impl<T: 'static> Clone for ConnectorPre<T> {
    fn clone(&self) -> Self {
        let Self { instance, api, lookup } = self;
        Self { instance: instance.clone(), api: api.clone(), lookup: lookup.clone() }
    }
}

impl<T: Send + 'static> ConnectorPre<T> {
    pub fn new(instance: InstancePre<T>) -> Result<Self> {
        let api = connector_api::GuestIndices::new(&instance)?;
        let lookup = connector_lookup_api::GuestIndices::new(&instance).ok();
        Ok(Self { instance, api, lookup })
    }

    pub async fn instantiate_async(
        &self,
        mut store: impl AsContextMut<Data = T>,
    ) -> Result<Connector> {
        let instance = self.instance.instantiate_async(&mut store).await?;
        let api = self.api.load(&mut store, &instance)?;
        let lookup = self.lookup.as_ref().map(|lookup| lookup.load(&mut store, &instance));
        Ok(Connector { api, lookup: lookup.transpose()? })
    }
}

/// An instance's exports.
pub struct Connector {
    api: connector_api::Guest,
    lookup: Option<connector_lookup_api::Guest>,
}

impl Connector {
    pub fn api(&self) -> &connector_api::Guest {
        &self.api
    }

    /// None if the component leaves it out.
    pub fn lookup(&self) -> Option<&connector_lookup_api::Guest> {
        self.lookup.as_ref()
    }
}
