//! The least and the greatest value of each column of a key, so that files beyond them need not be read.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, IsNullExpr, lit};
use longshore_model::error::Result;

use super::key::kernel;
use super::parquet_table::ParquetTable;
use crate::datafusion_fault::from_datafusion;

/// The bounds of a column.
pub(super) struct Bounds {
    name: String,
    converter: RowConverter,
    least: Option<(OwnedRow, ScalarValue)>,
    greatest: Option<(OwnedRow, ScalarValue)>,
    has_null: bool,
}

impl Bounds {
    /// Those of a column, if its type has any: statistics tell nothing of NaN.
    pub(super) fn of(name: &str, data_type: &arrow::datatypes::DataType) -> Result<Option<Self>> {
        if data_type.is_floating() || data_type.is_nested() {
            return Ok(None);
        }
        let converter =
            RowConverter::new(vec![SortField::new(data_type.clone())]).map_err(kernel)?;
        let (least, greatest) = (None, None);
        Ok(Some(Self { name: name.to_owned(), converter, least, greatest, has_null: false }))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The least value, if there is any.
    pub(super) fn least(&self) -> Option<ScalarValue> {
        self.least.as_ref().map(|(_, value)| value.clone())
    }

    /// Takes more values.
    pub(super) fn add(&mut self, values: &ArrayRef) -> Result<()> {
        self.has_null |= values.null_count() > 0;
        let rows = self.converter.convert_columns(std::slice::from_ref(values)).map_err(kernel)?;
        let valid = || (0..values.len()).filter(|row| values.is_valid(*row));
        let (Some(least), Some(greatest)) =
            (valid().min_by_key(|row| rows.row(*row)), valid().max_by_key(|row| rows.row(*row)))
        else {
            return Ok(());
        };
        let value = |row| ScalarValue::try_from_array(values, row).map_err(from_datafusion);
        if self.least.as_ref().is_none_or(|(key, _)| rows.row(least) < key.row()) {
            self.least = Some((rows.row(least).owned(), value(least)?));
        }
        if self.greatest.as_ref().is_none_or(|(key, _)| rows.row(greatest) > key.row()) {
            self.greatest = Some((rows.row(greatest).owned(), value(greatest)?));
        }
        Ok(())
    }

    /// What is true of each row within the bounds.
    fn condition(&self, table: &ParquetTable) -> Result<Arc<dyn PhysicalExpr>> {
        let column = table.column(&self.name)?;
        let is_null = || Arc::new(IsNullExpr::new(column.clone())) as Arc<dyn PhysicalExpr>;
        let (Some((_, least)), Some((_, greatest))) = (&self.least, &self.greatest) else {
            return Ok(is_null());
        };
        let from = binary(column.clone(), Operator::GtEq, lit(least.clone()));
        let to = binary(column.clone(), Operator::LtEq, lit(greatest.clone()));
        let within = binary(from, Operator::And, to);
        Ok(if self.has_null { binary(within, Operator::Or, is_null()) } else { within })
    }
}

/// What is true of each row that may have one of the keys.
pub(super) fn within(
    bounds: &[Bounds],
    table: &ParquetTable,
) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let conditions = bounds.iter().map(|bounds| bounds.condition(table));
    let conditions = conditions.collect::<Result<Vec<_>>>()?;
    Ok(conditions.into_iter().reduce(|all, one| binary(all, Operator::And, one)))
}

pub(super) fn binary(
    left: Arc<dyn PhysicalExpr>,
    operator: Operator,
    right: Arc<dyn PhysicalExpr>,
) -> Arc<dyn PhysicalExpr> {
    Arc::new(BinaryExpr::new(left, operator, right))
}
