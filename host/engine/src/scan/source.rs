//! Where a run's rows come from, whichever way they reach the host.

use std::fmt::Debug;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use longshore_model::error::{Error, Result};
use longshore_model::watermark::Window;
use longshore_plugins::Bound;
use longshore_sandbox::tape::Tapes;
use longshore_sandbox::{ChunkHints, Connector, Pushdown, Relation, Scan, SnapshotResult};

use super::batch_sender::BatchSender;
use super::described::{RelationDescription, ScanPlan};

/// Where a run's rows come from.
#[async_trait]
pub trait Source: Debug + Send + Sync {
    /// The connector's name, or what stands for it.
    fn name(&self) -> &str;

    /// The connector's version; files are read by Longshore's own.
    fn version(&self) -> &str;

    /// The connector, if one reads.
    fn connector(&self) -> Option<&Bound<Connector>>;

    /// What the job says of the source; secrets are only named in it.
    fn config(&self) -> &str;

    /// What the source carries out of a relation's scan itself.
    fn pushdown(&self, relation: &Relation) -> Pushdown;

    /// Whether rows of a relation that a pushed filter should leave out never come.
    fn filters_exactly(&self, relation: &Relation) -> bool;

    /// Whether a snapshot outlives this process only if another one holds it.
    fn needs_holder(&self) -> bool;

    /// Checks that the source can be used; one line on what answered.
    async fn test(&self) -> Result<String>;

    /// Lists what can be named as a table.
    async fn relations(&self) -> Result<Vec<String>>;

    /// Opens a snapshot of these relations, if the source can, until [`Self::release`] or the source's
    /// end.
    async fn open_snapshot(&self, relations: &[Relation]) -> Result<SnapshotResult>;

    /// Closes the snapshot and the idle sessions: nothing more is read.
    async fn release(&self);

    /// Says which relations are looked up and planned next, one after the other: a source that can asks for
    /// all of them at once.
    async fn prepare(&self, _: &[Relation]) -> Result<()> {
        Ok(())
    }

    /// The tables that a query reads, also through views; none if they are not known.
    async fn tables_of_query(&self, _: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Looks a relation up.
    async fn describe(&self, relation: &Relation) -> Result<RelationDescription>;

    /// Splits a scan into chunks.
    async fn plan(&self, scan: &Scan, hints: &ChunkHints) -> Result<ScanPlan>;

    /// The files of a relation, if the host reads them itself.
    async fn files(&self, _: &Relation) -> Result<Option<Vec<SourceFile>>> {
        Ok(None)
    }

    /// Splits a scan into chunks, of the files alone that are in a window.
    async fn plan_files(&self, _: &Scan, _: &ChunkHints, _: &Window) -> Result<ScanPlan> {
        Err(Error::internal(format!("{} has no files", self.name())))
    }

    /// Reads one chunk; stops when nobody wants more of it.
    async fn read(&self, chunk: ChunkRead<'_>, batches: &mut BatchSender) -> Result<()>;
}

/// A file of a relation.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Its path in the store.
    pub name: String,
    /// When it was changed last.
    pub changed: DateTime<Utc>,
    /// What the folders that it lies in say of columns; nothing for NULL.
    pub partitions: Vec<(String, Option<String>)>,
}

impl SourceFile {
    /// When it was changed last, as watermarks have it.
    pub fn changed_text(&self) -> String {
        self.changed.format("%Y-%m-%d %H:%M:%S%.9f").to_string()
    }
}

/// One chunk, to be read.
#[derive(Clone, Copy)]
pub struct ChunkRead<'a> {
    /// The scan that it is a chunk of.
    pub scan: &'a Scan,
    /// The descriptor that the source gave it.
    pub descriptor: &'a [u8],
    /// The schema of its rows.
    pub schema: &'a SchemaRef,
    /// Where instances of plugins are recorded, if they are.
    pub tapes: Option<&'a Tapes>,
}
