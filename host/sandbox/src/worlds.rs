//! The worlds of the kinds: how components of either version of the contract are checked, instantiated
//! and asked what they are.

use async_trait::async_trait;
use wasmtime::Store;
use wasmtime::component::InstancePre;

use super::component::sealed::World;
use super::component::{Connector, Sink, Transform};
use super::contract::{ContractVersion, PerVersion, v0_5, v0_6};
use super::plugin_info::PluginInfo;
use super::previous;
use super::store::State;

macro_rules! world {
    ($kind:ident, $name:literal, $module:ident, $pre:ident, $instance:ident, $describe:ident) => {
        #[async_trait]
        impl World for $kind {
            const NAME: &'static str = $name;
            type CheckedComponent =
                PerVersion<v0_6::$module::$pre<State>, v0_5::$module::$pre<State>>;
            type Exports = PerVersion<v0_6::$module::$instance, v0_5::$module::$instance>;

            fn check(
                version: ContractVersion,
                instance: InstancePre<State>,
            ) -> wasmtime::Result<Self::CheckedComponent> {
                Ok(match version {
                    ContractVersion::V0_6 => {
                        PerVersion::Current(v0_6::$module::$pre::new(instance)?)
                    }
                    ContractVersion::V0_5 => {
                        PerVersion::Previous(v0_5::$module::$pre::new(instance)?)
                    }
                })
            }

            async fn instantiate(
                checked: &Self::CheckedComponent,
                store: &mut Store<State>,
            ) -> wasmtime::Result<Self::Exports> {
                Ok(match checked {
                    PerVersion::Current(pre) => {
                        PerVersion::Current(pre.instantiate_async(store).await?)
                    }
                    PerVersion::Previous(pre) => {
                        PerVersion::Previous(pre.instantiate_async(store).await?)
                    }
                })
            }

            async fn describe(
                exports: &Self::Exports,
                store: &mut Store<State>,
            ) -> wasmtime::Result<PluginInfo> {
                match exports {
                    PerVersion::Current(current) => $describe(current, store).await,
                    PerVersion::Previous(exports) => previous::$describe(exports, store).await,
                }
            }
        }
    };
}

world!(Connector, "connector", connector, ConnectorPre, Connector, describe_connector);
world!(Transform, "transform", transform, TransformPre, Transform, describe_transform);
world!(Sink, "sink", sink, SinkPre, Sink, describe_sink);

async fn describe_connector(
    of: &v0_6::connector::Connector,
    store: &mut Store<State>,
) -> wasmtime::Result<PluginInfo> {
    let api = of.api();
    let description = api.call_describe(&mut *store).await?;
    let features = api.call_features(store).await?;
    Ok(PluginInfo { description, features: Some(features) })
}

async fn describe_transform(
    of: &v0_6::transform::Transform,
    store: &mut Store<State>,
) -> wasmtime::Result<PluginInfo> {
    let description = of.api().call_describe(store).await?;
    Ok(PluginInfo { description, features: None })
}

async fn describe_sink(
    of: &v0_6::sink::Sink,
    store: &mut Store<State>,
) -> wasmtime::Result<PluginInfo> {
    let description = of.api().call_describe(store).await?;
    Ok(PluginInfo { description, features: None })
}
