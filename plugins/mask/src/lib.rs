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

use hmac::{Hmac, KeyInit, Mac};
use longshore_sdk::array::builder::StringBuilder;
use longshore_sdk::array::{Array, ArrayRef, RecordBatch, new_null_array};
use longshore_sdk::schema::{DataType, Field, Schema, SchemaRef};
use longshore_sdk::{Error, Result, Secret, Transform, TransformInfo};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::Sha256;

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
    columns: Vec<usize>,
    mode: Mode,
    with: String,
    hmac: Hmac<Sha256>,
    schema: SchemaRef,
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
        let salt = config.salt.map(|salt| salt.reveal()).transpose()?.unwrap_or_default();
        let hmac =
            Hmac::new_from_slice(salt.as_bytes()).map_err(|e| Error::config(e.to_string()))?;
        let schema = masked_schema(&input, &columns, config.mode);
        Ok(Self { columns, mode: config.mode, with: config.with, hmac, schema })
    }

    fn output_schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn process(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>> {
        let mut columns = batch.columns().to_vec();
        for &index in &self.columns {
            columns[index] = self.mask(&columns[index])?;
        }
        Ok(Some(RecordBatch::try_new(self.schema.clone(), columns)?))
    }
}

impl Mask {
    fn mask(&self, column: &ArrayRef) -> Result<ArrayRef> {
        match self.mode {
            Mode::Null => Ok(new_null_array(column.data_type(), column.len())),
            Mode::Replace => {
                let mut masked =
                    StringBuilder::with_capacity(column.len(), column.len() * self.with.len());
                for row in 0..column.len() {
                    masked.append_option(column.is_valid(row).then_some(&self.with));
                }
                Ok(Arc::new(masked.finish()))
            }
            Mode::Hash => {
                const HEX_BYTES: usize = 64;
                let mut masked =
                    StringBuilder::with_capacity(column.len(), column.len() * HEX_BYTES);
                text::for_each(column, |value| match value {
                    Some(bytes) => masked.append_value(self.digest(bytes)),
                    None => masked.append_null(),
                })?;
                Ok(Arc::new(masked.finish()))
            }
        }
    }

    fn digest(&self, bytes: &[u8]) -> String {
        let mut hmac = self.hmac.clone();
        hmac.update(bytes);
        hmac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn check_hashable(input: &Schema, columns: &[usize]) -> Result<()> {
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
    use longshore_sdk::testkit::FakeHost;

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
                Ok(mask.process(people())?.unwrap())
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
