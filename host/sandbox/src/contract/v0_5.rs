//! The previous version of the contract: `wit/v0_5_changes.wit` of this crate says how it differs from
//! the current one.

#![allow(missing_docs, clippy::all)]

pub mod capabilities {
    wasmtime::component::bindgen!({
        path: ["../../wit", "wit/v0_5_changes.wit"],
        world: "longshore:plugin/capabilities@0.5.0",
        imports: {
            "longshore:plugin/clock@0.5.0.sleep": async | trappable,
            "longshore:plugin/connection@0.5.0": async | trappable,
            "longshore:plugin/http@0.5.0": async | trappable,
            "longshore:plugin/odbc@0.5.0": async | trappable,
            "longshore:plugin/kerberos@0.5.0": async | trappable,
            "longshore:plugin/random@0.5.0": async | trappable,
            "longshore:plugin/secrets@0.5.0": async | trappable,
            default: trappable,
        },
        with: {
            "longshore:plugin/types@0.6.0": crate::contract::v0_6::types,
            "longshore:plugin/log@0.6.0": crate::contract::v0_6::log,
            "longshore:plugin/secrets@0.6.0": crate::contract::v0_6::secrets,
            "longshore:plugin/connection@0.6.0": crate::contract::v0_6::connection,
            "longshore:plugin/http@0.6.0": crate::contract::v0_6::http,
            "longshore:plugin/odbc@0.6.0": crate::contract::v0_6::odbc,
            "longshore:plugin/odbc-types@0.6.0": crate::contract::v0_6::odbc_types,
            "longshore:plugin/kerberos@0.6.0": crate::contract::v0_6::kerberos,
            "longshore:plugin/connection@0.5.0.connection": crate::capability::host_env::Stream,
            "longshore:plugin/http@0.5.0.response": crate::capability::host_env::Answer,
            "longshore:plugin/odbc@0.5.0.session": crate::capability::host_env::OdbcSession,
            "longshore:plugin/kerberos@0.5.0.login": crate::capability::host_env::Ticket,
        },
        require_store_data_send: true,
    });
}

macro_rules! world {
    ($module:ident, $world:literal $(, $interface:literal = $bound:ident)*) => {
        pub mod $module {
            wasmtime::component::bindgen!({
                path: ["../../wit", "wit/v0_5_changes.wit"],
                world: $world,
                exports: { default: async },
                with: {
                    "longshore:plugin/types@0.6.0": crate::contract::v0_6::types,
                    $($interface: crate::contract::v0_6::$bound,)*
                },
                require_store_data_send: true,
            });
        }
    };
}

world!(
    connector,
    "longshore:plugin/connector@0.5.0",
    "longshore:plugin/connector-types@0.6.0" = connector_types,
    "longshore:plugin/odbc-types@0.6.0" = odbc_types
);
world!(transform, "longshore:plugin/transform@0.5.0");
world!(sink, "longshore:plugin/sink@0.5.0", "longshore:plugin/sink-types@0.6.0" = sink_types);

impl connector::Connector {
    pub fn api(&self) -> &connector::exports::longshore::plugin0_5_0::connector_api::Guest {
        self.longshore_plugin0_5_0_connector_api()
    }
}

impl transform::Transform {
    pub fn api(&self) -> &transform::exports::longshore::plugin0_5_0::transform_api::Guest {
        self.longshore_plugin0_5_0_transform_api()
    }
}

impl sink::Sink {
    pub fn api(&self) -> &sink::exports::longshore::plugin0_5_0::sink_api::Guest {
        self.longshore_plugin0_5_0_sink_api()
    }
}
