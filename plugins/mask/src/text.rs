//! A value's bytes, as they are hashed: text and bytes as they are, numbers in decimal, dates and
//! timestamps as the count that Arrow keeps.

use std::fmt::Display;
use std::io::Write;

use longshore_sdk::array::cast::AsArray;
use longshore_sdk::array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use longshore_sdk::array::{Array, ArrayRef};
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

pub(crate) fn for_each(column: &ArrayRef, mut visit: impl FnMut(Option<&[u8]>)) -> Result<()> {
    match column.data_type() {
        DataType::Utf8 => {
            column.as_string::<i32>().iter().for_each(|v| visit(v.map(str::as_bytes)))
        }
        DataType::LargeUtf8 => {
            column.as_string::<i64>().iter().for_each(|v| visit(v.map(str::as_bytes)))
        }
        DataType::Utf8View => {
            column.as_string_view().iter().for_each(|v| visit(v.map(str::as_bytes)))
        }
        DataType::Binary => column.as_binary::<i32>().iter().for_each(&mut visit),
        DataType::FixedSizeBinary(_) => column.as_fixed_size_binary().iter().for_each(&mut visit),
        DataType::Int16 => numbers::<Int16Type>(column, visit),
        DataType::Int32 => numbers::<Int32Type>(column, visit),
        DataType::Int64 => numbers::<Int64Type>(column, visit),
        DataType::Date32 => numbers::<Date32Type>(column, visit),
        DataType::Decimal128(..) => numbers::<Decimal128Type>(column, visit),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            numbers::<TimestampMicrosecondType>(column, visit)
        }
        other => return Err(Error::internal(format!("{other} passed the check at opening"))),
    }
    Ok(())
}

fn numbers<T: ArrowPrimitiveType<Native: Display>>(
    column: &ArrayRef,
    mut visit: impl FnMut(Option<&[u8]>),
) {
    let mut digits = Vec::new();
    for value in column.as_primitive::<T>() {
        digits.clear();
        // Writing to memory cannot fail.
        let _ = value.map(|value| write!(digits, "{value}"));
        visit(value.map(|_| digits.as_slice()));
    }
}
