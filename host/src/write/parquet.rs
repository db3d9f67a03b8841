//! Parquet: batches in, one file's bytes out, counted and hashed on the way.

use std::io::{self, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};

use super::dictionary;
use crate::error::{Error, Result};
use crate::plugin::hex;
use crate::target::PartFile;

/// The most rows of a row group.
pub const ROW_GROUP_LIMIT_ROWS: usize = 1 << 20;

/// The most bytes of a row group, encoded: they are in memory until it is complete.
pub const ROW_GROUP_LIMIT_BYTES: usize = 8 << 20;

/// Writes one file.
pub struct ParquetEncoder {
    writer: ArrowWriter<Measured>,
    rows: u64,
}

impl ParquetEncoder {
    /// Begins a file; `sample` tells which columns gain from a dictionary.
    pub fn new(
        schema: SchemaRef,
        compression: Compression,
        sample: Option<&RecordBatch>,
        file: Box<dyn PartFile>,
    ) -> Result<Self> {
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("longshore ", env!("CARGO_PKG_VERSION")).into())
            .set_compression(compression)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_max_row_group_row_count(Some(ROW_GROUP_LIMIT_ROWS));
        for column in sample.map(dictionary::useless).unwrap_or_default() {
            let path = ColumnPath::new(vec![schema.field(column).name().clone()]);
            properties = properties.set_column_dictionary_enabled(path, false);
        }
        let file = Measured { file, bytes: 0, hash: Sha256::new() };
        let writer =
            ArrowWriter::try_new(file, schema, Some(properties.build())).map_err(encoding)?;
        Ok(Self { writer, rows: 0 })
    }

    /// Adds a batch.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(encoding)?;
        self.rows += batch.num_rows() as u64;
        if self.writer.in_progress_size() > ROW_GROUP_LIMIT_BYTES {
            self.writer.flush().map_err(encoding)?;
        }
        Ok(())
    }

    /// Ends the file and makes it durable: its rows, bytes and SHA-256.
    pub fn finish(self) -> Result<(u64, u64, String)> {
        let file = self.writer.into_inner().map_err(encoding)?;
        let sha256 = hex(&file.hash.finalize());
        file.file.finish()?;
        Ok((self.rows, file.bytes, sha256))
    }
}

fn encoding(error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => Error::io("writing a part", *error),
            Err(other) => Error::internal(format!("writing a part: {other}")),
        },
        ParquetError::NYI(what) | ParquetError::ArrowError(what) => {
            Error::data(format!("Parquet cannot hold it: {what}"))
                .with_hint("cast the column to another type in an `sql` step")
        }
        other => Error::internal(format!("writing a part: {other}")),
    }
}

/// Counts and hashes what passes.
struct Measured {
    file: Box<dyn PartFile>,
    bytes: u64,
    hash: Sha256,
}

impl Write for Measured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
