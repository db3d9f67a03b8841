//! Generated from the `wit/` files.

#![allow(missing_docs, clippy::all)]

mod capabilities {
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
        additional_derives: [serde::Serialize, serde::Deserialize],
    });
}

macro_rules! kind {
    ($module:ident, $world:literal $(, $interface:literal = $bound:ident)*) => {
        pub(super) mod $module {
            wasmtime::component::bindgen!({
                path: "../../wit",
                world: $world,
                exports: { default: async },
                with: {
                    "longshore:plugin/types": crate::bindings::types,
                    "longshore:plugin/log": crate::bindings::log,
                    "longshore:plugin/clock": crate::bindings::clock,
                    "longshore:plugin/random": crate::bindings::random,
                    "longshore:plugin/secrets": crate::bindings::secrets,
                    $($interface: crate::bindings::$bound,)*
                },
                require_store_data_send: true,
                additional_derives: [serde::Serialize, serde::Deserialize],
            });
        }
    };
}

kind!(
    connector,
    "connector",
    "longshore:plugin/connection" = connection,
    "longshore:plugin/http" = http,
    "longshore:plugin/odbc" = odbc,
    "longshore:plugin/odbc-lane" = odbc_lane,
    "longshore:plugin/kerberos" = kerberos
);
kind!(transform, "transform");
kind!(sink, "sink", "longshore:plugin/connection" = connection, "longshore:plugin/http" = http);

pub(super) use capabilities::Capabilities;
pub use capabilities::longshore::plugin::{
    clock, connection, http, kerberos, log, odbc, odbc_lane, random, secrets, types,
};
pub use connector::exports::longshore::plugin::connector_api;
pub use sink::exports::longshore::plugin::sink_api;
pub use transform::exports::longshore::plugin::transform_api;
