//! Building batches row by row, for connectors whose source is not columnar itself.

use arrow_array::RecordBatch;
use arrow_array::builder::{
    ArrayBuilder, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder,
    Float64Builder, Int16Builder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder, make_builder,
};
use arrow_schema::SchemaRef;

use crate::{Error, Result};

/// Collects rows into a batch of a schema.
///
/// ```
/// # use std::sync::Arc;
/// # use longshore_sdk::{BatchBuilder, schema::{DataType, Field, Schema}};
/// let schema = Arc::new(Schema::new(vec![
///     Field::new("id", DataType::Int64, false),
///     Field::new("name", DataType::Utf8, true),
/// ]));
/// let mut rows = BatchBuilder::new(schema);
/// rows.int64(0, 1)?.text(1, "Ada")?.end_row();
/// rows.int64(0, 2)?.null(1)?.end_row();
/// assert_eq!(rows.finish()?.num_rows(), 2);
/// # Ok::<(), longshore_sdk::Error>(())
/// ```
pub struct BatchBuilder {
    schema: SchemaRef,
    builders: Vec<Box<dyn ArrayBuilder>>,
    rows: usize,
}

macro_rules! appenders {
    ($($(#[$doc:meta])* $name:ident($value:ty) => $builder:ty;)*) => {
        $($(#[$doc])* pub fn $name(&mut self, column: usize, value: $value) -> Result<&mut Self> {
            self.column::<$builder>(column)?.append_value(value);
            Ok(self)
        })*
    };
}

impl BatchBuilder {
    /// An empty batch of this schema.
    pub fn new(schema: SchemaRef) -> Self {
        let builders = schema.fields().iter().map(|f| make_builder(f.data_type(), 1024)).collect();
        Self { schema, builders, rows: 0 }
    }

    appenders! {
        /// A value of a `Boolean` column.
        bool(bool) => BooleanBuilder;
        /// A value of an `Int16` column.
        int16(i16) => Int16Builder;
        /// A value of an `Int32` column.
        int32(i32) => Int32Builder;
        /// A value of an `Int64` column.
        int64(i64) => Int64Builder;
        /// A value of a `Float32` column.
        float32(f32) => Float32Builder;
        /// A value of a `Float64` column.
        float64(f64) => Float64Builder;
        /// A value of a `Decimal128` column, without its point.
        decimal(i128) => Decimal128Builder;
        /// A value of a `Date32` column: days since 1970-01-01.
        date(i32) => Date32Builder;
        /// A value of a `Timestamp(Microsecond)` column: microseconds since 1970-01-01.
        timestamp(i64) => TimestampMicrosecondBuilder;
        /// A value of a `Utf8` column.
        text(&str) => StringBuilder;
        /// A value of a `Binary` column.
        bytes(&[u8]) => BinaryBuilder;
    }

    /// No value.
    pub fn null(&mut self, column: usize) -> Result<&mut Self> {
        macro_rules! null {
            ($($builder:ty),*) => {
                $(if let Ok(builder) = self.column::<$builder>(column) {
                    builder.append_null();
                    return Ok(self);
                })*
            };
        }
        null!(
            BooleanBuilder,
            Int16Builder,
            Int32Builder,
            Int64Builder,
            Float32Builder,
            Float64Builder,
            Decimal128Builder,
            Date32Builder,
            TimestampMicrosecondBuilder,
            StringBuilder,
            BinaryBuilder
        );
        Err(self.mismatch(column))
    }

    /// Ends a row: each column must have got one value or null.
    pub fn end_row(&mut self) {
        self.rows += 1;
    }

    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The batch; the builder begins again. Fails when a column has more or fewer values than
    /// there are rows.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        self.rows = 0;
        let arrays = self
            .builders
            .iter_mut()
            .zip(self.schema.fields())
            .map(|(builder, field)| {
                let array = builder.finish();
                // The builder forgets a time zone; the schema knows it.
                if array.data_type() == field.data_type() {
                    Ok(array)
                } else {
                    Ok(arrow_array::make_array(
                        array
                            .to_data()
                            .into_builder()
                            .data_type(field.data_type().clone())
                            .build()?,
                    ))
                }
            })
            .collect::<Result<_>>()?;
        Ok(RecordBatch::try_new(self.schema.clone(), arrays)?)
    }

    fn column<B: ArrayBuilder>(&mut self, column: usize) -> Result<&mut B> {
        if !self.builders.get(column).is_some_and(|builder| builder.as_any().is::<B>()) {
            return Err(self.mismatch(column));
        }
        self.builders[column]
            .as_any_mut()
            .downcast_mut()
            .ok_or_else(|| Error::internal("unreachable: the type was just checked"))
    }

    fn mismatch(&self, column: usize) -> Error {
        Error::internal(match self.schema.fields().get(column) {
            Some(field) => format!(
                "column `{}` is {}: not the type that was appended",
                field.name(),
                field.data_type()
            ),
            None => format!("no column {column} in a schema of {}", self.builders.len()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn a_value_of_the_wrong_type_names_the_column() {
        let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]));
        let error = BatchBuilder::new(schema).text(0, "x").map(|_| ()).unwrap_err();
        assert_eq!(error.message(), "column `id` is Int64: not the type that was appended");
    }
}
