//! Rows of every common type, with nulls, for what has no source of its own.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array,
    Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use longshore_model::error::{Error, Result};

/// Columns `id`, `number`, `amount`, `ratio`, `flag`, `text`, `note`, `bytes`, `day` and `at`; all but
/// the first have nulls.
pub(super) fn sample(rows: i64) -> Result<RecordBatch> {
    let every = |n: i64, step: i64| (n % step != 0).then_some(n);
    let texts = ["", " a b ", "naïve ☃ 𝄞", "x'y\"z\\", "\t", "UPPER lower"];
    let text = |n: i64| every(n, 5).map(|n| texts[n as usize % texts.len()].repeat(n as usize % 3));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..rows))),
        (
            "number",
            (0..rows).map(|n| every(n, 3).map(|n| n as i32 - 7)).collect::<Int32Array>().into_ref(),
        ),
        (
            "amount",
            Arc::new(
                (0..rows)
                    .map(|n| every(n, 4).map(|n| i128::from(n) * 1_001 - 5))
                    .collect::<Decimal128Array>()
                    .with_precision_and_scale(15, 2)
                    .map_err(|error| Error::internal(error.to_string()))?,
            ),
        ),
        (
            "ratio",
            (0..rows)
                .map(|n| every(n, 6).map(|n| n as f64 / 3.0))
                .collect::<Float64Array>()
                .into_ref(),
        ),
        (
            "flag",
            (0..rows).map(|n| every(n, 7).map(|n| n % 2 == 0)).collect::<BooleanArray>().into_ref(),
        ),
        ("text", (0..rows).map(text).collect::<StringArray>().into_ref()),
        ("note", (0..rows).map(|n| text(n + 1)).collect::<StringArray>().into_ref()),
        (
            "bytes",
            (0..rows)
                .map(|n| every(n, 8).map(|n| n.to_be_bytes()))
                .collect::<BinaryArray>()
                .into_ref(),
        ),
        (
            "day",
            (0..rows)
                .map(|n| every(n, 9).map(|n| n as i32 * 97 - 9_000))
                .collect::<Date32Array>()
                .into_ref(),
        ),
        (
            "at",
            (0..rows)
                .map(|n| every(n, 10).map(|n| n * 86_399_999_999))
                .collect::<TimestampMicrosecondArray>()
                .into_ref(),
        ),
    ];
    let nullable = columns.into_iter().map(|(name, column)| (name, column, name != "id"));
    RecordBatch::try_from_iter_with_nullable(nullable)
        .map_err(|error| Error::internal(error.to_string()))
}

trait IntoRef {
    fn into_ref(self) -> ArrayRef;
}

impl<A: arrow::array::Array + 'static> IntoRef for A {
    fn into_ref(self) -> ArrayRef {
        Arc::new(self)
    }
}
