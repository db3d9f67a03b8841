//! What was written of a chunk, as rows: a plan gives one for each part, and one for what the checks found.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use longshore_model::error::{Error, Result};
use longshore_model::part::Part;

use crate::check::ChunkChecks;
use crate::scan::LeftOut;

/// What was written of a chunk, or of several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WriteResult {
    /// The parts.
    pub parts: Vec<Part>,
    /// What the checks found, if there are any.
    pub checks: Option<ChunkChecks>,
    /// The rows of it that could not be read and were left out.
    pub left_out: LeftOut,
}

impl From<Vec<Part>> for WriteResult {
    fn from(parts: Vec<Part>) -> Self {
        Self { parts, ..Self::default() }
    }
}

impl WriteResult {
    /// Adds what was written of a later chunk.
    pub fn merge(&mut self, later: Self) -> Result<()> {
        self.parts.extend(later.parts);
        self.left_out.append(later.left_out);
        match (&mut self.checks, later.checks) {
            (Some(checks), Some(later)) => return checks.merge(later),
            (checks, later) => *checks = checks.take().or(later),
        }
        Ok(())
    }

    /// It as rows.
    pub fn to_rows(&self) -> Result<Vec<RecordBatch>> {
        let checks = self.checks.iter().map(checks_to_row);
        self.parts.iter().map(|part| to_row(part, None)).chain(checks).collect()
    }

    /// Reads parts back from rows.
    pub fn from_rows(rows: &RecordBatch) -> Result<Self> {
        if rows.schema() != part_schema() {
            return Err(Error::internal("rows that describe no parts"));
        }
        let mut written = Self::default();
        for row in 0..rows.num_rows() {
            if rows.column(CHECKS).is_null(row) {
                written.parts.push(part(rows, row));
            } else {
                written.merge(Self { checks: Some(checks(rows, row)?), ..Self::default() })?;
            }
        }
        Ok(written)
    }
}

/// The column of what the checks found.
const CHECKS: usize = 6;

/// The schema of the rows.
pub fn part_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            Field::new("chunk", DataType::UInt64, false),
            Field::new("file", DataType::Utf8, false),
            Field::new("rows", DataType::UInt64, false),
            Field::new("bytes", DataType::UInt64, false),
            Field::new("checksum", DataType::Utf8, true),
            Field::new("token", DataType::Utf8, false),
            // JSON; a row that has it describes no part.
            Field::new("checks", DataType::Utf8, true),
        ]))
    });
    SCHEMA.clone()
}

fn checks_to_row(checks: &ChunkChecks) -> Result<RecordBatch> {
    let (file, token) = (String::new(), String::new());
    let none = Part { chunk: 0, file, rows: checks.rows, bytes: 0, checksum: None, token };
    to_row(&none, Some(serde_json::to_string(checks)?))
}

fn to_row(part: &Part, checks: Option<String>) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from(vec![part.chunk])),
        Arc::new(StringArray::from(vec![part.file.as_str()])),
        Arc::new(UInt64Array::from(vec![part.rows])),
        Arc::new(UInt64Array::from(vec![part.bytes])),
        Arc::new(StringArray::from(vec![part.checksum.as_ref().map(ToString::to_string)])),
        Arc::new(StringArray::from(vec![part.token.as_str()])),
        Arc::new(StringArray::from(vec![checks])),
    ];
    RecordBatch::try_new(part_schema(), columns).map_err(|error| Error::internal(error.to_string()))
}

fn part(rows: &RecordBatch, row: usize) -> Part {
    let number = |column: usize| rows.column(column).as_primitive::<UInt64Type>().value(row);
    let text = |column: usize| rows.column(column).as_string::<i32>().value(row).to_owned();
    Part {
        chunk: number(0),
        file: text(1),
        rows: number(2),
        bytes: number(3),
        checksum: rows.column(4).is_valid(row).then(|| text(4).into()),
        token: text(5),
    }
}

fn checks(rows: &RecordBatch, row: usize) -> Result<ChunkChecks> {
    Ok(serde_json::from_str(rows.column(CHECKS).as_string::<i32>().value(row))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Measure;

    #[test]
    fn what_was_written_survives_as_rows() {
        let part = Part {
            chunk: 7,
            file: "part-7".into(),
            rows: 3,
            bytes: 99,
            checksum: Some("blake3:ab".to_owned().into()),
            token: "t".into(),
        };
        let measures = vec![Measure::Nulls(2), Measure::Count];
        let quarantine = vec![part.clone().into()];
        let checks = ChunkChecks { rows: 3, measures, quarantine, ..ChunkChecks::default() };
        let written =
            WriteResult { parts: vec![part], checks: Some(checks), ..WriteResult::default() };
        let mut again = WriteResult::default();
        for rows in written.to_rows().unwrap() {
            again.merge(WriteResult::from_rows(&rows).unwrap()).unwrap();
        }
        assert_eq!(again, written);
    }
}
