//! What happens to a row that is there, and to its change.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::kernels::zip::zip;
use arrow::compute::{SortOptions, and, filter, is_not_null, not};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use super::changes::removes_column;
use super::key::true_only;
use super::stage::RowCounts;

/// The rows that a relation has after its changes. The input has the columns of the changes, and then those of the
/// rows that are there.
pub(super) fn resolved(
    rows: SendableRecordBatchStream,
    schema: SchemaRef,
    counts: Arc<RowCounts>,
) -> SendableRecordBatchStream {
    let resolved = {
        let schema = schema.clone();
        rows.map(move |batch| Ok(resolve(&batch?, &schema, &counts)?))
    };
    Box::pin(RecordBatchStreamAdapter::new(schema, resolved))
}

fn resolve(
    batch: &RecordBatch,
    schema: &SchemaRef,
    counts: &RowCounts,
) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().len();
    let (changes, there) = batch.columns().split_at(columns + 2);
    let removes = changes[removes_column(columns)].as_boolean();
    let has_change = is_not_null(removes)?;
    let is_there = is_not_null(there.last().map_or(&changes[0], |number| number))?;
    let removes = true_only(removes);
    let stays = not(&removes)?;
    let changed = and(&has_change, &stays)?;
    count(&counts.deleted, &and(&removes, &is_there)?);
    count(&counts.inserted, &and(&changed, &not(&is_there)?)?);
    count_equal(changes, there, &and(&changed, &is_there)?, columns, counts)?;
    let of = |column: usize| zip(&has_change, &changes[column], &there[column]);
    let resolved = (0..columns).map(of).collect::<Result<Vec<_>, _>>()?;
    // A row that is removed breaks no promise: it goes.
    let kept = resolved.iter().map(|column| filter(column, &stays));
    RecordBatch::try_new(schema.clone(), kept.collect::<Result<Vec<_>, _>>()?)
}

fn count(counter: &std::sync::atomic::AtomicU64, rows: &BooleanArray) {
    counter.fetch_add(rows.true_count() as u64, Ordering::Relaxed);
}

/// Counts those of some rows that are there just as they would be.
fn count_equal(
    changes: &[ArrayRef],
    there: &[ArrayRef],
    rows: &BooleanArray,
    columns: usize,
    counts: &RowCounts,
) -> Result<(), ArrowError> {
    let mut equal = BooleanArray::from(vec![true; rows.true_count()]);
    for column in 0..columns {
        let (new, old) = (filter(&changes[column], rows)?, filter(&there[column], rows)?);
        equal = and(&equal, &same(&new, &old)?)?;
    }
    let (all, unchanged) = (rows.true_count() as u64, equal.true_count() as u64);
    counts.unchanged.fetch_add(unchanged, Ordering::Relaxed);
    counts.updated.fetch_add(all - unchanged, Ordering::Relaxed);
    Ok(())
}

/// Which values are the same; NULL is the same as NULL.
pub(super) fn same(new: &ArrayRef, old: &ArrayRef) -> Result<BooleanArray, ArrowError> {
    if !new.data_type().is_nested() {
        return not_distinct(new, old);
    }
    let compare = arrow::array::make_comparator(new, old, SortOptions::default())?;
    Ok((0..new.len()).map(|row| Some(compare(row, row).is_eq())).collect())
}
