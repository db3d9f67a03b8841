//! A value's bytes, as they are hashed: text and bytes as they are, numbers in decimal, dates and
//! timestamps as the count that Arrow keeps.

use std::fmt::Display;
use std::io::Write;

use longshore_sdk::array::builder::BinaryBuilder;
use longshore_sdk::array::cast::AsArray;
use longshore_sdk::array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use longshore_sdk::array::{Array, ArrayRef, BinaryArray};
use longshore_sdk::buffer::OffsetBuffer;
use longshore_sdk::schema::{DataType, TimeUnit};
use longshore_sdk::{Error, Result};

pub(crate) fn is_supported(data_type: &DataType) -> bool {
    use DataType::{
        Binary, Date32, Decimal128, FixedSizeBinary, Int16, Int32, Int64, LargeUtf8, Timestamp,
        Utf8, Utf8View,
    };
    matches!(
        data_type,
        Utf8 | LargeUtf8
            | Utf8View
            | Binary
            | FixedSizeBinary(_)
            | Int16
            | Int32
            | Int64
            | Date32
            | Decimal128(..)
            | Timestamp(TimeUnit::Microsecond, _)
    )
}

pub(crate) fn bytes(column: &ArrayRef) -> Result<BinaryArray> {
    Ok(match column.data_type() {
        DataType::Binary => column.as_binary::<i32>().clone(),
        DataType::Utf8 => {
            let (offsets, texts, nulls) = column.as_string::<i32>().clone().into_parts();
            BinaryArray::new(offsets, texts, nulls)
        }
        DataType::LargeUtf8 => column.as_string::<i64>().iter().map(of_text).collect(),
        DataType::Utf8View => column.as_string_view().iter().map(of_text).collect(),
        DataType::FixedSizeBinary(size) => {
            let (size, rows) = (*size as usize, column.len());
            let values = column.as_fixed_size_binary().values().clone();
            let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(size, rows));
            BinaryArray::try_new(offsets, values, column.nulls().cloned())?
        }
        DataType::Int16 => numbers::<Int16Type>(column),
        DataType::Int32 => numbers::<Int32Type>(column),
        DataType::Int64 => numbers::<Int64Type>(column),
        DataType::Date32 => numbers::<Date32Type>(column),
        DataType::Decimal128(..) => numbers::<Decimal128Type>(column),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            numbers::<TimestampMicrosecondType>(column)
        }
        other => return Err(Error::internal(format!("{other} passed the check at opening"))),
    })
}

fn of_text(text: Option<&str>) -> Option<&[u8]> {
    text.map(str::as_bytes)
}

fn numbers<T: ArrowPrimitiveType<Native: Display>>(column: &ArrayRef) -> BinaryArray {
    let mut texts = BinaryBuilder::with_capacity(column.len(), 8 * column.len());
    for value in column.as_primitive::<T>() {
        if let Some(value) = value {
            // Writing to memory cannot fail.
            let _ = write!(texts, "{value}");
            texts.append_value(b"");
        } else {
            texts.append_null();
        }
    }
    texts.finish()
}
