//! The changes of a load: the rows that were read, one for each key, in the order of their keys, and whether each
//! removes the row with its key.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::TryStreamExt;
use longshore_model::config::load::{Duplicates, Merge, Scd2};
use longshore_model::config::target::{Format, ParquetCodec};
use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::part::RelationTarget;
use parking_lot::Mutex;

use super::arrivals::{arrivals, order_at, removes_at};
use super::bounds::Bounds;
use super::key::Key;
use super::parquet_table::{ParquetTable, TableFile};
use super::session::Session;
use super::sole_rows::SoleRows;
use super::stage::LoadStage;
use crate::batch::batch_bytes;
use crate::datafusion_fault::{IntoDataFusion, from_datafusion};
use crate::destination::staged_path;
use crate::transform::condition;
use crate::write::{Attempt, FileParts, Parts};

/// One row for each key, in a file of the scratch folder.
pub(super) struct Changes {
    /// The columns of the rows, and whether they remove.
    pub(super) table: ParquetTable,
    pub(super) key: Key,
    pub(super) rows: u64,
    /// The bytes of the rows in memory.
    pub(super) bytes: u64,
    pub(super) bounds: Vec<Bounds>,
}

/// Which of the rows that were read are taken.
pub(super) struct Sole<'a> {
    /// What names the key, for errors.
    at: &'a str,
    key: &'a [String],
    /// A column of which each key can have several values.
    also: Option<&'a String>,
    duplicates: &'a Duplicates,
    deleted: Option<&'a String>,
}

impl<'a> Sole<'a> {
    /// One row for each key.
    pub(super) fn of_merge(merge: &'a Merge) -> Self {
        let Merge { key, duplicates, deleted } = merge;
        Self { at: "merge.key", key, also: None, duplicates, deleted: deleted.as_ref() }
    }

    /// One row for each key and time.
    pub(super) fn of_scd2(scd2: &'a Scd2) -> Self {
        let Scd2 { key, duplicates, changed_at, .. } = scd2;
        Self { at: "scd2.key", key, also: changed_at.as_ref(), duplicates, deleted: None }
    }

    /// The columns by which rows are told apart.
    fn by(&self, schema: &SchemaRef) -> Result<Key> {
        let by: Vec<String> = self.key.iter().chain(self.also).cloned().collect();
        Key::of(self.at, &by, schema)
    }
}

/// What is found out of rows on their way.
struct RowFindings {
    key: Key,
    bytes: u64,
    bounds: Vec<Bounds>,
}

impl Changes {
    /// Makes them of what was read.
    pub(super) async fn collect(
        stage: &LoadStage,
        session: &Session,
        sole: &Sole<'_>,
    ) -> Result<Self> {
        let key = Key::of(sole.at, sole.key, &stage.schema)?;
        let sorted = sorted(stage, session, sole)?;
        let rows = sorted.execute(0, session.context.clone()).map_err(from_datafusion)?;
        let is_strict = *sole.duplicates == Duplicates::Fail;
        let sole = SoleRows::of(rows, sole.by(&stage.schema)?, is_strict)?;
        let passed = Arc::new(Mutex::new(RowFindings::new(key, &stage.schema)?));
        let writer = writer(stage);
        let kept = stage.schema.fields().len() + 1;
        let parts = writer.write(note(Box::pin(sole), kept, passed.clone())?, 0, Attempt(0), None);
        let parts = parts.await?.parts;
        let passed = Arc::into_inner(passed).map(Mutex::into_inner);
        let RowFindings { key, bytes, bounds } =
            passed.ok_or_else(|| Error::internal("changes are written, and still read"))?;
        let file = |part: &longshore_model::part::Part| TableFile {
            path: staged_path(&writer.target, &part.file),
            bytes: part.bytes,
            number: 0,
            values: Vec::new(),
        };
        let rows = parts.iter().map(|part| part.rows).sum();
        let files = parts.iter().map(file).collect();
        let place = (stage.rows.clone(), stage.io.clone());
        let schema = kept_columns(&sorted.schema(), kept)?;
        let table = ParquetTable::open(session, "changes", place, files, (schema, &[]))?;
        Ok(Self { table, key, rows, bytes, bounds })
    }
}

/// What was read, in the order of the keys; of one key, the row that is taken comes last.
fn sorted(stage: &LoadStage, session: &Session, sole: &Sole<'_>) -> Result<Arc<dyn ExecutionPlan>> {
    let (schema, columns) = (&stage.schema, stage.schema.fields().len());
    let removes = sole.deleted.map(|sql| condition(sql, schema));
    let removes = removes.transpose().context("`merge.deleted`")?;
    let read = stage.read(session)?;
    let groups = spread(read.files().len(), session.parallel);
    let is_text = |column: &usize| schema.field(*column).data_type().is_string();
    let by = stage.parts.partition_by.iter().filter_map(|name| schema.index_of(name).ok());
    let arrivals =
        arrivals(read.scan(groups, &all(schema), None)?, removes, by.filter(is_text).collect())?;
    let order_by = match sole.duplicates {
        Duplicates::Latest(Some(name)) => {
            Key::of("merge.order_by", std::slice::from_ref(name), schema)?.columns
        }
        _ => Vec::new(),
    };
    let key = sole.by(schema)?;
    let order = key.columns.iter().copied().chain(order_by).chain(order_at(columns));
    let ordering = ascending(&arrivals.schema(), order)?;
    let input = Arc::new(CoalescePartitionsExec::new(arrivals));
    Ok(Arc::new(SortExec::new(ordering, input)))
}

/// The places of all columns.
pub(super) fn all(schema: &SchemaRef) -> Vec<usize> {
    (0..schema.fields().len()).collect()
}

/// So many files in at most so many groups, each of neighbours.
pub(super) fn spread(files: usize, groups: usize) -> Vec<Vec<usize>> {
    let each = files.div_ceil(groups.max(1)).max(1);
    (0..files).step_by(each).map(|from| (from..files.min(from + each)).collect()).collect()
}

/// An order by columns, in which NULL comes first.
pub(super) fn ascending(
    schema: &SchemaRef,
    columns: impl Iterator<Item = usize>,
) -> Result<LexOrdering> {
    let options = SortOptions { descending: false, nulls_first: true };
    let by = |column: usize| PhysicalSortExpr {
        expr: Arc::new(Column::new(schema.field(column).name(), column)),
        options,
    };
    LexOrdering::new(columns.map(by)).ok_or_else(|| Error::internal("an order by no column"))
}

/// The writer of the changes, out of the way of what was read.
fn writer(stage: &LoadStage) -> FileParts {
    let target = &stage.parts.target;
    let relation = format!(".changes/{}", target.relation);
    FileParts {
        folder: stage.rows.clone(),
        target: RelationTarget { relation, ..target.clone() },
        format: Format::Parquet(ParquetCodec::Snappy),
        partition_by: Vec::new(),
    }
}

fn kept_columns(schema: &SchemaRef, kept: usize) -> Result<SchemaRef> {
    let kept: Vec<usize> = (0..kept).collect();
    Ok(Arc::new(schema.project(&kept).map_err(super::key::kernel)?))
}

/// Rows without what told their order, looked at on their way.
fn note(
    rows: SendableRecordBatchStream,
    kept: usize,
    passed: Arc<Mutex<RowFindings>>,
) -> Result<SendableRecordBatchStream> {
    let schema = kept_columns(&rows.schema(), kept)?;
    let kept: Vec<usize> = (0..kept).collect();
    let noted = rows.and_then(move |batch| {
        let looked = passed.lock().add(&batch).map_err(Error::external);
        let projected = looked.and_then(|()| Ok(batch.project(&kept)?));
        std::future::ready(projected)
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, noted)))
}

impl RowFindings {
    fn new(key: Key, schema: &SchemaRef) -> Result<Self> {
        let bounds = key.columns.iter().map(|column| {
            let field = schema.field(*column);
            Bounds::of(field.name(), field.data_type())
        });
        let bounds = bounds.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        Ok(Self { key, bytes: 0, bounds })
    }

    fn add(&mut self, batch: &arrow::array::RecordBatch) -> Result<()> {
        self.bytes += batch_bytes(batch) as u64;
        for bounds in &mut self.bounds {
            let column = batch.column_by_name(bounds.name());
            column.map_or(Ok(()), |column| bounds.add(column))?;
        }
        Ok(())
    }
}

/// Whether a row removes, in the columns of the changes.
pub(super) fn removes_column(columns: usize) -> usize {
    removes_at(columns)
}
