//! Assignments as rows: Ballista hands tasks their rows, and cuts no node that has its own.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::physical_plan::ExecutionPlan;

use crate::message::Assignment;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("assignment", DataType::Utf8, false)]))
}

/// A table of one assignment.
pub(super) fn assignment_rows(assignment: &Assignment) -> DfResult<Arc<dyn ExecutionPlan>> {
    let text = serde_json::to_string(assignment);
    let text = text.map_err(|error| DataFusionError::External(error.into()))?;
    let column: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let rows = RecordBatch::try_new(schema(), vec![column])?;
    Ok(MemorySourceConfig::try_new_exec(&[vec![rows]], schema(), None)?)
}

/// The assignments in rows.
pub(super) fn assignments(rows: &RecordBatch) -> DfResult<Vec<Assignment>> {
    let texts = rows.column(0).as_string_opt::<i32>();
    let texts =
        texts.ok_or_else(|| DataFusionError::Internal("rows without assignments".into()))?;
    let parse = |text: &str| serde_json::from_str(text);
    let parsed = texts.iter().flatten().map(parse).collect::<Result<Vec<_>, _>>();
    parsed.map_err(|error| DataFusionError::External(error.into()))
}
