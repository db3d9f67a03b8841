//! The types of what the host offers: the contract's own, by short names.

pub use crate::bindings::capabilities::longshore::plugin::connection::{
    Endpoint, TlsOptions, TlsVerify,
};
pub use crate::bindings::capabilities::longshore::plugin::digest::Encoding;
pub use crate::bindings::capabilities::longshore::plugin::http::Request;
pub use crate::bindings::capabilities::longshore::plugin::log::Level;
pub use crate::bindings::capabilities::longshore::plugin::secrets::Scram;

/// What ODBC is told and tells.
pub mod odbc {
    pub use crate::bindings::capabilities::longshore::plugin::odbc::{
        Catalog, Column, Product, TableName,
    };
    pub use crate::bindings::capabilities::longshore::plugin::odbc_types::{
        Attribute, Fetch, Login, Setting, Statement, Value,
    };
}

/// Rows as texts.
pub type Rows = Vec<Vec<Option<String>>>;
