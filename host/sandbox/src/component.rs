//! A component of a kind, and an instance of it.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use longshore_model::error::{Error, Result};
use longshore_model::grant::Grant;
use longshore_model::limits::Limits;
use wasmtime::Store;
use wasmtime::component::{InstancePre, ResourceAny};

use crate::capability::HostEnv;
use crate::contract::ContractVersion;
use crate::engine::{CompiledComponent, Sandbox};
use crate::plugin_info::PluginInfo;
use crate::store::{State, Usage, begin_call, call_error};

/// The kind that reads rows.
pub enum Connector {}

/// The kind that changes rows.
pub enum Transform {}

/// The kind that writes rows.
pub enum Sink {}

/// A kind of plugin.
pub trait Kind: sealed::World {}

impl<K: sealed::World> Kind for K {}

pub(crate) mod sealed {
    use super::*;

    /// The world of a kind's components, in every version of the contract.
    #[async_trait]
    pub trait World: Send + Sync + 'static {
        /// The word for the kind.
        const NAME: &'static str;
        /// A component whose imports and exports are those of the world.
        type CheckedComponent: Clone + Send + Sync;
        /// An instance's exports.
        type Exports: Send + Sync;

        /// Checks that a component is of this world.
        fn check(
            version: ContractVersion,
            instance: InstancePre<State>,
        ) -> wasmtime::Result<Self::CheckedComponent>;

        /// Makes an instance.
        async fn instantiate(
            checked: &Self::CheckedComponent,
            store: &mut Store<State>,
        ) -> wasmtime::Result<Self::Exports>;

        /// Asks an instance what its plugin is.
        async fn describe(
            exports: &Self::Exports,
            store: &mut Store<State>,
        ) -> wasmtime::Result<PluginInfo>;
    }
}

/// A component of a kind, compiled and checked. Cheap to clone.
pub struct Component<K: Kind> {
    sandbox: Sandbox,
    checked: K::CheckedComponent,
}

impl<K: Kind> Clone for Component<K> {
    fn clone(&self) -> Self {
        Self { sandbox: self.sandbox.clone(), checked: self.checked.clone() }
    }
}

impl<K: Kind> Component<K> {
    /// A compiled component, as one of this kind.
    pub fn new(compiled: &CompiledComponent, version: ContractVersion) -> Result<Self> {
        let checked = K::check(version, compiled.instance.clone())
            .map_err(|error| Error::config(format!("not a {}: {error:#}", K::NAME)))?;
        Ok(Self { sandbox: compiled.sandbox.clone(), checked })
    }

    /// Asks the plugin what it is. It gets no grant, and little time.
    pub async fn describe(&self, plugin: &str) -> Result<PluginInfo> {
        let secs = self.limits().describe_secs;
        let (mut store, exports) = self.instantiate(plugin, Grant::default().into(), secs).await?;
        let described = K::describe(&exports, &mut store).await;
        described.map_err(|error| call_error(&store, "describe", error))
    }

    /// The limits of one instance.
    pub fn limits(&self) -> &Limits {
        self.sandbox.limits()
    }

    pub(crate) async fn instantiate(
        &self,
        plugin: &str,
        env: HostEnv,
        call_secs: u64,
    ) -> Result<(Store<State>, K::Exports)> {
        let mut store = self.sandbox.store(plugin, env, call_secs);
        let instance = K::instantiate(&self.checked, &mut store).await;
        let exports = instance.map_err(|error| call_error(&store, "instantiate", error))?;
        Ok((store, exports))
    }
}

/// Numbers the instances of this process.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// An instance of a plugin, with the resource that it was opened for. Drop it after an error.
pub struct Instance<K: Kind> {
    id: u64,
    pub(crate) store: Store<State>,
    pub(crate) exports: K::Exports,
    pub(crate) resource: ResourceAny,
}

impl<K: Kind> Instance<K> {
    pub(crate) fn new(store: Store<State>, exports: K::Exports, resource: ResourceAny) -> Self {
        Self { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), store, exports, resource }
    }

    /// A number that no other instance of this process has.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The resources that the instance has used.
    pub fn usage(&self) -> Usage {
        self.store.data().usage()
    }

    /// Closes the instance in order.
    pub async fn end(mut self) -> Result<()> {
        self.close(self.resource, "close").await
    }

    /// Drops a resource of the instance; `call` is what errors name it.
    pub(crate) async fn close(&mut self, resource: ResourceAny, call: &str) -> Result<()> {
        begin_call(&mut self.store);
        let dropped = resource.resource_drop_async(&mut self.store).await;
        dropped.map_err(|error| call_error(&self.store, call, error))
    }

    /// Takes secrets out of a text of the plugin's.
    pub(crate) fn clean(&self, text: &str) -> String {
        self.store.data().env.grant.clean(text)
    }
}

/// Calls a method of one of an instance's resources, within the instance's limits. Where the previous
/// version of the contract has another name for it, that follows a bar.
macro_rules! call {
    ($instance:expr, $what:literal, $resource:ident.$method:ident($($arg:expr),*)) => {
        $crate::component::call!($instance, $what, $resource.$method | $method($($arg),*))
    };
    (
        $instance:expr, $what:literal,
        $resource:ident.$current:ident | $previous:ident($($arg:expr),*)
    ) => {{
        $crate::store::begin_call(&mut $instance.store);
        let answer = $crate::component::on_each!(
            &$instance.exports, &mut $instance.store,
            $resource.$current | $previous($($arg),*)
        );
        $crate::store::finish(&$instance.store, $what, answer)
    }};
}

/// Calls a method in the version of the contract that the component was built for.
macro_rules! on_each {
    (
        $exports:expr, $store:expr,
        $resource:ident.$current:ident | $previous:ident($($arg:expr),*)
    ) => {
        match $exports {
            $crate::contract::PerVersion::Current(exports) => {
                exports.api().$resource().$current($store, $($arg),*).await
            }
            $crate::contract::PerVersion::Previous(exports) => {
                exports.api().$resource().$previous($store, $($arg),*).await
            }
        }
    };
}

pub(crate) use {call, on_each};
