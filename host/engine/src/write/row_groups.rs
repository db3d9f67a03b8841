//! Parquet files that become one: their row groups are copied as they are.

use std::fmt::Display;
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use longshore_model::config::target::ParquetCodec;
use longshore_model::error::{Error, Result};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::{
    PageIndexPolicy, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader,
};
use parquet::file::writer::SerializedFileWriter;

use super::checksum_writer::ChecksumWriter;
use super::encoder::EncodedFile;
use super::parquet::{ParquetEncoder, encoding};

/// Row groups that have fewer bytes and fewer rows on average are too short for readers.
const COPIED_GROUP_MIN_BYTES: u64 = 1 << 20;
const COPIED_GROUP_MIN_ROWS: u64 = 1 << 17;

/// The most row groups of a file: the format counts them in 16 bits.
const GROUP_LIMIT: u64 = i16::MAX as u64;

/// The sizes of files together.
#[derive(Default)]
struct Total {
    groups: u64,
    rows: u64,
    bytes: u64,
}

impl Total {
    fn add(&mut self, file: &ParquetMetaData) {
        for group in file.row_groups() {
            self.groups += 1;
            self.rows += group.num_rows().unsigned_abs();
            self.bytes += group.compressed_size().unsigned_abs();
        }
    }

    fn has_long_groups(&self) -> bool {
        if self.groups <= 1 || self.groups > GROUP_LIMIT {
            return self.groups == 1;
        }
        self.bytes / self.groups >= COPIED_GROUP_MIN_BYTES
            || self.rows / self.groups >= COPIED_GROUP_MIN_ROWS
    }
}

/// Whether all files are Parquet, and their row groups are long enough to be copied. Short ones are encoded again.
pub(super) fn are_long(files: &[PathBuf]) -> Result<bool> {
    let mut total = Total::default();
    for path in files {
        if !is_parquet(path) {
            return Ok(false);
        }
        total.add(&OpenFile::open(path)?.metadata);
    }
    Ok(total.has_long_groups())
}

/// By its name: runs of earlier versions left Arrow.
pub(super) fn is_parquet(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending == "parquet")
}

/// The error of a file that a run has written, and that cannot be read.
pub(super) fn damaged(path: &Path, error: &dyn Display) -> Error {
    Error::resource(format!("{}: {error}", path.display()))
        .with_hint("check the disk of the state folder, then run again")
}

/// A file whose row groups are copied.
pub(super) struct OpenFile {
    file: File,
    metadata: ParquetMetaData,
}

impl OpenFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| damaged(path, &error))?;
        // A mask of the encodings cannot be copied.
        let options = ParquetMetaDataOptions::new().with_encoding_stats_as_mask(false);
        let metadata = ParquetMetaDataReader::new()
            .with_metadata_options(Some(options))
            .with_page_index_policy(PageIndexPolicy::Optional)
            .parse_and_finish(&file)
            .map_err(|error| damaged(path, &error))?;
        Ok(Self { file, metadata })
    }

    pub(super) fn groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    fn column(&self, group: usize, column: usize) -> ColumnCloseResult {
        let of_group = self.metadata.row_group(group);
        let metadata = of_group.column(column).clone();
        let column_index = self.metadata.column_index().map(|groups| &groups[group][column]);
        let offset_index = self.metadata.offset_index().map(|groups| &groups[group][column]);
        ColumnCloseResult {
            bytes_written: metadata.compressed_size().unsigned_abs(),
            rows_written: of_group.num_rows().unsigned_abs(),
            metadata,
            bloom_filter: None,
            column_index: column_index.cloned(),
            offset_index: offset_index.cloned(),
        }
    }
}

/// The file that they become.
pub(super) struct RowGroupWriter {
    writer: SerializedFileWriter<ChecksumWriter>,
    rows: u64,
}

impl RowGroupWriter {
    pub(super) fn new(
        schema: SchemaRef,
        codec: ParquetCodec,
        file: ChecksumWriter,
    ) -> Result<Self> {
        let writer = ParquetEncoder::new(schema, codec, None, file)?.into_group_writer()?;
        Ok(Self { writer, rows: 0 })
    }

    /// Copies a row group.
    pub(super) fn copy(&mut self, from: &OpenFile, group: usize) -> Result<()> {
        let mut copy = self.writer.next_row_group().map_err(encoding)?;
        for column in 0..from.metadata.row_group(group).num_columns() {
            copy.append_column(&from.file, from.column(group, column)).map_err(encoding)?;
        }
        copy.close().map_err(encoding)?;
        self.rows += from.metadata.row_group(group).num_rows().unsigned_abs();
        Ok(())
    }

    /// Ends the file; with its rows.
    pub(super) fn finish(self) -> Result<(EncodedFile, u64)> {
        let written = self.writer.into_inner().map_err(encoding)?;
        Ok((EncodedFile::new(written), self.rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_long_by_bytes_or_by_rows_or_where_there_is_only_one() {
        let is_long = |groups, rows, bytes| Total { groups, rows, bytes }.has_long_groups();
        assert!(is_long(1, 3, 100));
        assert!(is_long(4, 400, 4 * COPIED_GROUP_MIN_BYTES));
        assert!(is_long(4, 4 * COPIED_GROUP_MIN_ROWS, 4));
        assert!(!is_long(4, 3 * COPIED_GROUP_MIN_ROWS, 3 * COPIED_GROUP_MIN_BYTES));
        assert!(!is_long(0, 0, 0));
        let many = GROUP_LIMIT + 1;
        assert!(!is_long(many, many * COPIED_GROUP_MIN_ROWS, many * COPIED_GROUP_MIN_BYTES));
    }
}
