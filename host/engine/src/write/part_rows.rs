//! Parts as rows: what a plan gives for each that was written.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use longshore_model::error::{Error, Result};
use longshore_model::part::Part;

/// The schema of the rows that describe parts.
pub fn part_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            Field::new("chunk", DataType::UInt64, false),
            Field::new("file", DataType::Utf8, false),
            Field::new("rows", DataType::UInt64, false),
            Field::new("bytes", DataType::UInt64, false),
            Field::new("checksum", DataType::Utf8, true),
            Field::new("token", DataType::Utf8, false),
        ]))
    });
    SCHEMA.clone()
}

/// The part as one row.
pub fn part_to_row(part: &Part) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from(vec![part.chunk])),
        Arc::new(StringArray::from(vec![part.file.as_str()])),
        Arc::new(UInt64Array::from(vec![part.rows])),
        Arc::new(UInt64Array::from(vec![part.bytes])),
        Arc::new(StringArray::from(vec![part.checksum.as_ref().map(ToString::to_string)])),
        Arc::new(StringArray::from(vec![part.token.as_str()])),
    ];
    RecordBatch::try_new(part_schema(), columns).map_err(|error| Error::internal(error.to_string()))
}

/// The parts that rows describe.
pub fn parts_of(rows: &RecordBatch) -> Result<Vec<Part>> {
    if rows.schema() != part_schema() {
        return Err(Error::internal("rows that describe no parts"));
    }
    let number = |column: usize| rows.column(column).as_primitive::<UInt64Type>();
    let text = |column: usize| rows.column(column).as_string::<i32>();
    let part = |row: usize| Part {
        chunk: number(0).value(row),
        file: text(1).value(row).to_owned(),
        rows: number(2).value(row),
        bytes: number(3).value(row),
        checksum: rows.column(4).is_valid(row).then(|| text(4).value(row).to_owned().into()),
        token: text(5).value(row).to_owned(),
    };
    Ok((0..rows.num_rows()).map(part).collect())
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
            checksum: Some("blake3:ab".to_owned().into()),
            token: "t".into(),
        };
        assert_eq!(parts_of(&part_to_row(&part).unwrap()).unwrap(), [part]);
    }
}
