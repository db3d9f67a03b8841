//! Encoding: batches become parts.

mod dictionary;
mod parquet;
mod part;
mod part_writer;
mod types;

pub use parquet::{ParquetEncoder, ROW_GROUP_LIMIT_BYTES, ROW_GROUP_LIMIT_ROWS};
pub use part::{Attempt, Part};
pub use part_writer::PartWriter;
pub use types::parquet_type;
