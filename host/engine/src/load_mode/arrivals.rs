//! The rows that were read, as a load compares them: with the condition of rows that remove, and with what tells
//! which came first.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, UInt64Array};
use arrow::compute::kernels::cmp::eq;
use arrow::compute::{cast, nullif};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::Result as DfResult;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use longshore_model::error::Result;

use super::key::true_only;
use super::mapped::{Map, mapped};

/// How many columns stand behind those of the rows: whether it removes, its chunk, its number there.
const MARKS: [(&str, DataType); 3] = [
    ("longshore removes", DataType::Boolean),
    ("longshore chunk", DataType::UInt64),
    ("longshore row", DataType::UInt64),
];

/// The place of the mark that says whether a row removes, behind so many columns.
pub(super) fn removes_at(columns: usize) -> usize {
    columns
}

/// The places of the marks that say which row came first.
pub(super) fn order_at(columns: usize) -> [usize; 2] {
    [columns + 1, columns + 2]
}

/// The rows of a plan, whose last column is the number of the chunk, with marks. `removes` is the condition of rows
/// that remove; `folders` are columns that name folders, which tell nothing from an empty text.
pub(super) fn arrivals(
    input: Arc<dyn ExecutionPlan>,
    removes: Option<Arc<dyn PhysicalExpr>>,
    folders: Arc<[usize]>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let fields = input.schema().fields().clone();
    let own = fields.iter().take(fields.len() - 1).cloned();
    let marks = MARKS.into_iter().map(|(name, of)| Arc::new(Field::new(name, of, false)));
    let schema: SchemaRef = Arc::new(Schema::new(own.chain(marks).collect::<Vec<_>>()));
    let of = schema.clone();
    let map: Map = Arc::new(move |rows| {
        let (removes, folders, schema) = (removes.clone(), folders.clone(), of.clone());
        let mut before = 0;
        let marked = rows.map(move |batch| {
            let marked = mark(&batch?, removes.as_ref(), &folders, &schema, before)?;
            before += marked.num_rows() as u64;
            Ok(marked)
        });
        Box::pin(RecordBatchStreamAdapter::new(of.clone(), marked))
    });
    mapped(input, &schema, map)
}

fn mark(
    batch: &RecordBatch,
    removes: Option<&Arc<dyn PhysicalExpr>>,
    folders: &[usize],
    schema: &SchemaRef,
    before: u64,
) -> DfResult<RecordBatch> {
    let rows = batch.num_rows();
    let removes = match removes {
        None => BooleanArray::from(vec![false; rows]),
        Some(condition) => {
            let told = condition.evaluate(batch)?.into_array(rows)?;
            true_only(told.as_boolean())
        }
    };
    let mut columns = batch.columns().to_vec();
    for &folder in folders {
        columns[folder] = without_empty(&columns[folder])?;
    }
    let numbers: ArrayRef = Arc::new(UInt64Array::from_iter_values(before..before + rows as u64));
    let chunk = columns.pop();
    columns.push(Arc::new(removes));
    columns.extend(chunk);
    columns.push(numbers);
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// Texts, of which those that are empty are NULL.
fn without_empty(texts: &ArrayRef) -> DfResult<ArrayRef> {
    let empty = cast(&StringArray::from(vec![""]), texts.data_type())?;
    let is_empty = eq(texts, &arrow::array::Scalar::new(empty))?;
    Ok(nullif(texts.as_ref(), &is_empty)?)
}
