//! Reading: chunks become batches. What crosses the sandbox is Arrow IPC.

mod chunk_scan;
mod component;
mod decode;
mod encode;
mod slots;

pub(crate) use chunk_scan::Pace;
pub use chunk_scan::{ChunkScan, chunk_rows};
pub use component::{DESCRIPTOR_LIMIT_BYTES, Scanned, Source};
pub use decode::{
    BATCH_COLUMN_LIMIT, BATCH_LIMIT_BYTES, IpcDecoder, decode_schema, quiet_caught_panics,
};
pub use encode::{IpcEncoder, encode_schema};
pub use slots::{Lane, Slots, Work};
