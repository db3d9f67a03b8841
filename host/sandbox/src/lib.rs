//! The sandbox: the only place that names wasmtime.
//!
//! A component is compiled once per content digest and cached on disk. A session with a source
//! lives in a store of its own, with limits on memory, tables, instances, host-call bytes and
//! compute time, and is dropped, never used again, after a call that failed or was cancelled.

mod bindings;
mod cache;
pub mod capability;
mod connector;
mod engine;
mod imports;
mod kerberos;
mod odbc;
mod relation;
mod sink;
mod store;
pub mod tape;
mod transform;

pub use bindings::connector_api::{
    Chunk as PlannedChunk, ChunkWish, Column, Comparable, Description as ConnectorDescription,
    Hold, Lane as ChunkLane, Pushdown, Registration, RelationInfo, Scan, Snapshot, Storage, Stored,
    StoredFolder,
};
pub use bindings::odbc_lane::{Fetch as OdbcFetch, Reading as OdbcReading, Value as OdbcValue};
pub use bindings::sink_api::{Description as SinkDescription, Load, Mode as LoadMode, Written};
pub use bindings::transform_api::Description as TransformDescription;
pub use bindings::types::{EndpointField, Relation};
pub use connector::{ConnectorComponent, OpenChunks, OpenReader, Session};
pub use engine::{Compiled, Sandbox};
pub use sink::{OpenTarget, OpenWriter, SinkComponent};
pub use store::{INSTANCE_LIMIT, PluginTrap, TABLE_LIMIT_ELEMENTS, Usage};
pub use transform::{TransformComponent, Transformer};
