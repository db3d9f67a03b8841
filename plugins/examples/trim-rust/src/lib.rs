//! The `trim` transform: removes white space around the texts of named columns.

use std::sync::Arc;

use longshore_sdk::array::cast::AsArray;
use longshore_sdk::array::{ArrayRef, RecordBatch, StringArray};
use longshore_sdk::schema::{DataType, SchemaRef};
use longshore_sdk::{ColumnMapping, Error, Result, Transform, TransformInfo};
use schemars::JsonSchema;
use serde::Deserialize;

/// ASCII's white space, and no other.
const SPACE: [char; 6] = [' ', '\t', '\n', '\r', '\x0c', '\x0b'];

/// What a job's step holds.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The columns to trim: of type Utf8.
    columns: Vec<String>,
}

/// The transform, at work on one chunk.
pub struct Trim {
    schema: SchemaRef,
    mapping: ColumnMapping,
}

impl Transform for Trim {
    type Config = Config;

    fn describe() -> TransformInfo {
        TransformInfo {
            name: "trim-rust",
            version: env!("CARGO_PKG_VERSION"),
            summary: "Removes white space around texts",
            secrets: &[],
        }
    }

    fn open(config: Config, input: SchemaRef) -> Result<Self> {
        let find = |name: &String| {
            let index = input.index_of(name).map_err(|_| {
                let there: Vec<&str> = input.fields().iter().map(|f| f.name().as_str()).collect();
                Error::config(format!("`columns`: no column `{name}`"))
                    .with_hint(format!("the columns here are {}", there.join(", ")))
            })?;
            match input.field(index).data_type() {
                DataType::Utf8 => Ok(index),
                other => Err(Error::config(format!("`columns`: `{name}` is {other}, not Utf8"))
                    .with_hint(format!(
                        "cast it in an `sql` step before: arrow_cast({name}, 'Utf8')"
                    ))),
            }
        };
        let columns: Vec<usize> = config.columns.iter().map(find).collect::<Result<_>>()?;
        let mapping = ColumnMapping::in_place(&input, &columns);
        Ok(Self { schema: input, mapping })
    }

    fn output_schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The columns to trim cross, and no others.
    fn column_mapping(&self) -> Option<ColumnMapping> {
        Some(self.mapping.clone())
    }

    fn process(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        let trim = |column: &ArrayRef| {
            let texts = column.as_string::<i32>().iter();
            let trimmed = texts.map(|text| text.map(|text| text.trim_matches(SPACE)));
            Arc::new(trimmed.collect::<StringArray>()) as ArrayRef
        };
        let columns = batch.columns().iter().map(trim).collect();
        Ok(Some(RecordBatch::try_new(batch.schema(), columns)?))
    }
}

longshore_sdk::export_transform!(Trim);
