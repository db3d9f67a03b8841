//! The `mask` transform: replaces or hashes named columns.
//!
//! | mode | what becomes of a value |
//! |---|---|
//! | `replace` (default) | the text `with`, `***` unless told |
//! | `hash` | HMAC-SHA-256 of its text under `salt`, in hex: equal values stay equal |
//! | `null` | nothing is left |
//!
//! A null stays null. A masked column becomes text, except under `null`.

use std::sync::Arc;

use longshore_sdk::array::{Array, ArrayRef, RecordBatch, StringArray, new_null_array};
use longshore_sdk::buffer::NullBuffer;
use longshore_sdk::digest::sha256_hex;
use longshore_sdk::schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use longshore_sdk::{ColumnMapping, Error, Result, Secret, Transform, TransformInfo};
use schemars::JsonSchema;
use serde::Deserialize;

mod text;

/// What a job's step holds.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The columns to mask.
    columns: Vec<String>,
    /// What becomes of a value.
    #[serde(default)]
    mode: Mode,
    /// The text that stands for every value under `replace`.
    #[serde(default = "stars")]
    with: String,
    /// The key under `hash`: without one, anybody can hash guesses and compare.
    salt: Option<Secret>,
}

/// What becomes of a value.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It becomes the text `with`.
    #[default]
    Replace,
    /// It becomes its HMAC-SHA-256 under `salt`, in hex.
    Hash,
    /// It becomes null.
    Null,
}

fn stars() -> String {
    "***".into()
}

/// The transform, at work on one chunk.
pub struct Mask {
    mode: Mode,
    with: String,
    /// The text `with`, as often as the largest batch so far has rows.
    texts: StringArray,
    salt: String,
    schema: SchemaRef,
    mapping: ColumnMapping,
    /// Of the masked columns alone.
    masked: SchemaRef,
}

impl Transform for Mask {
    type Config = Config;

    fn describe() -> TransformInfo {
        TransformInfo {
            name: "mask",
            version: env!("CARGO_PKG_VERSION"),
            summary: "Replaces or hashes named columns",
            secrets: &["salt"],
        }
    }

    fn open(config: Config, input: SchemaRef) -> Result<Self> {
        let columns = config
            .columns
            .iter()
            .map(|name| {
                input.index_of(name).map_err(|_| {
                    let known: Vec<&str> =
                        input.fields().iter().map(|f| f.name().as_str()).collect();
                    Error::config(format!("`columns`: no column `{name}`"))
                        .with_hint(format!("the columns here are {}", known.join(", ")))
                })
            })
            .collect::<Result<Vec<usize>>>()?;
        if config.mode == Mode::Hash {
            check_hashable(&input, &columns)?;
        }
        let Config { mode, with, salt, .. } = config;
        let salt = salt.map(|salt| salt.reveal()).transpose()?.unwrap_or_default();
        let schema = masked_schema(&input, &columns, mode);
        let mut mapping = ColumnMapping::in_place(&input, &columns);
        mapping.reads.retain(|&column| is_read(input.field(column as usize), mode));
        let masked = mapping.computed(&schema);
        let texts = StringArray::new_repeated(&with, 0);
        Ok(Self { mode, with, texts, salt, schema, mapping, masked })
    }

    fn output_schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn column_mapping(&self) -> Option<ColumnMapping> {
        Some(self.mapping.clone())
    }

    fn process(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        let masked = self.masked.clone();
        let mask = |field: &FieldRef| self.mask(field, &batch);
        let columns = masked.fields().iter().map(mask).collect::<Result<_>>()?;
        Ok(Some(RecordBatch::try_new(masked, columns)?))
    }
}

impl Mask {
    fn mask(&mut self, field: &Field, batch: &RecordBatch) -> Result<ArrayRef> {
        let (column, rows) = (batch.column_by_name(field.name()), batch.num_rows());
        match (self.mode, column) {
            (Mode::Null, _) => Ok(new_null_array(field.data_type(), rows)),
            (Mode::Replace, column) => {
                self.replaced(rows, column.and_then(|column| column.nulls()))
            }
            (Mode::Hash, Some(column)) => {
                let digests = sha256_hex(&text::bytes(column)?, Some(self.salt.as_bytes()))?;
                Ok(Arc::new(digests))
            }
            (Mode::Hash, None) => {
                Err(Error::internal(format!("`{}` is not there to hash", field.name())))
            }
        }
    }

    /// The text `with` in each row that is not null.
    fn replaced(&mut self, rows: usize, nulls: Option<&NullBuffer>) -> Result<ArrayRef> {
        if self.texts.len() < rows {
            self.texts = StringArray::new_repeated(&self.with, rows);
        }
        let texts = self.texts.slice(0, rows);
        let Some(nulls) = nulls else { return Ok(Arc::new(texts)) };
        let (offsets, values, _) = texts.into_parts();
        Ok(Arc::new(StringArray::try_new(offsets, values, Some(nulls.clone()))?))
    }
}

/// Whether its values, or its nulls, decide what becomes of a masked column.
fn is_read(field: &Field, mode: Mode) -> bool {
    match mode {
        Mode::Hash => true,
        Mode::Replace => field.is_nullable(),
        Mode::Null => false,
    }
}

fn check_hashable(input: &Schema, columns: &[usize]) -> Result<()> {
    let twice = (1..columns.len()).find(|&at| columns[..at].contains(&columns[at]));
    if let Some(at) = twice {
        let name = input.field(columns[at]).name();
        return Err(Error::config(format!("`columns`: `{name}` is named twice, and hashed once"))
            .with_hint("name it once"));
    }
    let refused =
        columns.iter().map(|&i| input.field(i)).find(|f| !text::is_supported(f.data_type()));
    match refused {
        Some(field) => Err(Error::config(format!(
            "`columns`: `{}` is {} and cannot be hashed",
            field.name(),
            field.data_type()
        ))
        .with_hint("cast it to text in an `sql` step before, or use mode `replace` or `null`")),
        None => Ok(()),
    }
}

fn masked_schema(input: &Schema, columns: &[usize], mode: Mode) -> SchemaRef {
    let fields: Vec<Field> = input
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| match (columns.contains(&index), mode) {
            (false, _) => field.as_ref().clone(),
            (true, Mode::Null) => field.as_ref().clone().with_nullable(true),
            (true, _) => Field::new(field.name(), DataType::Utf8, field.is_nullable()),
        })
        .collect();
    Arc::new(Schema::new_with_metadata(fields, input.metadata().clone()))
}

longshore_sdk::export_transform!(Mask);

#[cfg(test)]
mod tests {
    use longshore_sdk::array::{Int64Array, StringArray, cast::AsArray};
    use longshore_sdk::testkit::{FakeHost, transform};

    use super::*;

    fn people() -> RecordBatch {
        RecordBatch::try_from_iter([
            ("id", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef),
            (
                "email",
                Arc::new(StringArray::from(vec![Some("a@x"), None, Some("a@x")])) as ArrayRef,
            ),
        ])
        .unwrap()
    }

    fn masked(config: &str) -> Result<RecordBatch> {
        FakeHost::new()
            .secret("salt", "pepper")
            .run(|| {
                let mut mask =
                    Mask::open(serde_json::from_str(config).unwrap(), people().schema())?;
                transform(&mut mask, &people())
            })
            .0
    }

    #[test]
    fn replaced_values_say_nothing_and_nulls_stay_null() {
        let batch = masked(r#"{"columns": ["email", "id"]}"#).unwrap();
        assert_eq!(
            batch.column(1).as_string::<i32>().iter().collect::<Vec<_>>(),
            [Some("***"), None, Some("***")]
        );
        assert_eq!(batch.column(0).as_string::<i32>().value(0), "***");
    }

    #[test]
    fn hashes_are_hmac_sha256_under_the_salt() {
        let batch = masked(r#"{"columns": ["email"], "mode": "hash", "salt": {"secret": "salt"}}"#)
            .unwrap();
        let email = batch.column(1).as_string::<i32>();
        // printf 'a@x' | openssl dgst -sha256 -hmac pepper
        assert_eq!(
            email.value(0),
            "f93fbf15c236b294df36c31c1f35b9667fd68228529e3e457bca1d8e87b8cf68"
        );
        assert_eq!(email.value(0), email.value(2));
        assert!(email.is_null(1));
    }

    #[test]
    fn an_unknown_column_is_named() {
        let error = masked(r#"{"columns": ["mail"]}"#).unwrap_err();
        assert_eq!(error.message(), "`columns`: no column `mail`");
    }
}
