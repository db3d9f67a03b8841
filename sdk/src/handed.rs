//! What one call hands over of a connector's batch: large rows are cut off it, a few at a time.

use arrow_array::{Array, ArrayRef, RecordBatch};

use crate::host::{self, Level};

/// What one call hands over, if the rows allow it.
const HANDED_LIMIT_BYTES: usize = 32 << 20;

/// A row that is larger is told in the log: the host repeats it if it has no room for it.
const UNTOLD_ROW_LIMIT_BYTES: usize = 64 << 20;

/// The first rows of a batch, as many as one call hands over, and the rest.
pub(crate) fn cut(batch: RecordBatch) -> (RecordBatch, Option<RecordBatch>) {
    let mut rows = batch.num_rows();
    if rows <= 1 || bytes_of(&batch) <= HANDED_LIMIT_BYTES {
        return (batch, None);
    }
    while rows > 1 && bytes_of(&batch.slice(0, rows)) > HANDED_LIMIT_BYTES {
        rows = rows.div_ceil(2);
    }
    (batch.slice(0, rows), Some(batch.slice(rows, batch.num_rows() - rows)))
}

/// Says which value makes a row large.
pub(crate) fn tell_large_row(batch: &RecordBatch) {
    if batch.num_rows() != 1 {
        return;
    }
    let size = bytes_of(batch);
    if size <= UNTOLD_ROW_LIMIT_BYTES {
        return;
    }
    let largest = (0..batch.num_columns()).max_by_key(|at| column_bytes(batch.column(*at)));
    let Some(largest) = largest else { return };
    let [value, row] = [column_bytes(batch.column(largest)), size].map(|bytes| bytes >> 20);
    let name = batch.schema_ref().field(largest).name();
    let told = format!("column `{name}`: a value of {value} MiB, in a row of {row} MiB");
    host::log(Level::Debug, &told);
}

fn bytes_of(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(column_bytes).sum()
}

fn column_bytes(column: &ArrayRef) -> usize {
    column.to_data().get_slice_memory_size().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::StringArray;

    use super::*;

    #[test]
    fn rows_are_cut_by_bytes_and_none_is_lost() {
        let values = [1, 20, 20, 40, 1].map(|mib| "x".repeat(mib << 20));
        let values: ArrayRef = Arc::new(StringArray::from_iter_values(&values));
        let mut rest = RecordBatch::try_from_iter([("v", values)]).ok();
        let mut cuts = Vec::new();
        while let Some(batch) = rest {
            let first;
            (first, rest) = cut(batch);
            cuts.push((first.num_rows(), bytes_of(&first) >> 20));
        }
        assert_eq!(cuts, [(2, 21), (1, 20), (1, 40), (1, 1)]);
    }
}
