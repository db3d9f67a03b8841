//! Reading: chunks become batches.

mod chunk_scan;
mod component;
mod decode;
mod slots;

pub use chunk_scan::{ChunkScan, chunk_rows};
pub use component::{Scanned, Source};
pub use decode::{
    BATCH_COLUMN_LIMIT, BATCH_LIMIT_BYTES, IpcDecoder, decode_schema, encode_schema,
    quiet_caught_panics,
};
pub use slots::{Lane, Slots, Work};
