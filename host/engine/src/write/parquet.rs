//! Parquet: batches in, one file's bytes out.

use std::io;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use longshore_model::config::target::ParquetCodec;
use longshore_model::error::{Error, Result};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use super::checksum_writer::ChecksumWriter;
use super::dictionary;
use super::encoder::{EncodedFile, Encoder, io_fault};
use crate::decimal_width::widen_schema;

/// The most rows of a row group.
pub const ROW_GROUP_LIMIT_ROWS: usize = 1 << 20;

/// The most bytes of a row group, encoded: they are in memory until it is complete.
pub const ROW_GROUP_LIMIT_BYTES: usize = 8 << 20;

/// The most rows of a page, which is what the writer's library has by itself.
const PAGE_LIMIT_ROWS: usize = 20_000;

/// The most rows of a page of a table with very many columns.
const MIN_PAGE_LIMIT_ROWS: usize = 1_000;

/// The most values of all pages that are being made, unless that makes them too short.
const PAGES_LIMIT_VALUES: usize = 1 << 20;

/// Values that are larger on average get neither a dictionary nor statistics.
const LARGE_VALUE_BYTES: usize = 256 << 10;

fn compression(codec: ParquetCodec) -> Result<Compression> {
    let level = |fault: ParquetError| Error::config(format!("`target.compression`: {fault}"));
    Ok(match codec {
        ParquetCodec::None => Compression::UNCOMPRESSED,
        ParquetCodec::Snappy => Compression::SNAPPY,
        ParquetCodec::Gzip(n) => Compression::GZIP(GzipLevel::try_new(n).map_err(level)?),
        ParquetCodec::Zstd(n) => Compression::ZSTD(ZstdLevel::try_new(n).map_err(level)?),
    })
}

/// Writes one file.
pub(super) struct ParquetEncoder {
    writer: ArrowWriter<ChecksumWriter>,
}

impl ParquetEncoder {
    /// Begins a file; `sample` tells which columns gain from a dictionary.
    pub(super) fn new(
        schema: SchemaRef,
        codec: ParquetCodec,
        sample: Option<&RecordBatch>,
        file: ChecksumWriter,
    ) -> Result<Self> {
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("longshore ", env!("CARGO_PKG_VERSION")).into())
            .set_compression(compression(codec)?)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_max_row_group_row_count(Some(ROW_GROUP_LIMIT_ROWS))
            .set_data_page_row_count_limit(page_rows(schema.fields().len()));
        for column in sample.map(dictionary::useless).unwrap_or_default() {
            let path = ColumnPath::new(vec![schema.field(column).name().clone()]);
            properties = properties.set_column_dictionary_enabled(path, false);
        }
        for column in sample.map(large_columns).unwrap_or_default() {
            let path = ColumnPath::new(vec![schema.field(column).name().clone()]);
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_statistics_enabled(path, EnabledStatistics::None);
        }
        let mut properties = properties.build();
        // Old readers refuse a file for types that they do not know, such as decimals of 32 bits.
        add_encoded_arrow_schema_to_metadata(&widen_schema(&schema), &mut properties);
        let options =
            ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(file, schema, options).map_err(unfit)?;
        Ok(Self { writer })
    }

    /// What takes whole row groups of other files.
    pub(super) fn into_group_writer(self) -> Result<SerializedFileWriter<ChecksumWriter>> {
        let (writer, _) = self.writer.into_serialized_writer().map_err(encoding)?;
        Ok(writer)
    }
}

impl Encoder for ParquetEncoder {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(encoding)?;
        if self.writer.in_progress_size() > ROW_GROUP_LIMIT_BYTES {
            self.flush_buffered()
        } else {
            Ok(())
        }
    }

    fn memory_bytes(&self) -> usize {
        self.writer.memory_size()
    }

    fn flush_buffered(&mut self) -> Result<()> {
        self.writer.flush().map_err(encoding)
    }

    fn finish(self: Box<Self>) -> Result<EncodedFile> {
        Ok(EncodedFile::new(self.writer.into_inner().map_err(encoding)?))
    }
}

/// The most rows of a page. A column with a dictionary holds eight bytes in memory for each of them.
fn page_rows(columns: usize) -> usize {
    (PAGES_LIMIT_VALUES / columns.max(1)).clamp(MIN_PAGE_LIMIT_ROWS, PAGE_LIMIT_ROWS)
}

/// The columns, by index, of values so large that the writer must not keep copies: a dictionary keeps one, and
/// statistics keep the least and the greatest.
fn large_columns(batch: &RecordBatch) -> Vec<usize> {
    let bytes = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(0);
    let is_large = |column: &ArrayRef| bytes(column) / column.len().max(1) > LARGE_VALUE_BYTES;
    let columns = batch.columns().iter().enumerate();
    columns.filter(|(_, column)| is_large(column)).map(|(index, _)| index).collect()
}

/// Why a schema is not Parquet's.
fn unfit(error: ParquetError) -> Error {
    match error {
        ParquetError::General(what) => encoding(ParquetError::NYI(what)),
        other => encoding(other),
    }
}

pub(super) fn encoding(error: ParquetError) -> Error {
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use arrow::array::{Date32Array, Decimal64Array, Int32Array, Int64Array, StringArray};
    use async_trait::async_trait;

    use super::*;
    use crate::destination::PartFile;

    struct Nowhere;

    impl Write for Nowhere {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[async_trait]
    impl PartFile for Nowhere {
        async fn finish(self: Box<Self>) -> Result<String> {
            Ok(String::new())
        }
    }

    /// Rows that are encoded again and again.
    const COUNTED_BATCH_ROWS: usize = 8_192;

    /// What `make instructions` counts: ROWS rows, as of `lineitem`.
    #[test]
    #[ignore = "`make instructions` runs it"]
    fn counted_rows_are_encoded() {
        let rows: usize = std::env::var("ROWS").unwrap().parse().unwrap();
        let batch = counted_batch();
        let file = ChecksumWriter::new(Box::new(Nowhere));
        let codec = ParquetCodec::Snappy;
        let mut encoder = ParquetEncoder::new(batch.schema(), codec, Some(&batch), file).unwrap();
        for _ in 0..rows / COUNTED_BATCH_ROWS {
            encoder.write(&batch).unwrap();
        }
        assert!(Box::new(encoder).finish().unwrap().bytes > 0);
    }

    fn counted_batch() -> RecordBatch {
        let numbers = || 0..COUNTED_BATCH_ROWS as i64;
        let small = || numbers().map(|number| (number * 7_919 % 2_500) as i32);
        let prices: Decimal64Array = numbers().map(|number| number * 104_729 % 9_999_999).collect();
        let flags = numbers().map(|number| Some(["A", "N", "R"][number as usize % 3]));
        let comments = numbers().map(|number| Some(format!("{number:x} ironic deposits sleep")));
        let columns: [(&str, ArrayRef); 6] = [
            ("key", Arc::new(numbers().map(|number| number * 31).collect::<Int64Array>())),
            ("line", Arc::new(small().map(|number| number % 7).collect::<Int32Array>())),
            ("price", Arc::new(prices.with_precision_and_scale(15, 2).unwrap())),
            ("day", Arc::new(Date32Array::from_iter_values(small()))),
            ("flag", Arc::new(flags.collect::<StringArray>())),
            ("comment", Arc::new(comments.collect::<StringArray>())),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }
}
