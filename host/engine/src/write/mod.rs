//! Writing: batches become parts, in files or in a sink.

mod arrow_ipc;
mod checksum_writer;
mod compressed_writer;
mod dictionary;
mod encoder;
mod file_parts;
mod fit;
mod format;
mod join;
mod parquet;
mod part_file;
mod part_rows;
mod part_writer;
mod partitioned_writer;
mod partitioning;
mod row_groups;
mod sink_parts;
mod text;
mod types;

pub use encoder::{EncodedFile, Encoder};
pub use format::open_encoder;
pub use join::{format_before_join, join_files};
pub use parquet::{ROW_GROUP_LIMIT_BYTES, ROW_GROUP_LIMIT_ROWS};
pub use part_file::FileParts;
pub use part_rows::WriteResult;
pub use part_writer::{Attempt, ChunkNumbers, PartWriter, Parts};
pub use partitioned_writer::OPEN_FILES_LIMIT;
pub(crate) use partitioning::folder_values;
pub use partitioning::{FOLDER_NAME_LIMIT_BYTES, Partitioning, folder_prefix};
pub use sink_parts::SinkParts;
pub(crate) use text::texts_of;
pub use types::parquet_type;
