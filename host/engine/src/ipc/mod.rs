//! What crosses into a component and back: Arrow IPC, made and read without a copy where that can be.

mod decode;
mod encode;
mod frames;
mod lazy_stream;
mod read_limits;

pub use decode::{
    BATCH_COLUMN_LIMIT, IpcDecoder, catch_panic, decode_schema, silence_caught_panics,
};
pub(crate) use encode::plain_field;
pub use encode::{IpcEncoder, encode_schema};
pub use frames::BATCH_LIMIT_BYTES;
pub use lazy_stream::lazy_stream;
pub use read_limits::ReadLimits;
