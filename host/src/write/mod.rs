//! Encoding: batches become parts.

mod arrow_ipc;
mod dictionary;
mod encoder;
mod measured;
mod parquet;
mod part;
mod part_writer;
mod squeeze;
mod text;
mod types;

pub use encoder::{Encoded, Encoder, open_encoder};
pub use parquet::{ROW_GROUP_LIMIT_BYTES, ROW_GROUP_LIMIT_ROWS};
pub use part::{Attempt, Part};
pub use part_writer::{Destination, PartWriter};
pub use types::parquet_type;
