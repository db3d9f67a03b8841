//! What all encoders are to the writer of parts.

use std::io;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use longshore_model::checksum::Checksum;
use longshore_model::error::{Error, Result};

use super::checksum_writer::ChecksumWriter;
use crate::destination::PartFile;

/// Turns batches into one file's bytes.
pub trait Encoder: Send {
    /// Adds a batch.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Bytes in memory that are not in the file yet.
    fn memory_bytes(&self) -> usize;

    /// Writes out what is in memory, if the format allows it in the middle of a file.
    fn flush_buffered(&mut self) -> Result<()> {
        Ok(())
    }

    /// Ends the file.
    fn finish(self: Box<Self>) -> Result<EncodedFile>;
}

/// A file whose last byte is written, but which is not durable yet.
pub struct EncodedFile {
    /// The file.
    pub file: Box<dyn PartFile>,
    /// Its size.
    pub bytes: u64,
    /// Its checksum.
    pub checksum: Checksum,
}

impl EncodedFile {
    pub(super) fn new(measured: ChecksumWriter) -> Self {
        let (file, bytes, checksum) = measured.into_parts();
        Self { file, bytes, checksum }
    }
}

/// What the store said, if an I/O error carries it.
pub(super) fn io_fault(error: io::Error) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(own) => own.copy(),
        None => Error::io("writing a part", error),
    }
}

pub(super) fn arrow_fault(error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, error) => io_fault(error),
        ArrowError::ExternalError(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => io_fault(*error),
            Err(other) => Error::internal(format!("writing a part: {other}")),
        },
        other => Error::data(format!("the format cannot hold it: {other}")).with_hint(
            "cast the column to another type in an `sql` step, or write Parquet or Arrow",
        ),
    }
}
