//! Writing: batches become parts, in files or in a sink.

mod apart;
mod arrow_ipc;
mod dictionary;
mod encoder;
mod file_parts;
mod fit;
mod measured;
mod parquet;
mod part;
mod part_writer;
mod partitioning;
mod sink_parts;
mod squeeze;
mod text;
mod types;

pub use apart::OPEN_FILES_LIMIT;
pub use encoder::{Encoded, Encoder, open_encoder};
pub use file_parts::FileParts;
pub use parquet::{ROW_GROUP_LIMIT_BYTES, ROW_GROUP_LIMIT_ROWS};
pub use part::{Attempt, Part};
pub use part_writer::{PartWriter, Parts};
pub use partitioning::{FOLDER_NAME_LIMIT_BYTES, NULL_FOLDER, Partitioning};
pub use sink_parts::SinkParts;
pub use types::parquet_type;
