//! Quarantine: rows that fail are parted from the others, and get a column that names the checks.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow::compute::{filter_record_batch, not, or};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use longshore_model::error::Result;
use longshore_values::unique_names;

use super::column::arrow_fault;

/// The column that names the checks.
const COLUMN: &str = "check";

/// A batch, parted.
pub(super) struct SplitBatch {
    /// The rows that go on.
    pub(super) passing: RecordBatch,
    /// The rows that are quarantined, if there are any.
    pub(super) quarantined: Option<RecordBatch>,
}

impl SplitBatch {
    /// Parts a batch by the rows that fail each check.
    pub(super) fn new(batch: RecordBatch, failing: &[(&str, BooleanArray)]) -> Result<Self> {
        let mut any: Option<BooleanArray> = None;
        for (_, failing) in failing {
            any = Some(match any {
                None => failing.clone(),
                Some(any) => or(&any, failing).map_err(arrow_fault)?,
            });
        }
        let Some(any) = any.filter(|any| any.true_count() > 0) else {
            return Ok(Self { passing: batch, quarantined: None });
        };
        let passing = not(&any).and_then(|passing| filter_record_batch(&batch, &passing));
        let rows = filter_record_batch(&batch, &any).map_err(arrow_fault)?;
        let names = (0..any.len()).filter(|row| any.value(*row)).map(|row| {
            let names = failing.iter().filter(|(_, failing)| failing.value(row));
            names.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
        });
        let names: ArrayRef = Arc::new(StringArray::from_iter_values(names));
        let columns = rows.columns().iter().cloned().chain([names]).collect();
        let quarantined = RecordBatch::try_new(quarantine_schema(&rows.schema()), columns);
        Ok(Self {
            passing: passing.map_err(arrow_fault)?,
            quarantined: Some(quarantined.map_err(arrow_fault)?),
        })
    }
}

/// The columns of rows in quarantine: `check` is the last; `check_2` if the rows have such a column.
pub(super) fn quarantine_schema(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields();
    let names: Vec<&str> =
        fields.iter().map(|field| field.name().as_str()).chain([COLUMN]).collect();
    let name = unique_names(&names).pop().unwrap_or_else(|| COLUMN.to_owned());
    let check = Arc::new(Field::new(name, DataType::Utf8, false));
    let fields: Vec<_> = fields.iter().cloned().chain([check]).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}
