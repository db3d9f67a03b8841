//! Widths of decimals. Connectors may give decimals of few digits in 32 or 64 bits, as Parquet stores them.
//! Only rows that go straight into Parquet stay so: SQL, plugins and other formats know 128 bits, and readers
//! of Parquet are told of them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use longshore_model::error::Result;

use crate::datafusion_fault::from_datafusion;

/// A schema in which no decimal has less than 128 bits.
pub fn widen_schema(schema: &SchemaRef) -> SchemaRef {
    let fields = widen_fields(schema.fields());
    if fields == *schema.fields() {
        return schema.clone();
    }
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// Whether Parquet's writer takes all decimals of a schema as they are. It stores a single digit in 64 bits,
/// and does not take it from 32.
pub fn is_encodable(schema: &SchemaRef) -> bool {
    schema.flattened_fields().iter().all(|f| !matches!(f.data_type(), DataType::Decimal32(1, _)))
}

/// A plan for the same rows in which no decimal has less than 128 bits.
pub fn widen_plan(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = plan.schema();
    let wide = widen_schema(&schema);
    if Arc::ptr_eq(&wide, &schema) {
        return Ok(plan);
    }
    let column = |(index, field): (usize, &FieldRef)| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), index));
        let expr = if field.data_type() == schema.field(index).data_type() {
            column
        } else {
            Arc::new(CastExpr::new(column, field.data_type().clone(), None))
        };
        (expr, field.name().clone())
    };
    let columns: Vec<_> = wide.fields().iter().enumerate().map(column).collect();
    Ok(Arc::new(ProjectionExec::try_new(columns, plan).map_err(from_datafusion)?))
}

fn widen_fields(fields: &Fields) -> Fields {
    fields.iter().map(widen_field).collect()
}

fn widen_field(field: &FieldRef) -> FieldRef {
    let wide = widen_type(field.data_type());
    if wide == *field.data_type() {
        return field.clone();
    }
    Arc::new(Field::clone(field).with_data_type(wide))
}

fn widen_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::List(item) => DataType::List(widen_field(item)),
        DataType::LargeList(item) => DataType::LargeList(widen_field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(widen_field(item), *size),
        DataType::Map(entries, sorted) => DataType::Map(widen_field(entries), *sorted),
        DataType::Struct(fields) => DataType::Struct(widen_fields(fields)),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        ArrayRef, AsArray, Decimal32Array, Decimal64Array, ListArray, RecordBatch, new_null_array,
    };
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Decimal128Type;
    use datafusion::datasource::memory::MemorySourceConfig;
    use datafusion::physical_plan::collect;
    use parquet::arrow::ArrowWriter;

    use super::*;
    use crate::transform::task_context;

    fn narrow() -> RecordBatch {
        let small = Decimal32Array::from(vec![Some(-999_999_999), None]);
        let small: ArrayRef = Arc::new(small.with_precision_and_scale(9, 2).unwrap());
        let large = Decimal64Array::from(vec![Some(999_999_999_999_999_999), Some(-1)]);
        let large: ArrayRef = Arc::new(large.with_precision_and_scale(18, 18).unwrap());
        let item = Arc::new(Field::new("element", small.data_type().clone(), true));
        let offsets = OffsetBuffer::new(vec![0, 2, 2].into());
        let list: ArrayRef = Arc::new(ListArray::new(item, offsets, small.clone(), None));
        RecordBatch::try_from_iter([("small", small), ("large", large), ("list", list)]).unwrap()
    }

    #[tokio::test]
    async fn every_value_stays_and_has_128_bits() {
        let batch = narrow();
        let source = MemorySourceConfig::try_new_exec(&[vec![batch.clone()]], batch.schema(), None);
        let plan = widen_plan(source.unwrap()).unwrap();
        assert_eq!(widen_schema(&batch.schema()).fields(), plan.schema().fields());
        let rows = collect(plan, task_context(|config| config).unwrap()).await.unwrap();
        assert_eq!(rows[0].schema().field(0).data_type(), &DataType::Decimal128(9, 2));
        let values = |column: &ArrayRef| -> Vec<Option<i128>> {
            column.as_primitive::<Decimal128Type>().iter().collect()
        };
        assert_eq!(values(rows[0].column(0)), [Some(-999_999_999), None]);
        assert_eq!(values(rows[0].column(1)), [Some(999_999_999_999_999_999), Some(-1)]);
        let items = rows[0].column(2).as_list::<i32>().value(0);
        assert_eq!(values(&items), [Some(-999_999_999), None]);
    }

    #[test]
    fn every_decimal_that_is_encodable_is_encoded() {
        let field = |precision, scale| {
            let list = Field::new("element", DataType::Decimal32(precision, scale), true);
            vec![
                Field::new("a", DataType::Decimal32(precision, scale), true),
                Field::new("b", DataType::Decimal64(precision, scale), true),
                Field::new("c", DataType::List(Arc::new(list)), true),
            ]
        };
        for (precision, scale) in (1..=9).flat_map(|p| (0..=p as i8).map(move |s| (p, s))) {
            let schema = Arc::new(Schema::new(field(precision, scale)));
            let encode = || {
                let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), None)?;
                let nulls = |field: &FieldRef| new_null_array(field.data_type(), 2);
                let columns = schema.fields().iter().map(nulls).collect();
                writer.write(&RecordBatch::try_new(schema.clone(), columns)?)?;
                writer.close()
            };
            assert_eq!(encode().is_ok(), is_encodable(&schema), "{precision}, {scale}");
        }
    }

    #[test]
    fn what_is_wide_is_left_alone() {
        let schema = widen_schema(&narrow().schema());
        assert!(Arc::ptr_eq(&schema, &widen_schema(&schema)));
    }
}
