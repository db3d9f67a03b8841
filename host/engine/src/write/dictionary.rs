//! Which columns gain from a dictionary: those whose values come again.
//!
//! Parquet's writer tries a dictionary on every column and gives up when it has grown too large,
//! once for each row group. On keys, prices and texts that work is wasted; a look at the first
//! batch tells.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::common::hash_utils::{RandomState, create_hashes};

/// How many rows are looked at.
const SAMPLE_ROWS: usize = 8_192;

/// Fewer rows tell nothing.
const MIN_SAMPLE_ROWS: usize = 1_024;

/// Of a wide table a batch has few rows, and each dictionary costs memory before it holds anything.
const WIDE_COLUMNS: usize = 256;

/// The same for a wide table.
const MIN_WIDE_SAMPLE_ROWS: usize = 64;

/// A dictionary is kept when at least this share of the sample's second half was seen in its first.
const REPEATED_SHARE: f64 = 0.25;

/// The columns, by index, that are better off without a dictionary.
pub(super) fn useless(batch: &RecordBatch) -> Vec<usize> {
    let rows = batch.num_rows().min(SAMPLE_ROWS);
    let enough =
        if batch.num_columns() > WIDE_COLUMNS { MIN_WIDE_SAMPLE_ROWS } else { MIN_SAMPLE_ROWS };
    if rows < enough {
        return Vec::new();
    }
    let sampled = batch.columns().iter().map(|column| column.slice(0, rows)).enumerate();
    sampled.filter(|(_, column)| !repeats(column)).map(|(index, _)| index).collect()
}

fn repeats(column: &ArrayRef) -> bool {
    let mut hashes = vec![0; column.len()];
    // What cannot be hashed is nested: its leaves are not looked at.
    if column.data_type().is_nested()
        || create_hashes([column], &RandomState::default(), &mut hashes).is_err()
    {
        return true;
    }
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
}
