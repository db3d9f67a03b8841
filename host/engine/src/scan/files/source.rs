//! Files as a source of rows.

use arrow::datatypes::FieldRef;
use async_trait::async_trait;
use futures::StreamExt;
use longshore_model::config::files::{FileFormat, Int96};
use longshore_model::error::Result;
use longshore_model::format::{counted, human_bytes};
use longshore_model::relation::Consistency;
use longshore_plugins::Bound;
use longshore_sandbox::{
    ChunkHints, Column, Comparable, Connector, Pushdown, Relation, Scan, SnapshotResult,
};

use super::{FileSource, cut, listing};
use crate::batch::batch_bytes;
use crate::scan::batch_sender::BatchSender;
use crate::scan::described::{Described, ScanPlan};
use crate::scan::source::{ChunkRead, Source};

/// The warning for a column of INT96 that is truncated.
const CUT_OFF: &str = "INT96 holds nanoseconds: what is finer than microseconds is cut off";

/// The dialect that filters on files are written in.
const DIALECT: &str = "generic";

/// Why there is no snapshot of files.
const NO_SNAPSHOT: &str = "files are read as they were listed, or not at all";

#[async_trait]
impl Source for FileSource {
    fn name(&self) -> &str {
        "files"
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    fn connector(&self) -> Option<&Bound<Connector>> {
        None
    }

    fn config(&self) -> &str {
        &self.config
    }

    fn pushdown(&self, _: &Relation) -> Pushdown {
        Pushdown { projection: true, filter: Some(DIALECT.into()), limit: true }
    }

    /// Readers leave out whole groups of rows.
    fn filters_exactly(&self, _: &Relation) -> bool {
        false
    }

    fn needs_holder(&self) -> bool {
        false
    }

    async fn test(&self) -> Result<String> {
        let found = self.find(&self.files.sought).await?;
        let bytes: u64 = found.iter().map(|found| found.meta.size).sum();
        let files = counted(found.len() as u64, "file");
        Ok(format!("{}: {files}, {}", self.files.url, human_bytes(bytes)))
    }

    async fn relations(&self) -> Result<Vec<String>> {
        listing::tables(&self.store).await
    }

    async fn open_snapshot(&self, _: &[Relation]) -> Result<SnapshotResult> {
        Ok(SnapshotResult::Unavailable(NO_SNAPSHOT.into()))
    }

    async fn release(&self) {}

    async fn describe(&self, relation: &Relation) -> Result<Described> {
        let info = self.inspect(relation).await?;
        let word = match info.format {
            FileFormat::Parquet => "parquet",
            FileFormat::Csv => "csv",
            FileFormat::Json => "json",
            FileFormat::Arrow => "arrow",
        };
        let is_cut_off = |field: &FieldRef| {
            self.files.int96 == Int96::Truncated && info.int96.contains(field.name())
        };
        let column = |(index, field): (usize, &FieldRef)| Column {
            lossy: is_cut_off(field).then(|| CUT_OFF.to_owned()),
            source_type: if index < info.file_columns {
                word.to_owned()
            } else {
                "folder".to_owned()
            },
            comparable: if field.data_type().is_nested() {
                Comparable::No
            } else {
                Comparable::Order
            },
        };
        Ok(Described {
            columns: info.schema.fields().iter().enumerate().map(column).collect(),
            schema: info.schema.clone(),
            rows: info.rows,
            bytes: Some(info.found.iter().map(|found| found.meta.size).sum()),
        })
    }

    async fn plan(&self, scan: &Scan, hints: &ChunkHints) -> Result<ScanPlan> {
        let info = self.inspect(&scan.relation).await?;
        let cut = cut::cut(&self.store, &self.files, &info, scan, hints)?;
        // Each file is read as it was when they were listed, or not at all.
        let plan = ScanPlan::new(scan, cut.chunks, Consistency::Snapshot, cut.strategy);
        Ok(ScanPlan { depends_on_previous: cut.depends_on_previous, ..plan })
    }

    async fn read(&self, chunk: ChunkRead<'_>, batches: &mut BatchSender) -> Result<()> {
        let (mut rows, held) = self.open_chunk(chunk).await?;
        batches.count_held(held);
        batches.note_held(held);
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let bytes = batch_bytes(&batch);
            if !batches.send(batch, bytes).await {
                return Ok(());
            }
        }
        Ok(())
    }
}
