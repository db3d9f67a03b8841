//! Files as a source of rows.

use arrow::datatypes::FieldRef;
use async_trait::async_trait;
use futures::StreamExt;
use longshore_model::config::files::{FileFormat, Int96};
use longshore_model::error::Result;
use longshore_model::format::{counted, human_bytes};
use longshore_model::relation::Consistency;
use longshore_model::watermark::Window;
use longshore_plugins::Bound;
use longshore_sandbox::{
    ChunkHints, Column, Comparable, Connector, Pushdown, Relation, Scan, SnapshotResult,
};

use super::listing::ListedFile;
use super::{FileSource, OpenChunk, cut, listing};
use crate::batch::batch_bytes;
use crate::scan::batch_sender::BatchSender;
use crate::scan::described::{RelationDescription, ScanPlan};
use crate::scan::source::{ChunkRead, Source, SourceFile};

/// The warning for a column of INT96 that is truncated.
const CUT_OFF: &str = "INT96 holds nanoseconds: what is finer than microseconds is cut off";

/// The dialect that filters on files are written in.
const DIALECT: &str = "generic";

/// Why there is no snapshot of files.
const NO_SNAPSHOT: &str = "files are read as they were listed, or not at all";

fn source_file(found: &ListedFile) -> SourceFile {
    SourceFile {
        name: found.meta.location.to_string(),
        changed: found.meta.last_modified,
        partitions: found.partitions.clone(),
    }
}

impl FileSource {
    /// Splits a scan of some of the files into chunks.
    async fn plan_wanted(
        &self,
        scan: &Scan,
        hints: &ChunkHints,
        is_wanted: impl Fn(&SourceFile) -> bool,
    ) -> Result<ScanPlan> {
        let info = self.inspect(&scan.relation).await?;
        let wanted: Vec<bool> =
            info.found.iter().map(|found| is_wanted(&source_file(found))).collect();
        let cut = cut::cut(&self.store, &self.files, &info, &wanted, scan, hints)?;
        // Each file is read as it was when they were listed, or not at all.
        let plan = ScanPlan::new(scan, cut.chunks, Consistency::Snapshot, cut.strategy);
        Ok(ScanPlan { depends_on_previous: cut.depends_on_previous, ..plan })
    }
}

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

    async fn describe(&self, relation: &Relation) -> Result<RelationDescription> {
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
        let is_untyped = |place: &usize| info.untyped.contains(info.schema.field(*place).name());
        Ok(RelationDescription {
            columns: info.schema.fields().iter().enumerate().map(column).collect(),
            untyped: (0..info.file_columns).filter(is_untyped).collect(),
            schema: info.schema.clone(),
            rows: info.rows,
            bytes: Some(info.found.iter().map(|found| found.meta.size).sum()),
        })
    }

    async fn plan(&self, scan: &Scan, hints: &ChunkHints) -> Result<ScanPlan> {
        self.plan_wanted(scan, hints, |_| true).await
    }

    async fn files(&self, relation: &Relation) -> Result<Option<Vec<SourceFile>>> {
        let info = self.inspect(relation).await?;
        Ok(Some(info.found.iter().map(source_file).collect()))
    }

    async fn plan_files(
        &self,
        scan: &Scan,
        hints: &ChunkHints,
        window: &Window,
    ) -> Result<ScanPlan> {
        let is_in = |file: &SourceFile| window.takes_file(&file.name, &file.changed_text());
        self.plan_wanted(scan, hints, is_in).await
    }

    async fn read(&self, chunk: ChunkRead<'_>, batches: &mut BatchSender) -> Result<()> {
        let OpenChunk { mut rows, held_bytes, left_out } = self.open_chunk(chunk).await?;
        batches.count_held(held_bytes);
        batches.note_held(held_bytes);
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let bytes = batch_bytes(&batch);
            if !batches.send(batch, bytes).await {
                break;
            }
        }
        batches.leave_out(std::mem::take(&mut left_out.lock()));
        Ok(())
    }
}
