//! Values that their types do not allow, in Arrow data of others: writers would change them in silence. A decimal of more
//! digits than its type has lost digits as text, and NULL among the values of a dictionary was written as a value.

use std::fmt;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, DictionaryArray, FixedSizeListArray,
    GenericListArray, MapArray, OffsetSizeTrait, PrimitiveArray, RecordBatch, RecordBatchOptions,
    StructArray,
};
use arrow::compute::{max, min};
use arrow::datatypes::{
    ArrowDictionaryKeyType, ArrowNumericType, DataType, Decimal32Type, Decimal64Type,
    Decimal128Type, Decimal256Type, DecimalType, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit,
};
use arrow::downcast_dictionary_array;
use arrow::error::ArrowError;

/// The next step for whoever has such a file.
pub(crate) const WIDER_TYPE: &str = "write the file again with a type that holds its values";

/// A value that its type does not allow.
#[derive(Debug)]
pub(crate) struct Unsound {
    column: String,
    cause: String,
}

impl fmt::Display for Unsound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column `{}`: {}", self.column, self.cause)
    }
}

/// The batch, whose NULLs are NULLs for every writer; or a value that its type does not allow.
pub(crate) fn sound(batch: RecordBatch) -> Result<RecordBatch, Unsound> {
    if !batch.columns().iter().any(|column| is_sought(column.data_type())) {
        return Ok(batch);
    }
    let (schema, rows) = (batch.schema(), batch.num_rows());
    let mut columns = batch.columns().to_vec();
    let mut is_changed = false;
    for (field, column) in schema.fields().iter().zip(&mut columns) {
        let unsound = |cause| Unsound { column: field.name().clone(), cause };
        if let Some(mended) = mended(column).map_err(unsound)? {
            *column = mended;
            is_changed = true;
        }
    }
    if !is_changed {
        return Ok(batch);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let rebuilt = RecordBatch::try_new_with_options(schema, columns, &options);
    rebuilt.map_err(|error| Unsound { column: String::new(), cause: error.to_string() })
}

/// Whether a column of this type can hold such a value.
fn is_sought(data_type: &DataType) -> bool {
    use DataType::*;
    match data_type {
        Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..) | Time32(_) | Time64(_)
        | Dictionary(..) => true,
        List(field) | LargeList(field) | FixedSizeList(field, _) | Map(field, _) => {
            is_sought(field.data_type())
        }
        Struct(fields) => fields.iter().any(|field| is_sought(field.data_type())),
        _ => false,
    }
}

/// The same values, where some had to be put otherwise.
fn mended(array: &ArrayRef) -> Result<Option<ArrayRef>, String> {
    if !is_sought(array.data_type()) {
        return Ok(None);
    }
    match array.data_type() {
        DataType::Decimal32(..) => check_digits::<Decimal32Type>(array),
        DataType::Decimal64(..) => check_digits::<Decimal64Type>(array),
        DataType::Decimal128(..) => check_digits::<Decimal128Type>(array),
        DataType::Decimal256(..) => check_digits::<Decimal256Type>(array),
        DataType::Time32(TimeUnit::Second) => check_time::<Time32SecondType>(array),
        DataType::Time32(_) => check_time::<Time32MillisecondType>(array),
        DataType::Time64(TimeUnit::Microsecond) => check_time::<Time64MicrosecondType>(array),
        DataType::Time64(_) => check_time::<Time64NanosecondType>(array),
        DataType::Dictionary(..) => mended_dictionary(array),
        DataType::List(_) => mended_list::<i32>(array),
        DataType::LargeList(_) => mended_list::<i64>(array),
        DataType::FixedSizeList(field, size) => {
            let list = array.as_fixed_size_list();
            let nulls = list.nulls().cloned();
            let rebuilt = |values| FixedSizeListArray::try_new(field.clone(), *size, values, nulls);
            with_child(list.values(), rebuilt)
        }
        DataType::Map(field, is_sorted) => {
            let map = array.as_map();
            let entries: ArrayRef = Arc::new(map.entries().clone());
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            let rebuilt = |entries: ArrayRef| {
                let entries = entries.as_struct().clone();
                MapArray::try_new(field.clone(), offsets, entries, nulls, *is_sorted)
            };
            with_child(&entries, rebuilt)
        }
        DataType::Struct(fields) => {
            let own = array.as_struct();
            let (mut columns, mut is_changed) = (own.columns().to_vec(), false);
            for column in &mut columns {
                if let Some(mended) = mended(column)? {
                    *column = mended;
                    is_changed = true;
                }
            }
            let rebuilt = || StructArray::try_new(fields.clone(), columns, own.nulls().cloned());
            if is_changed { as_changed(rebuilt()) } else { Ok(None) }
        }
        _ => Ok(None),
    }
}

fn as_changed(
    rebuilt: Result<impl Array + 'static, ArrowError>,
) -> Result<Option<ArrayRef>, String> {
    let rebuilt = rebuilt.map_err(|error| error.to_string())?;
    Ok(Some(Arc::new(rebuilt)))
}

/// An array of children that are put otherwise.
fn with_child<A: Array + 'static>(
    child: &ArrayRef,
    rebuilt: impl FnOnce(ArrayRef) -> Result<A, ArrowError>,
) -> Result<Option<ArrayRef>, String> {
    match mended(child)? {
        Some(child) => as_changed(rebuilt(child)),
        None => Ok(None),
    }
}

fn mended_list<O: OffsetSizeTrait>(array: &ArrayRef) -> Result<Option<ArrayRef>, String> {
    let list = array.as_list::<O>();
    let (DataType::List(field) | DataType::LargeList(field)) = list.data_type() else {
        return Ok(None);
    };
    let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
    let rebuilt = |values| GenericListArray::<O>::try_new(field.clone(), offsets, values, nulls);
    with_child(list.values(), rebuilt)
}

/// A dictionary whose NULLs are all among its keys.
fn mended_dictionary(array: &ArrayRef) -> Result<Option<ArrayRef>, String> {
    downcast_dictionary_array!(
        array => with_null_keys(array),
        _ => Ok(None)
    )
}

fn with_null_keys<K: ArrowDictionaryKeyType>(
    array: &DictionaryArray<K>,
) -> Result<Option<ArrayRef>, String> {
    let values = mended(array.values())?;
    let has_nulls = array.values().logical_null_count() > 0;
    if values.is_none() && !has_nulls {
        return Ok(None);
    }
    let keys = PrimitiveArray::<K>::try_new(array.keys().values().clone(), array.logical_nulls());
    let keys = keys.map_err(|error| error.to_string())?;
    as_changed(DictionaryArray::try_new(keys, values.unwrap_or_else(|| array.values().clone())))
}

fn check_digits<T: DecimalType + ArrowNumericType>(
    array: &ArrayRef,
) -> Result<Option<ArrayRef>, String> {
    let decimals = array.as_primitive::<T>();
    let (precision, scale) = (decimals.precision(), decimals.scale());
    for value in ends(decimals).into_iter().flatten() {
        if !T::is_valid_decimal_precision(value, precision) {
            let text = T::format_decimal(value, T::MAX_PRECISION, scale);
            return Err(format!("{text} has more digits than {}", array.data_type()));
        }
    }
    Ok(None)
}

fn check_time<T: ArrowNumericType<Native: Into<i64>>>(
    array: &ArrayRef,
) -> Result<Option<ArrayRef>, String> {
    let earliest = min(array.as_primitive::<T>()).map(Into::into);
    match earliest {
        Some(earliest) if earliest < 0 => {
            Err(format!("a time of day before midnight, {earliest} of {}", array.data_type()))
        }
        _ => Ok(None),
    }
}

fn ends<T: ArrowPrimitiveType + ArrowNumericType>(
    array: &PrimitiveArray<T>,
) -> [Option<T::Native>; 2] {
    [min(array), max(array)]
}

#[cfg(test)]
mod tests {
    use arrow::array::{Decimal128Array, Int32Array, StringArray, Time64MicrosecondArray};
    use arrow::datatypes::{Field, Fields, Int32Type};

    use super::*;

    fn batch(column: ArrayRef) -> RecordBatch {
        RecordBatch::try_from_iter([("x", column)]).unwrap()
    }

    fn dictionary() -> ArrayRef {
        let values = Arc::new(StringArray::from(vec![Some("a"), None]));
        let keys = Int32Array::from(vec![Some(0), Some(1), None]);
        Arc::new(DictionaryArray::<Int32Type>::try_new(keys, values).unwrap())
    }

    #[test]
    fn nulls_of_a_dictionary_are_among_its_keys() {
        let mended = sound(batch(dictionary())).unwrap();
        let keys = mended.column(0).as_dictionary::<Int32Type>().keys().clone();
        assert_eq!(keys, Int32Array::from(vec![Some(0), None, None]));
    }

    #[test]
    fn nulls_of_a_dictionary_within_a_struct_are_found() {
        let inner = dictionary();
        let fields = Fields::from(vec![Field::new("d", inner.data_type().clone(), true)]);
        let column = StructArray::try_new(fields, vec![inner], None).unwrap();
        let mended = sound(batch(Arc::new(column))).unwrap();
        let keys = mended.column(0).as_struct().column(0).as_dictionary::<Int32Type>().keys();
        assert_eq!(keys.null_count(), 2);
    }

    #[test]
    fn a_decimal_of_more_digits_than_its_type_is_told_with_all_of_them() {
        let decimals = |values: Vec<Option<i128>>| -> ArrayRef {
            let array = Decimal128Array::from(values);
            Arc::new(array.with_data_type(DataType::Decimal128(3, 2)))
        };
        assert!(sound(batch(decimals(vec![Some(999), None, Some(-999)]))).is_ok());
        let error = sound(batch(decimals(vec![Some(5), Some(-12_345)]))).unwrap_err();
        assert_eq!(error.to_string(), "column `x`: -123.45 has more digits than Decimal128(3, 2)");
    }

    #[test]
    fn a_time_of_day_is_not_before_midnight() {
        let times = |value| batch(Arc::new(Time64MicrosecondArray::from(vec![value])));
        assert!(sound(times(86_400_000_000)).is_ok(), "24:00, as PostgreSQL has it");
        assert!(sound(times(-1)).is_err());
    }
}
