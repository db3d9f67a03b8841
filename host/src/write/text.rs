//! Text: CSV and JSON lines. Nested values stand in CSV as JSON.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::csv;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::json;
use arrow::json::writer::LineDelimited;
use longshore_values::{JsonValues, text_column};

use super::encoder::{Encoded, Encoder, arrow_fault, io_fault};
use super::measured::Measured;
use super::squeeze::Squeezed;
use crate::config::target::{CsvStyle, Squeeze};
use crate::error::{Result, ResultExt};

/// Writes one file of separated values.
pub(super) struct CsvEncoder {
    writer: csv::Writer<Squeezed>,
    /// The schema, nested columns as text.
    flat: SchemaRef,
}

impl CsvEncoder {
    pub(super) fn new(
        schema: SchemaRef,
        style: &CsvStyle,
        squeeze: Squeeze,
        file: Measured,
    ) -> Result<Self> {
        let file = Squeezed::new(squeeze, file).map_err(io_fault)?;
        let mut writer = csv::WriterBuilder::new()
            .with_delimiter(style.delimiter)
            .with_quote(style.quote)
            .with_header(style.header)
            .with_null(style.null.clone())
            .build(file);
        let flat = flat_schema(&schema);
        // The names of the columns also where there are no rows.
        writer.write(&RecordBatch::new_empty(flat.clone())).map_err(arrow_fault)?;
        Ok(Self { writer, flat })
    }
}

impl Encoder for CsvEncoder {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(&flatten(batch, &self.flat)?).map_err(arrow_fault)
    }

    fn memory_bytes(&self) -> usize {
        // What a compressor holds does not grow.
        0
    }

    fn finish(self: Box<Self>) -> Result<Encoded> {
        Ok(Encoded::new(self.writer.into_inner().finish().map_err(io_fault)?))
    }
}

/// Writes one file of JSON lines.
pub(super) struct JsonEncoder {
    writer: json::Writer<Squeezed, LineDelimited>,
}

impl JsonEncoder {
    pub(super) fn new(squeeze: Squeeze, file: Measured) -> Result<Self> {
        let file = Squeezed::new(squeeze, file).map_err(io_fault)?;
        let builder = json::WriterBuilder::new().with_explicit_nulls(true);
        Ok(Self { writer: builder.with_encoder_factory(Arc::new(JsonValues)).build(file) })
    }
}

impl Encoder for JsonEncoder {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(arrow_fault)
    }

    fn memory_bytes(&self) -> usize {
        0
    }

    fn finish(mut self: Box<Self>) -> Result<Encoded> {
        self.writer.finish().map_err(arrow_fault)?;
        Ok(Encoded::new(self.writer.into_inner().finish().map_err(io_fault)?))
    }
}

fn flat_schema(schema: &SchemaRef) -> SchemaRef {
    let flat = |field: &Arc<Field>| {
        let data_type = field.data_type();
        // Arrow's own writer knows neither nested values nor moments beyond its calendar.
        match data_type.is_nested() || data_type.is_temporal() {
            true => Arc::new(Field::new(field.name(), DataType::Utf8, true)),
            false => field.clone(),
        }
    };
    Arc::new(Schema::new(schema.fields().iter().map(flat).collect::<Vec<_>>()))
}

fn flatten(batch: &RecordBatch, flat: &SchemaRef) -> Result<RecordBatch> {
    let schema = batch.schema();
    let columns: Result<Vec<ArrayRef>> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| {
            let text = text_column(field, column).map_err(arrow_fault);
            Ok(text
                .context(format!("column `{}`", field.name()))?
                .unwrap_or_else(|| column.clone()))
        })
        .collect();
    RecordBatch::try_new(flat.clone(), columns?).map_err(arrow_fault)
}
