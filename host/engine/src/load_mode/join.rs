//! Joins of changes with the rows that are there, by key: NULL is equal to NULL.

use std::sync::Arc;

use datafusion::common::{JoinType, NullEquality};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{Partitioning, PhysicalExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode, SortMergeJoinExec};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use longshore_model::error::Result;

use super::changes::{Changes, all, ascending, spread};
use super::existing::ExistingFiles;
use super::parquet_table::{ParquetTable, Piece};
use super::session::Session;
use crate::datafusion_fault::from_datafusion;

/// How rows that are there find their changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    /// The changes are held in memory. Each piece of a file is a partition.
    Lookup,
    /// There are too many of them: both sides are sorted, on disk if need be.
    Sorted,
}

impl Join {
    /// The cheapest one for changes of this size.
    pub(super) fn of(changes: &Changes, session: &Session) -> Self {
        if changes.bytes <= session.lookup_bytes { Self::Lookup } else { Self::Sorted }
    }

    /// The columns of the changes, then those of the rows in these files; rows without a partner have NULL there.
    pub(super) fn full(
        self,
        session: &Session,
        changes: &Changes,
        existing: &ExistingFiles,
        files: &[usize],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let left = changes.table.scan(vec![vec![0]], &all(&changes.table.schema), None)?;
        let groups = self.groups(&existing.table, files, session);
        let right = existing.table.scan_pieces(groups, &all(&existing.table.schema), None)?;
        let keys = changes.key.columns.as_slice();
        self.plan(session, (left, keys), (right, keys), JoinType::Full)
    }

    /// The keys of rows that have a change, and the numbers of their files.
    pub(super) fn matches(
        self,
        session: &Session,
        changes: &Changes,
        existing: &ExistingFiles,
        predicate: Option<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let keys = changes.key.columns.as_slice();
        let left = changes.table.scan(vec![vec![0]], keys, None)?;
        let files: Vec<usize> = (0..existing.files.len()).collect();
        let right = existing.table.scan_pieces(
            self.groups(&existing.table, &files, session),
            keys,
            predicate,
        )?;
        let places: Vec<usize> = (0..keys.len()).collect();
        self.plan(session, (left, &places), (right, &places), JoinType::RightSemi)
    }

    /// What the partitions of a scan of these files read.
    pub(super) fn groups(
        self,
        table: &ParquetTable,
        files: &[usize],
        session: &Session,
    ) -> Vec<Vec<Piece>> {
        match self {
            Self::Lookup => {
                let pieces = files.iter().flat_map(|file| table.pieces(*file, session.parallel));
                pieces.map(|piece| vec![piece]).collect()
            }
            Self::Sorted => {
                let whole = |at: &usize| Piece::whole(files[*at]);
                let groups = spread(files.len(), session.parallel);
                groups.iter().map(|group| group.iter().map(whole).collect()).collect()
            }
        }
    }

    pub(super) fn plan(
        self,
        session: &Session,
        (left, left_key): (Arc<dyn ExecutionPlan>, &[usize]),
        (right, right_key): (Arc<dyn ExecutionPlan>, &[usize]),
        kind: JoinType,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let on = columns(&left, left_key).into_iter().zip(columns(&right, right_key)).collect();
        let equal = NullEquality::NullEqualsNull;
        if self == Self::Lookup {
            let mode = PartitionMode::CollectLeft;
            let join =
                HashJoinExec::try_new(left, right, on, None, &kind, None, mode, equal, false);
            return Ok(Arc::new(join.map_err(from_datafusion)?));
        }
        let (left, right) = (sorted(left, left_key, session)?, sorted(right, right_key, session)?);
        let options = vec![arrow::compute::SortOptions::new(false, true); left_key.len()];
        let join = SortMergeJoinExec::try_new(left, right, on, None, kind, options, equal);
        Ok(Arc::new(join.map_err(from_datafusion)?))
    }
}

fn columns(plan: &Arc<dyn ExecutionPlan>, places: &[usize]) -> Vec<Arc<dyn PhysicalExpr>> {
    let schema = plan.schema();
    let column = |place: &usize| Arc::new(Column::new(schema.field(*place).name(), *place)) as _;
    places.iter().map(column).collect()
}

/// All rows of a key in one partition, and in the order of the keys there.
fn sorted(
    plan: Arc<dyn ExecutionPlan>,
    key: &[usize],
    session: &Session,
) -> Result<Arc<dyn ExecutionPlan>> {
    let by = Partitioning::Hash(columns(&plan, key), session.parallel);
    let ordering = ascending(&plan.schema(), key.iter().copied())?;
    let apart = RepartitionExec::try_new(plan, by).map_err(from_datafusion)?;
    Ok(Arc::new(SortExec::new(ordering, Arc::new(apart)).with_preserve_partitioning(true)))
}
