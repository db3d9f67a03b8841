//! Reading: chunks become batches, by a component in the sandbox, by an ODBC driver in a process of its
//! own or, of files, by the host itself: those that a job names, and those of a connector's tables. What crosses the sandbox is Arrow IPC.

mod chunk;
mod chunk_scan;
mod component;
mod decode;
mod direct;
mod encode;
mod files;
mod frames;
mod lazily;
mod odbc;
mod slots;
mod source;

pub(crate) use chunk::check_size;
pub use chunk::{Chunk, DESCRIPTOR_LIMIT_BYTES, STATEMENT_LIMIT_BYTES};
pub(crate) use chunk_scan::Pace;
pub use chunk_scan::{ChunkScan, chunk_rows};
pub use component::ComponentSource;
pub(crate) use decode::caught;
pub use decode::{
    BATCH_COLUMN_LIMIT, BATCH_LIMIT_BYTES, IpcDecoder, decode_schema, quiet_caught_panics,
};
pub use direct::DirectReader;
pub use encode::{IpcEncoder, encode_schema};
pub use files::FileSource;
pub(crate) use lazily::lazily;
pub use odbc::OdbcLane;
pub use slots::{Lane, Slots, Work};
pub use source::{Described, Scanned, Source};
