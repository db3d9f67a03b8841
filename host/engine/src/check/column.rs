//! The columns that a check looks at: found by name, and with values that it can compare.

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use longshore_model::config::nearest_or_all;
use longshore_model::error::{Error, Result};

/// A column's place.
pub(super) fn place(schema: &Schema, name: &str) -> Result<usize> {
    let fields = schema.fields();
    fields.iter().position(|field| field.name() == name).ok_or_else(|| {
        let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
        Error::config(format!("no column `{name}`"))
            .with_hint(nearest_or_all(name, "columns", &names))
    })
}

/// The place of a column that a check of this kind can look at.
pub(super) fn place_of(
    schema: &Schema,
    name: &str,
    is_fit: impl Fn(&DataType) -> bool,
    wanted: &str,
) -> Result<usize> {
    let place = place(schema, name)?;
    let data_type = plain_type(schema.field(place));
    if is_fit(data_type) {
        return Ok(place);
    }
    Err(Error::config(format!("the column `{name}` is {data_type}"))
        .with_hint(format!("name a column of {wanted}")))
}

/// The type of a column's values.
pub(super) fn plain_type(field: &Field) -> &DataType {
    match field.data_type() {
        DataType::Dictionary(_, values) => values,
        plain => plain,
    }
}

/// A column's values, none of them in a dictionary.
pub(super) fn plain(batch: &RecordBatch, place: usize) -> Result<ArrayRef> {
    let column = batch.column(place);
    match column.data_type() {
        DataType::Dictionary(_, values) => cast(column, values).map_err(arrow_fault),
        _ => Ok(column.clone()),
    }
}

pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

pub(super) fn is_moment(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _))
}

pub(super) fn arrow_fault(error: ArrowError) -> Error {
    Error::internal(format!("measuring a check: {error}"))
}
