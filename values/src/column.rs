//! Columns as texts.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, StringArray};
use arrow_json::writer::make_encoder;
use arrow_schema::{ArrowError, FieldRef};

use super::json::{check_durations, json_options};
use super::temporal::{Write, temporal_writer};

/// A column as texts, where its text is not what Arrow's own writers write: dates, times and moments as
/// ISO 8601, nested values as JSON. Nothing where Arrow's own are right.
pub fn text_column(field: &FieldRef, column: &ArrayRef) -> Result<Option<ArrayRef>, ArrowError> {
    if let Some(write) = temporal_writer(column) {
        return Ok(Some(texts(column, write)));
    }
    if !field.data_type().is_nested() {
        check_durations(column)?;
        return Ok(None);
    }
    let options = json_options();
    let encoder = std::cell::RefCell::new(make_encoder(field, column, &options)?);
    Ok(Some(texts(column, Box::new(|row, out| encoder.borrow_mut().encode(row, out)))))
}

fn texts(column: &ArrayRef, write: Write<'_>) -> ArrayRef {
    let nulls = column.logical_nulls();
    let mut text = Vec::new();
    let texts = (0..column.len()).map(|row| {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        text.clear();
        write(row, &mut text);
        Some(String::from_utf8_lossy(&text).into_owned())
    });
    Arc::new(texts.collect::<StringArray>())
}
