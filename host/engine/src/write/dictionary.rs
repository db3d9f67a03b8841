//! Which columns gain from a dictionary: those whose values come again.
//!
//! Parquet's writer tries a dictionary on every column and gives up when it has grown too large,
//! once for each row group. On keys, prices and texts that work is wasted; a look at the first
//! batch tells. NULLs say nothing: they are in no dictionary.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::common::hash_utils::{RandomState, create_hashes};

/// How many values of a column are looked at.
const SAMPLE_VALUES: usize = 8_192;

/// Fewer values tell nothing.
const MIN_SAMPLE_VALUES: usize = 1_024;

/// Of a wide table a batch has few rows, and each dictionary costs memory before it holds anything.
const WIDE_COLUMNS: usize = 256;

/// The least values of the sample of a wide table.
const MIN_WIDE_SAMPLE_VALUES: usize = 64;

/// A dictionary is kept when at least this share of the sample's second half was seen in its first.
const REPEATED_SHARE: f64 = 0.25;

/// The columns, by index, that are better off without a dictionary.
pub(super) fn useless(batch: &RecordBatch) -> Vec<usize> {
    let is_wide = batch.num_columns() > WIDE_COLUMNS;
    let enough = if is_wide { MIN_WIDE_SAMPLE_VALUES } else { MIN_SAMPLE_VALUES };
    let columns = batch.columns().iter().enumerate();
    let is_useless = |column: &ArrayRef| hashes(column, enough).is_some_and(|h| !repeats(&h));
    columns.filter(|(_, column)| is_useless(column)).map(|(index, _)| index).collect()
}

/// Hashes of a column's first values; nothing if there are too few. What cannot be hashed is nested: its leaves
/// are not looked at.
fn hashes(column: &ArrayRef, enough: usize) -> Option<Vec<u64>> {
    if column.data_type().is_nested() || column.len() - column.logical_null_count() < enough {
        return None;
    }
    let rows = if column.is_nullable() { column.len() } else { column.len().min(SAMPLE_VALUES) };
    let column = column.slice(0, rows);
    let mut hashes = vec![0; rows];
    create_hashes([&column], &RandomState::default(), &mut hashes).ok()?;
    let nulls = column.logical_nulls();
    let is_value = |row: &usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row));
    let values = (0..rows).filter(is_value).map(|row| hashes[row]);
    Some(values.take(SAMPLE_VALUES).collect())
}

/// Whether values come again, by their hashes.
fn repeats(hashes: &[u64]) -> bool {
    let (first, second) = hashes.split_at(hashes.len() / 2);
    let seen: HashSet<&u64> = first.iter().collect();
    let repeated = second.iter().filter(|hash| seen.contains(hash)).count();
    repeated as f64 >= second.len() as f64 * REPEATED_SHARE
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn keys_go_without_and_words_with_a_dictionary() {
        let keys: Int64Array = (0..5_000).collect();
        let few: StringArray = (0..5_000).map(|n| Some(format!("word {}", n % 100))).collect();
        let nulls = Int64Array::from(vec![None; 5_000]);
        let columns: [(&str, ArrayRef); 3] =
            [("keys", Arc::new(keys)), ("few", Arc::new(few)), ("nulls", Arc::new(nulls))];
        assert_eq!(useless(&RecordBatch::try_from_iter(columns).unwrap()), [0]);
    }

    #[test]
    fn nulls_do_not_count_as_values_that_come_again() {
        let each = |value: fn(i64) -> i64| -> ArrayRef {
            let row = |n| (n % 10 == 0).then(|| value(n));
            Arc::new((0..50_000).map(row).collect::<Int64Array>())
        };
        let columns = [("keys", each(|n| n)), ("few", each(|n| n % 100))];
        assert_eq!(useless(&RecordBatch::try_from_iter(columns).unwrap()), [0]);
    }
}
