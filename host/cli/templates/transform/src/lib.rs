//! The `{{name}}` transform: for a start, it makes texts upper case.

use std::sync::Arc;

use longshore_sdk::array::cast::AsArray;
use longshore_sdk::array::{ArrayRef, RecordBatch, StringArray};
use longshore_sdk::schema::{DataType, SchemaRef};
use longshore_sdk::{ColumnMapping, Error, Result, Transform, TransformInfo};
use schemars::JsonSchema;
use serde::Deserialize;

/// What a job's step holds, beside `plugin`. What is written here is its documentation.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The columns whose texts become upper case.
    columns: Vec<String>,
}

/// The transform, at work on one chunk.
pub struct {{Type}} {
    schema: SchemaRef,
    mapping: ColumnMapping,
}

impl Transform for {{Type}} {
    type Config = Config;

    fn describe() -> TransformInfo {
        TransformInfo {
            name: "{{name}}",
            version: env!("CARGO_PKG_VERSION"),
            summary: "Makes texts upper case, for a start",
            // Name the config fields that are of type `longshore_sdk::Secret`.
            secrets: &[],
        }
    }

    fn open(config: Config, input: SchemaRef) -> Result<Self> {
        let find = |name: &String| {
            let index = input.index_of(name).map_err(|_| {
                let there: Vec<&str> = input.fields().iter().map(|f| f.name().as_str()).collect();
                Error::config(format!("`columns`: there is no column `{name}`"))
                    .with_hint(format!("there is {}", there.join(", ")))
            })?;
            match input.field(index).data_type() {
                DataType::Utf8 => Ok(index),
                other => Err(Error::config(format!("`columns`: `{name}` is {other}, not a text"))
                    .with_hint("cast it in an `sql` step before this one")),
            }
        };
        let columns: Vec<usize> = config.columns.iter().map(find).collect::<Result<_>>()?;
        let mapping = ColumnMapping::in_place(&input, &columns);
        Ok(Self { schema: input, mapping })
    }

    fn output_schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The columns of the config are read, and replaced; all others pass through. Without this function,
    /// all columns of the input are read, and all of the output are computed.
    fn column_mapping(&self) -> Option<ColumnMapping> {
        Some(self.mapping.clone())
    }

    fn process(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        let upper = |column: &ArrayRef| {
            let texts = column.as_string::<i32>().iter();
            let upper = texts.map(|text| text.map(str::to_uppercase));
            Arc::new(upper.collect::<StringArray>()) as ArrayRef
        };
        let columns = batch.columns().iter().map(upper).collect();
        Ok(Some(RecordBatch::try_new(batch.schema(), columns)?))
    }
}

longshore_sdk::export_transform!({{Type}});

#[cfg(test)]
mod tests {
    use longshore_sdk::testkit::transform;

    use super::*;

    #[test]
    fn texts_become_upper_case_and_nulls_stay() {
        let texts = Arc::new(StringArray::from(vec![Some("naïve"), None])) as ArrayRef;
        let batch = RecordBatch::try_from_iter([("text", texts)]).unwrap();
        let config = Config { columns: vec!["text".into()] };
        let mut upper = {{Type}}::open(config, batch.schema()).unwrap();
        let out = transform(&mut upper, &batch).unwrap();
        let texts: Vec<Option<&str>> = out.column(0).as_string::<i32>().iter().collect();
        assert_eq!(texts, [Some("NAÏVE"), None]);
    }
}
