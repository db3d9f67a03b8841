//! What a load starts from, and what it gives.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::SchemaRef;
use longshore_model::error::Result;
use longshore_model::part::Part;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::parquet_table::{ParquetTable, TableFile};
use super::session::Session;
use crate::destination::{DataFile, Folder, staged_path};
use crate::write::FileParts;

/// The rows of one relation, read, and what they are to become.
#[derive(Clone)]
pub struct LoadStage {
    /// The writer of the new parts.
    pub parts: Arc<FileParts>,
    /// The columns of the rows that were read.
    pub schema: SchemaRef,
    /// The columns that the relation has.
    pub loaded: SchemaRef,
    /// The run's scratch folder, as a target.
    pub rows: Arc<dyn Folder>,
    /// What was read into it, a part or more for each chunk.
    pub read: Vec<Part>,
    /// Where sorts spill: the same folder.
    pub scratch: PathBuf,
    /// How many files are read and written at the same time.
    pub parallel: usize,
    /// The runtime that serves connections.
    pub io: Handle,
}

impl LoadStage {
    /// What was read, as a table. The number of each row is that of its chunk.
    pub(super) fn read(&self, session: &Session) -> Result<ParquetTable> {
        let file = |part: &Part| TableFile {
            path: staged_path(&self.parts.target, &part.file),
            bytes: part.bytes,
            number: part.chunk,
            values: Vec::new(),
        };
        let files = self.read.iter().map(file).collect();
        let place = (self.rows.clone(), self.io.clone());
        ParquetTable::open(session, "read", place, files, (self.schema.clone(), &[]))
    }
}

/// The result of a load.
#[derive(Debug, Default)]
pub struct LoadResult {
    /// The new parts, out of sight.
    pub parts: Vec<Part>,
    /// The files that they take the place of.
    pub replaced: Vec<DataFile>,
    /// How many files stay as they are.
    pub kept_files: u64,
    /// How many rows were added, replaced and removed.
    pub rows: RowChanges,
}

/// What happened to the rows of a relation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowChanges {
    /// Rows whose key was not there.
    pub inserted: u64,
    /// Rows whose key was there, with other values.
    pub updated: u64,
    /// Rows that are there no more.
    pub deleted: u64,
    /// Rows that were there already, just so.
    pub unchanged: u64,
}

/// Counts what happens to rows, in several streams at a time.
#[derive(Debug, Default)]
pub(super) struct RowCounts {
    pub(super) inserted: AtomicU64,
    pub(super) updated: AtomicU64,
    pub(super) deleted: AtomicU64,
    pub(super) unchanged: AtomicU64,
}

impl RowCounts {
    pub(super) fn so_far(&self) -> RowChanges {
        RowChanges {
            inserted: self.inserted.load(Ordering::Relaxed),
            updated: self.updated.load(Ordering::Relaxed),
            deleted: self.deleted.load(Ordering::Relaxed),
            unchanged: self.unchanged.load(Ordering::Relaxed),
        }
    }
}
