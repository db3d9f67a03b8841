//! The sandbox: the only place that names wasmtime.
//!
//! A component is compiled once per content digest and cached on disk. A session with a source
//! lives in a store of its own, with limits on memory, tables, instances, host-call bytes and
//! compute time, and is dropped, never used again, after a call that failed or was cancelled.

mod cache;
pub mod capability;
mod component;
mod connector;
mod contract;
mod engine;
mod imports;
mod kerberos;
mod odbc;
mod plugin_info;
mod previous;
mod relation;
mod sink;
mod store;
pub mod tape;
mod transform;
mod worlds;

pub use component::{Component, Connector, Instance, Kind, Sink, Transform};
pub use connector::{OpenChunks, OpenReader, Session};
pub use contract::ContractVersion;
pub use contract::v0_6::connector_types::{
    Chunk as PlannedChunk, ChunkHints, Column, Comparable, ConnectorFeatures, Lane as ChunkLane,
    Pushdown, RelationInfo, Scan, Snapshot, SnapshotResult, Storage, TableFiles, TableFolder,
    TableRegistration,
};
pub use contract::v0_6::odbc_types::{
    Fetch as OdbcFetch, Statement as OdbcStatement, Value as OdbcValue,
};
pub use contract::v0_6::sink_types::{FinishedLoad, Load};
pub use contract::v0_6::transform_types::{ColumnMapping, ColumnSource};
pub use contract::v0_6::types::{Description, EndpointField, Mode as LoadMode, Relation};
pub use engine::{CompiledComponent, Sandbox};
pub use plugin_info::PluginInfo;
pub use sink::{OpenTarget, OpenWriter};
pub use store::{INSTANCE_LIMIT, PluginTrap, TABLE_LIMIT_ELEMENTS, Usage};
pub use transform::Transformer;
