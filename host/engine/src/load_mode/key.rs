//! The columns that tell rows apart.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::prep_null_mask_filter;
use arrow::datatypes::{Float32Type, Float64Type, SchemaRef};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use arrow::util::display::array_value_to_string;
use longshore_model::config::nearest_or_all;
use longshore_model::error::{Error, Result};

/// The longest text of a value in an error.
const SHOWN_LIMIT_CHARS: usize = 60;

/// A key's columns in a schema.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) columns: Vec<usize>,
    names: Vec<String>,
}

impl Key {
    /// The key of these columns; `at` is what names them.
    pub(super) fn of(at: &str, names: &[String], schema: &SchemaRef) -> Result<Self> {
        let column = |name: &String| {
            schema.index_of(name).map_err(|_| {
                let known: Vec<&str> =
                    schema.fields().iter().map(|field| field.name().as_str()).collect();
                Error::config(format!("`{at}`: no column `{name}`"))
                    .with_hint(nearest_or_all(name, "columns", &known))
            })
        };
        let columns = names.iter().map(column).collect::<Result<_>>()?;
        Ok(Self { columns, names: names.to_vec() })
    }

    /// Compares rows by the key; NULL is a value like others.
    pub(super) fn converter(&self, schema: &SchemaRef) -> Result<RowConverter> {
        let types = self.columns.iter().map(|column| schema.field(*column).data_type());
        RowConverter::new(types.cloned().map(SortField::new).collect()).map_err(|_| {
            Error::config(format!("the key {} cannot be compared", self.names.join(", ")))
                .with_hint("use columns of texts, numbers, dates or timestamps as the key")
        })
    }

    pub(super) fn values(&self, columns: &[ArrayRef]) -> Vec<ArrayRef> {
        self.columns.iter().map(|column| without_negative_zero(&columns[*column])).collect()
    }

    /// The key of a row, as people read it: `(id=1, day=2026-11-20)`.
    pub(super) fn shown(&self, values: &[ArrayRef], row: usize) -> String {
        let shown = |(name, values): (&String, &ArrayRef)| {
            if values.is_null(row) {
                return format!("{name}=NULL");
            }
            let text = array_value_to_string(values, row).unwrap_or_default();
            let text: String = text.chars().take(SHOWN_LIMIT_CHARS).collect();
            format!("{name}={text}")
        };
        let values: Vec<String> = self.names.iter().zip(values).map(shown).collect();
        format!("({})", values.join(", "))
    }
}

/// Zero is one value, whatever its sign, as for those who join by it.
fn without_negative_zero(values: &ArrayRef) -> ArrayRef {
    if let Some(values) = values.as_primitive_opt::<Float64Type>() {
        return Arc::new(values.unary::<_, Float64Type>(|value| value + 0.0));
    }
    if let Some(values) = values.as_primitive_opt::<Float32Type>() {
        return Arc::new(values.unary::<_, Float32Type>(|value| value + 0.0));
    }
    values.clone()
}

/// Whether each value is true: NULL is not.
pub(super) fn true_only(values: &BooleanArray) -> BooleanArray {
    if values.null_count() > 0 { prep_null_mask_filter(values) } else { values.clone() }
}

/// A fault of ours: what the kernels refuse was looked at before.
pub(super) fn kernel(error: ArrowError) -> Error {
    Error::internal(format!("loading: {error}"))
}
