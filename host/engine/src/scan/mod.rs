//! Reading: chunks become batches, by a component in the sandbox, by an ODBC driver in a process of its
//! own or, of files, by the host itself: those that a job names, and those of a connector's tables. What crosses the sandbox is Arrow IPC.

mod chunk;
mod chunk_scan;
mod component;
mod described;
mod direct;
mod files;
mod odbc;
mod slots;
mod source;

pub use chunk::{Chunk, DESCRIPTOR_LIMIT_BYTES, STATEMENT_LIMIT_BYTES, check_size};
pub use chunk_scan::{ChunkScan, chunk_rows};
pub use component::ComponentSource;
pub use described::{Described, ScanPlan};
pub use direct::DirectReader;
pub use files::FileSource;
pub use odbc::OdbcLane;
pub use slots::{Lane, Slots};
pub use source::Source;
