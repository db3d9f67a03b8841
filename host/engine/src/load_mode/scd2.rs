//! `scd2`: the history of each key, as versions. A row that was read begins a version where its values are others
//! than before, wherever in history that is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::and;
use arrow::compute::kernels::cmp::lt;
use arrow::compute::kernels::zip::zip;
use arrow::error::ArrowError;
use chrono::{DateTime, Utc};
use datafusion::common::{JoinType, ScalarValue};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{Column, IsNullExpr, lit};
use datafusion::physical_expr::{Partitioning, PhysicalExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::union::UnionExec;
use futures::{StreamExt, TryStreamExt};
use longshore_model::config::load::Scd2;
use longshore_model::error::Result;

use super::bounds::{binary, within};
use super::changes::{Changes, Sole, all, ascending};
use super::existing::ExistingFiles;
use super::join::Join;
use super::mapped::{Map, mapped};
use super::merge::files_with;
use super::output::{rows_of_part, write};
use super::session::Session;
use super::stage::{LoadResult, LoadStage, RowCounts};
use super::version_columns::{VersionColumns, repeated};
use super::versions::Versions;
use crate::datafusion_fault::from_datafusion;

/// What is known of a relation while it is loaded.
struct History<'a> {
    session: &'a Session,
    how: &'a Scd2,
    columns: Arc<VersionColumns>,
    existing: ExistingFiles,
    changes: Changes,
    join: Join,
    counts: Arc<RowCounts>,
}

/// Loads what was read by a run that began at this moment.
pub async fn scd2(stage: &LoadStage, how: &Scd2, began: DateTime<Utc>) -> Result<LoadResult> {
    let session = Session::new(&stage.scratch, stage.parallel)?;
    let columns = Arc::new(VersionColumns::of(how, &stage.schema, began)?);
    let existing = ExistingFiles::open(stage, &session).await?;
    let changes = Changes::collect(stage, &session, &Sole::of_scd2(how)).await?;
    if changes.rows == 0 {
        return existing.unchanged(stage).await;
    }
    let join = Join::of(&changes, &session);
    let counts = Arc::new(RowCounts::default());
    let history = History { session: &session, how, columns, existing, changes, join, counts };
    let touched = history.touched().await?;
    let files: Vec<usize> = touched.iter().copied().collect();
    let plan = UnionExec::try_new(vec![history.versions(&files)?, history.others(&files)?]);
    let History { existing, changes, counts, .. } = &history;
    let replaced = existing.replaced(&touched);
    let rows = files.iter().map(|file| existing.rows[*file]).sum::<u64>() + changes.rows;
    let bytes = replaced.iter().map(|file| file.bytes).sum::<u64>() + changes.table.bytes();
    let plan = plan.map_err(from_datafusion)?;
    let parts = write(stage, &session, plan, rows_of_part(rows, bytes)).await?;
    let kept_files = (existing.files.len() - touched.len()) as u64;
    Ok(LoadResult { parts, replaced, kept_files, rows: counts.so_far() })
}

impl History<'_> {
    /// The files with versions of the keys that were read, and of those that were not, if these end.
    async fn touched(&self) -> Result<BTreeSet<usize>> {
        let files: Vec<usize> = (0..self.existing.files.len()).collect();
        let keys = &self.columns.key.columns;
        let predicate = within(&self.changes.bounds, &self.existing.table)?;
        let groups = self.join.groups(&self.existing.table, &files, self.session);
        let scan = self.existing.table.scan_pieces(groups.clone(), keys, predicate)?;
        let places: Vec<usize> = (0..keys.len()).collect();
        let found = self.keys_joined(scan, &places, JoinType::RightSemi)?;
        let mut touched = files_with(self.session, found, self.join).await?;
        if self.how.closes_absent {
            let times = [self.columns.to, self.columns.from];
            let wanted: Vec<usize> = keys.iter().copied().chain(times).collect();
            let scan = self.existing.table.scan_pieces(groups, &wanted, None)?;
            let open = FilterExec::try_new(self.ends_now(&scan, keys.len())?, scan);
            let open = Arc::new(open.map_err(from_datafusion)?);
            let gone = self.keys_joined(open, &places, JoinType::RightAnti)?;
            touched.extend(files_with(self.session, gone, self.join).await?);
        }
        Ok(touched)
    }

    /// What is true of versions that are open, and began before the run. The columns of their end and their
    /// beginning are at this place, and behind it.
    fn ends_now(&self, rows: &Arc<dyn ExecutionPlan>, at: usize) -> Result<Arc<dyn PhysicalExpr>> {
        let schema = rows.schema();
        let column =
            |at: usize| Arc::new(Column::new(schema.field(at).name(), at)) as Arc<dyn PhysicalExpr>;
        let literal = |value: &ArrayRef| {
            ScalarValue::try_from_array(value, 0).map(lit).map_err(from_datafusion)
        };
        let end = literal(&self.columns.end)?;
        let is_open = binary(column(at), Operator::IsNotDistinctFrom, end);
        let is_older = binary(column(at + 1), Operator::Lt, literal(&self.columns.now)?);
        let is_null = Arc::new(IsNullExpr::new(column(at)));
        let is_open = binary(is_open, Operator::Or, is_null);
        Ok(binary(is_open, Operator::And, is_older))
    }

    /// Rows that are there, whose keys were read or were not.
    fn keys_joined(
        &self,
        there: Arc<dyn ExecutionPlan>,
        key: &[usize],
        kind: JoinType,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let keys = &self.changes.key.columns;
        let left = self.changes.table.scan(vec![vec![0]], keys, None)?;
        let places: Vec<usize> = (0..keys.len()).collect();
        self.join.plan(self.session, (left, &places), (there, key), kind)
    }

    fn there(&self, files: &[usize], kind: JoinType) -> Result<Arc<dyn ExecutionPlan>> {
        let groups = self.join.groups(&self.existing.table, files, self.session);
        let scan = self.existing.table.scan_pieces(groups, &all(&self.columns.schema), None)?;
        self.keys_joined(scan, &self.columns.key.columns, kind)
    }

    /// The versions of all keys that were read.
    fn versions(&self, files: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
        let there = self.there(files, JoinType::RightSemi)?;
        let there = mapped(there, &self.columns.events, self.there_events())?;
        let read =
            self.changes.table.scan(vec![vec![0]], &all(&self.changes.table.schema), None)?;
        let read = mapped(read, &self.columns.events, self.read_events())?;
        let events = UnionExec::try_new(vec![there, read]).map_err(from_datafusion)?;
        let (columns, schema) = (&self.columns, &self.columns.events);
        let place = |place: &usize| Arc::new(Column::new(schema.field(*place).name(), *place)) as _;
        let by = columns.key.columns.iter().map(place).collect();
        let by = Partitioning::Hash(by, self.session.parallel);
        let apart = RepartitionExec::try_new(events, by).map_err(from_datafusion)?;
        let side = schema.fields().len() - 1;
        let order = columns.key.columns.iter().copied().chain([columns.from, side]);
        let sorted = SortExec::new(ascending(schema, order)?, Arc::new(apart));
        let fold = Versions {
            columns: columns.clone(),
            is_reopening: self.how.closes_absent,
            counts: self.counts.clone(),
        };
        let fold: Map = Arc::new(move |events| fold.clone().of(events));
        mapped(Arc::new(sorted.with_preserve_partitioning(true)), &columns.schema, fold)
    }

    fn there_events(&self) -> Map {
        let columns = self.columns.clone();
        Arc::new(move |rows| {
            let own = columns.clone();
            let events = rows.and_then(move |batch| {
                let events = own.there(&batch).map_err(DataFusionError::from);
                let events = events.map(|events| futures::stream::iter(events.into_iter().map(Ok)));
                std::future::ready(events)
            });
            Box::pin(RecordBatchStreamAdapter::new(columns.events.clone(), events.try_flatten()))
        })
    }

    fn read_events(&self) -> Map {
        let columns = self.columns.clone();
        Arc::new(move |rows| {
            let own = columns.clone();
            let events = rows.map(move |batch| own.read_checked(&batch?));
            Box::pin(RecordBatchStreamAdapter::new(columns.events.clone(), events))
        })
    }

    /// The versions of all other keys in the files.
    fn others(&self, files: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
        let there = self.there(files, JoinType::RightAnti)?;
        let (columns, counts) = (self.columns.clone(), self.counts.clone());
        let closes = self.how.closes_absent;
        let pass: Map = Arc::new(move |rows| {
            let (own, counts) = (columns.clone(), counts.clone());
            let passed = rows.map(move |batch| pass(&own, closes, &counts, &batch?));
            Box::pin(RecordBatchStreamAdapter::new(columns.schema.clone(), passed))
        });
        mapped(there, &self.columns.schema, pass)
    }
}

/// Versions of keys that were not read: those that are open end, if absent keys do.
fn pass(
    own: &VersionColumns,
    closes: bool,
    counts: &RowCounts,
    rows: &RecordBatch,
) -> DfResult<RecordBatch> {
    let mut columns = rows.columns()[..own.schema.fields().len()].to_vec();
    if closes {
        let ending = own.is_open(rows).and_then(|open| {
            let is_older = lt(&columns[own.from], &repeated(&own.now, rows.num_rows())?)?;
            and(&open, &is_older)
        })?;
        counts.deleted.fetch_add(ending.true_count() as u64, Ordering::Relaxed);
        close(own, &mut columns, &ending)?;
    }
    Ok(RecordBatch::try_new(own.schema.clone(), columns)?)
}

fn close(
    own: &VersionColumns,
    columns: &mut [ArrayRef],
    ending: &BooleanArray,
) -> Result<(), ArrowError> {
    let now = repeated(&own.now, ending.len())?;
    columns[own.to] = zip(ending, &now, &columns[own.to])?;
    if let Some(current) = own.current {
        let no: ArrayRef = Arc::new(BooleanArray::from(vec![false; ending.len()]));
        columns[current] = zip(ending, &no, &columns[current])?;
    }
    Ok(())
}
