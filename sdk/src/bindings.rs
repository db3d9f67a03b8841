pub mod capabilities {
    wit_bindgen::generate!({ path: "../wit", world: "capabilities", generate_all, generate_unused_types: true, additional_derives: [PartialEq] });
}

macro_rules! kind {
    ($module:ident, $world:literal, $export:literal $(, $interface:literal = $bound:ident)*) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "../wit",
                world: $world,
                with: {
                    "longshore:plugin/types@0.6.0": crate::bindings::capabilities::longshore::plugin::types,
                    "longshore:plugin/log@0.6.0": crate::bindings::capabilities::longshore::plugin::log,
                    "longshore:plugin/clock@0.6.0": crate::bindings::capabilities::longshore::plugin::clock,
                    "longshore:plugin/random@0.6.0": crate::bindings::capabilities::longshore::plugin::random,
                    "longshore:plugin/secrets@0.6.0": crate::bindings::capabilities::longshore::plugin::secrets,
                    $($interface: crate::bindings::capabilities::longshore::plugin::$bound,)*
                },
                pub_export_macro: true,
                export_macro_name: $export,
                default_bindings_module: "longshore_sdk::bindings",
                generate_unused_types: true,
                additional_derives: [PartialEq],
            });
        }
    };
}

kind!(
    connector,
    "connector-with-lookup",
    "export_connector_world",
    "longshore:plugin/connection@0.6.0" = connection,
    "longshore:plugin/http@0.6.0" = http,
    "longshore:plugin/odbc@0.6.0" = odbc,
    "longshore:plugin/odbc-types@0.6.0" = odbc_types,
    "longshore:plugin/kerberos@0.6.0" = kerberos
);
kind!(transform, "transform", "export_transform_world", "longshore:plugin/digest@0.6.0" = digest);
kind!(
    sink,
    "sink",
    "export_sink_world",
    "longshore:plugin/connection@0.6.0" = connection,
    "longshore:plugin/http@0.6.0" = http
);
