//! The description of a relation's files, and of one file.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, Fields, SchemaRef};
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use longshore_model::config::files::{FileFormat, Files, Packing};
use object_store::path::Path as Key;

use super::json_values::Layout;
use super::listing::ListedFile;

/// The memory that reading a file of lines takes: one piece of it, and the records that reach into it.
const TEXT_BYTES: u64 = 4 << 20;

/// What is known of a relation's files.
pub(super) struct FilesInfo {
    pub(super) format: FileFormat,
    pub(super) found: Vec<ListedFile>,
    /// For each file, where it can be cut, if it says so itself.
    pub(super) groups: Vec<Vec<Group>>,
    /// The files' columns, then those of their folders.
    pub(super) schema: SchemaRef,
    /// How many columns the files themselves have.
    pub(super) file_columns: usize,
    pub(super) rows: Option<u64>,
    pub(super) metadata: Arc<FileMetadataCache>,
    /// Columns with INT96 in them.
    pub(super) int96: BTreeSet<String>,
    /// Columns with INTERVAL of Parquet in them.
    pub(super) intervals: BTreeSet<String>,
    /// Columns of text of which nothing but NULL was seen.
    pub(super) untyped: BTreeSet<String>,
    /// Tells schemas apart.
    pub(super) digest: String,
    /// How the rows of text lie in them: as values, where they do in one of them.
    pub(super) layout: Layout,
    /// Why they do not hold the table that they should, if so.
    pub(super) unfit: Option<String>,
}

/// Rows of a file that lie together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) from: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl FilesInfo {
    /// What of a file's slice is in memory at once: a row group's columns.
    pub(super) fn held_bytes(&self) -> u64 {
        let groups = self.groups.iter().flatten();
        groups.map(|group| group.bytes).max().unwrap_or(TEXT_BYTES)
    }

    pub(super) fn file_fields(&self) -> &[FieldRef] {
        &self.schema.fields()[..self.file_columns]
    }

    pub(super) fn partition_fields(&self) -> &[FieldRef] {
        &self.schema.fields()[self.file_columns..]
    }
}

/// One file's part of it.
pub(super) struct FileInfo {
    pub(super) fields: Fields,
    pub(super) groups: Vec<Group>,
    pub(super) rows: Option<u64>,
    /// Columns with INT96 in them.
    pub(super) int96: BTreeSet<String>,
    /// Columns with INTERVAL of Parquet in them.
    pub(super) intervals: BTreeSet<String>,
    /// How the rows of text lie in it.
    pub(super) layout: Layout,
    /// What people should know of it.
    pub(super) doubt: Option<String>,
}

/// How a file is packed, by the job's word or its ending.
pub(super) fn packing(files: &Files, key: &Key) -> Packing {
    files.packing.unwrap_or_else(|| match ending(key).1 {
        Some("gz") => Packing::Gzip,
        Some("zst" | "zstd") => Packing::Zstd,
        Some("bz2") => Packing::Bzip2,
        Some("xz") => Packing::Xz,
        _ => Packing::None,
    })
}

/// `orders.csv.gz` ends with csv, packed with gz.
pub(super) fn ending(key: &Key) -> (Option<&str>, Option<&str>) {
    let mut parts = key.filename().unwrap_or_default().rsplit('.');
    match parts.next() {
        Some(last @ ("gz" | "zst" | "zstd" | "bz2" | "xz")) => (parts.next(), Some(last)),
        last => (last, None),
    }
}
