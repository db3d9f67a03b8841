//! Samples of rows that fail, for people: the columns of the check, and those that tell the row.

use std::collections::BTreeMap;

use arrow::array::{BooleanArray, RecordBatch};
use longshore_model::error::Result;

use super::column::arrow_fault;
use crate::write::texts_of;

/// The most rows that a check shows.
pub const SAMPLE_LIMIT: usize = 5;

/// The longest value that is shown of a row.
const VALUE_LIMIT_CHARS: usize = 100;

/// A row: its columns and their values as text, NULL as none.
pub type Sample = BTreeMap<String, Option<String>>;

/// The first rows that are marked, at most `limit` of them, in some of their columns.
pub(super) fn samples(
    batch: &RecordBatch,
    marked: &BooleanArray,
    columns: &[usize],
    limit: usize,
) -> Result<Vec<Sample>> {
    let rows: Vec<usize> = marked.values().set_indices().take(limit).collect();
    let shown = batch.project(columns).map_err(arrow_fault)?;
    rows.into_iter().map(|row| sample(&shown.slice(row, 1))).collect()
}

/// The one row of a batch.
fn sample(row: &RecordBatch) -> Result<Sample> {
    let names = row.schema_ref().fields().iter().map(|field| field.name().clone());
    let values = texts_of(row)?.into_iter().flatten().map(|text| text.map(bounded));
    Ok(names.zip(values).collect())
}

fn bounded(text: String) -> String {
    match text.char_indices().nth(VALUE_LIMIT_CHARS) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
