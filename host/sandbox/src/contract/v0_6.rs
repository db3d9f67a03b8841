//! The current version of the contract: `wit/`.

#![allow(missing_docs, clippy::all)]

pub mod connector;

pub mod capabilities {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "capabilities",
        imports: {
            "longshore:plugin/clock.sleep": async | trappable,
            "longshore:plugin/connection": async | trappable,
            "longshore:plugin/http": async | trappable,
            "longshore:plugin/odbc": async | trappable,
            "longshore:plugin/kerberos": async | trappable,
            "longshore:plugin/random": async | trappable,
            "longshore:plugin/secrets": async | trappable,
            default: trappable,
        },
        with: {
            "longshore:plugin/connection.connection": crate::capability::host_env::Stream,
            "longshore:plugin/http.response": crate::capability::host_env::Answer,
            "longshore:plugin/odbc.session": crate::capability::host_env::OdbcSession,
            "longshore:plugin/kerberos.login": crate::capability::host_env::Ticket,
        },
        require_store_data_send: true,
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
    });
}

macro_rules! world {
    ($module:ident, $world:literal $(, $interface:literal = $bound:ident)*) => {
        pub mod $module {
            wasmtime::component::bindgen!({
                path: "../../wit",
                world: $world,
                exports: { default: async },
                with: {
                    "longshore:plugin/types": crate::contract::v0_6::types,
                    "longshore:plugin/log": crate::contract::v0_6::log,
                    "longshore:plugin/clock": crate::contract::v0_6::clock,
                    "longshore:plugin/random": crate::contract::v0_6::random,
                    "longshore:plugin/secrets": crate::contract::v0_6::secrets,
                    $($interface: crate::contract::v0_6::$bound,)*
                },
                require_store_data_send: true,
                additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
            });
        }
    };
}

world!(
    connector_world,
    "connector-with-lookup",
    "longshore:plugin/connection" = connection,
    "longshore:plugin/http" = http,
    "longshore:plugin/odbc" = odbc,
    "longshore:plugin/odbc-types" = odbc_types,
    "longshore:plugin/kerberos" = kerberos
);
world!(transform, "transform", "longshore:plugin/digest" = digest);
world!(sink, "sink", "longshore:plugin/connection" = connection, "longshore:plugin/http" = http);

pub use capabilities::longshore::plugin::{
    clock, connection, digest, http, kerberos, log, odbc, odbc_types, random, secrets, types,
};
pub use connector_world::longshore::plugin::connector_types;
pub use sink::longshore::plugin::sink_types;
pub use transform::longshore::plugin::transform_types;

impl transform::Transform {
    pub fn api(&self) -> &transform::exports::longshore::plugin::transform_api::Guest {
        self.longshore_plugin_transform_api()
    }
}

impl sink::Sink {
    pub fn api(&self) -> &sink::exports::longshore::plugin::sink_api::Guest {
        self.longshore_plugin_sink_api()
    }
}
