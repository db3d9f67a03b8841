//! Parquet: batches in, one file's bytes out.

use std::io;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::dictionary;
use super::encoder::{Encoded, Encoder, io_fault};
use super::measured::Measured;
use crate::error::{Error, Result};

/// The most rows of a row group.
pub const ROW_GROUP_LIMIT_ROWS: usize = 1 << 20;

/// The most bytes of a row group, encoded: they are in memory until it is complete.
pub const ROW_GROUP_LIMIT_BYTES: usize = 8 << 20;

/// Writes one file.
pub(super) struct ParquetEncoder {
    writer: ArrowWriter<Measured>,
}

impl ParquetEncoder {
    /// Begins a file; `sample` tells which columns gain from a dictionary.
    pub(super) fn new(
        schema: SchemaRef,
        compression: Compression,
        sample: Option<&RecordBatch>,
        file: Measured,
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
        let writer = ArrowWriter::try_new(file, schema, Some(properties.build())).map_err(unfit)?;
        Ok(Self { writer })
    }
}

impl Encoder for ParquetEncoder {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(encoding)?;
        match self.writer.in_progress_size() > ROW_GROUP_LIMIT_BYTES {
            true => self.relieve(),
            false => Ok(()),
        }
    }

    fn memory_bytes(&self) -> usize {
        self.writer.memory_size()
    }

    fn relieve(&mut self) -> Result<()> {
        self.writer.flush().map_err(encoding)
    }

    fn finish(self: Box<Self>) -> Result<Encoded> {
        Ok(Encoded::new(self.writer.into_inner().map_err(encoding)?))
    }
}

/// Why a schema is not Parquet's.
fn unfit(error: ParquetError) -> Error {
    match error {
        ParquetError::General(what) => encoding(ParquetError::NYI(what)),
        other => encoding(other),
    }
}

fn encoding(error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => io_fault(*error),
            Err(other) => Error::internal(format!("writing a part: {other}")),
        },
        ParquetError::NYI(what) | ParquetError::ArrowError(what) => {
            Error::data(format!("Parquet cannot hold it: {what}"))
                .with_hint("cast the column to another type in an `sql` step")
        }
        other => Error::internal(format!("writing a part: {other}")),
    }
}
