//! Write Longshore plugins: connectors, transforms and sinks that become WebAssembly components.
//!
//! A plugin is a crate with `crate-type = ["cdylib", "rlib"]`, a type that implements one of the
//! traits, and one line that exports it:
//!
//! | kind | trait | line |
//! |---|---|---|
//! | connector | [`Connector`] | `longshore_sdk::export_connector!(MyConnector);` |
//! | transform | [`Transform`] | `longshore_sdk::export_transform!(MyTransform);` |
//! | sink | [`Sink`] | `longshore_sdk::export_sink!(MySink);` |
//!
//! `longshore plugin build` makes the component. The same code compiles natively, where
//! [`testkit`] stands in for the host, so that plain `cargo test` tests it.
//!
//! What the host offers a plugin is in [`host`]; there is nothing else: no files, no environment,
//! no sockets, and on the WebAssembly target `std::time` and `std::thread` panic.

mod batch;
mod config;
mod connector;
pub mod digest;
mod error;
mod export;
mod handed;
pub mod host;
mod host_types;
pub mod ipc;
pub mod load_modes;
pub mod ranges;
mod sink;
pub mod sql;
#[cfg(not(target_arch = "wasm32"))]
pub mod testkit;
mod transform;

/// Generated from the `wit/` files.
#[allow(missing_docs, clippy::all)]
pub mod bindings;

pub use arrow_array as array;
pub use arrow_buffer as buffer;
pub use arrow_schema as schema;
pub use batch::BatchBuilder;
pub use bindings::capabilities::longshore::plugin::types::Mode;
pub use bindings::capabilities::longshore::plugin::types::Relation;
pub use bindings::connector::longshore::plugin::connector_types::{
    Chunk, ChunkHints, Column, Comparable, Consistency, Lane, Pushdown,
    RelationInfo as WireRelationInfo, Scan, Snapshot, SnapshotResult, Storage, TableFiles,
    TableFolder,
};
pub use bindings::sink::longshore::plugin::sink_types::{FinishedLoad, Load};
pub use bindings::transform::longshore::plugin::transform_types::{ColumnMapping, ColumnSource};
pub use config::{Secret, schema_of};
pub use connector::{Connector, ConnectorInfo, Plan, Reader, RelationInfo, TableRegistration};
pub use error::{Error, ErrorClass, Result, ResultExt};
pub use sink::{Sink, SinkInfo, SinkWriter};
pub use transform::{Transform, TransformInfo};

#[doc(hidden)]
pub mod internal {
    //! For the export macros only.
    pub use crate::connector::component as connector;
    pub use crate::sink::component as sink;
    pub use crate::transform::component as transform;
    pub use getrandom::Error as EntropyError;
}
