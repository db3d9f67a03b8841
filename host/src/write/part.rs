//! A part: what was written from one chunk, and the row that describes it in a plan.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Which attempt at a chunk (or relation) a plan's execution is; from 0.
#[derive(Clone, Copy, Debug)]
pub struct Attempt(pub u32);

/// A part that is written, checked and durable, but not published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The chunk (partition) that it was written from.
    pub chunk: u64,
    /// The file's name in the relation's folder; in a sink, only what tells it from others.
    pub file: String,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// The file's SHA-256, in hex.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// What the store needs to publish it, or the sink's receipt; of no use to readers.
    #[serde(skip)]
    pub token: String,
}

impl Part {
    /// The schema of the rows that describe parts.
    pub fn schema() -> SchemaRef {
        static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
            Arc::new(Schema::new(vec![
                Field::new("chunk", DataType::UInt64, false),
                Field::new("file", DataType::Utf8, false),
                Field::new("rows", DataType::UInt64, false),
                Field::new("bytes", DataType::UInt64, false),
                Field::new("sha256", DataType::Utf8, false),
                Field::new("token", DataType::Utf8, false),
            ]))
        });
        SCHEMA.clone()
    }

    /// The part as one row.
    pub fn to_row(&self) -> Result<RecordBatch> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(vec![self.chunk])),
            Arc::new(StringArray::from(vec![self.file.as_str()])),
            Arc::new(UInt64Array::from(vec![self.rows])),
            Arc::new(UInt64Array::from(vec![self.bytes])),
            Arc::new(StringArray::from(vec![self.sha256.as_str()])),
            Arc::new(StringArray::from(vec![self.token.as_str()])),
        ];
        RecordBatch::try_new(Self::schema(), columns)
            .map_err(|error| Error::internal(error.to_string()))
    }

    /// The parts that rows describe.
    pub fn from_rows(rows: &RecordBatch) -> Result<Vec<Self>> {
        if rows.schema() != Self::schema() {
            return Err(Error::internal("rows that describe no parts"));
        }
        let number = |column: usize| rows.column(column).as_primitive::<UInt64Type>();
        let text = |column: usize| rows.column(column).as_string::<i32>();
        let part = |row: usize| Self {
            chunk: number(0).value(row),
            file: text(1).value(row).to_owned(),
            rows: number(2).value(row),
            bytes: number(3).value(row),
            sha256: text(4).value(row).to_owned(),
            token: text(5).value(row).to_owned(),
        };
        Ok((0..rows.num_rows()).map(part).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_survives_as_a_row() {
        let part = Part {
            chunk: 7,
            file: "part-7".into(),
            rows: 3,
            bytes: 99,
            sha256: "ab".into(),
            token: "t".into(),
        };
        assert_eq!(Part::from_rows(&part.to_row().unwrap()).unwrap(), [part]);
    }
}
