//! The `trim` transform: removes white space around the texts of named columns.

use std::sync::Arc;

use longshore_sdk::array::cast::AsArray;
use longshore_sdk::array::{ArrayRef, RecordBatch, StringArray};
use longshore_sdk::schema::{DataType, SchemaRef};
use longshore_sdk::{Error, Result, Transform, TransformInfo};
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
    columns: Vec<usize>,
    schema: SchemaRef,
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
        let columns = config.columns.iter().map(find).collect::<Result<_>>()?;
        Ok(Self { columns, schema: input })
    }

    fn output_schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn process(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        let mut columns = batch.columns().to_vec();
        for &index in &self.columns {
            let texts = columns[index].as_string::<i32>();
            let trimmed: StringArray =
                texts.iter().map(|text| text.map(|text| text.trim_matches(SPACE))).collect();
            columns[index] = Arc::new(trimmed) as ArrayRef;
        }
        Ok(Some(RecordBatch::try_new(self.schema.clone(), columns)?))
    }
}

longshore_sdk::export_transform!(Trim);
