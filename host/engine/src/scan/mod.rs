//! Reading: chunks become batches.
//!
//! A run sees one trait, [`Source`]. `component` reads through a connector in the sandbox, or through an
//! ODBC driver in a process of its own as the connector says; `files` reads files that the job names;
//! `direct` reads a connector's tables from their files where the job allows it.

mod batch_sender;
mod chunk;
mod chunk_scan;
mod component;
mod described;
mod direct;
mod files;
mod left_out;
mod odbc;
mod own_thread;
mod read_amount;
mod slots;
mod source;

pub use batch_sender::BatchSender;
pub use chunk::{Chunk, DESCRIPTOR_LIMIT_BYTES, STATEMENT_LIMIT_BYTES, check_size};
pub use chunk_scan::{ChunkScan, chunk_rows};
pub use component::ComponentSource;
pub use described::{RelationDescription, ScanPlan};
pub use direct::DirectSource;
pub use files::FileSource;
pub(crate) use files::{ParquetReaders, fetch_footer};
pub use left_out::{LeftOut, PlacedLeftOut, RowPlace};
pub use odbc::OdbcLane;
pub use read_amount::{ReadAmount, ReadCounter};
pub use slots::{Lane, Slot, Slots};
pub use source::{ChunkRead, Source, SourceFile};
