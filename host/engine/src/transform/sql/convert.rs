//! Conversions that Arrow's casts do not have, or do otherwise: a text is read as a date, a time or a moment
//! only where it is one, and nothing of it is cut off or moved.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, FixedSizeBinaryArray, FixedSizeBinaryBuilder,
    Int64Array, PrimitiveArray, StringArray, new_null_array,
};
use arrow::compute::CastOptions;
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type, TimeUnit};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use longshore_model::error::Error;
use longshore_values::{MomentUnit, Zone, read_date, read_moment, text_column};

use crate::datafusion_fault::IntoDataFusion;

/// Bytes of a uuid.
pub(super) const UUID_BYTES: i32 = 16;

const SECONDS_PER_DAY: i64 = 86_400;

/// A conversion of one value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Conversion {
    /// A list, struct or map of this field to JSON.
    TextOfNested(FieldRef),
    TextOfUuid,
    UuidOfText,
    /// A text to a date, a time, a timestamp or a double.
    OfText(DataType),
    /// NULL to a list, struct or map; a text is none.
    NestedOfNull(DataType),
    /// A coarser timestamp to microseconds.
    Microseconds(Option<Arc<str>>),
}

impl Conversion {
    /// Of an expression; what cannot be converted is an error.
    pub(super) fn of(self, arg: Expr) -> Expr {
        self.call(arg, false)
    }

    /// Of an expression; what cannot be converted is NULL.
    pub(super) fn or_null(self, arg: Expr) -> Expr {
        self.call(arg, true)
    }

    fn call(self, arg: Expr, or_null: bool) -> Expr {
        let signature = Signature::any(1, Volatility::Immutable);
        let function = ScalarUDF::new_from_impl(Convert { what: self, or_null, signature });
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![arg]))
    }
}

/// A conversion, as DataFusion calls it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Convert {
    what: Conversion,
    or_null: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Convert {
    fn name(&self) -> &str {
        match self.what {
            Conversion::TextOfNested(_) => "json_text",
            Conversion::TextOfUuid => "uuid_text",
            Conversion::UuidOfText => "uuid_of_text",
            Conversion::OfText(_) => "read_text",
            Conversion::NestedOfNull(_) => "nested_of_null",
            Conversion::Microseconds(_) => "microseconds",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(match &self.what {
            Conversion::TextOfNested(_) | Conversion::TextOfUuid => DataType::Utf8,
            Conversion::UuidOfText => DataType::FixedSizeBinary(UUID_BYTES),
            Conversion::OfText(to) | Conversion::NestedOfNull(to) => to.clone(),
            Conversion::Microseconds(zone) => {
                DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
            }
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let values = &arrays[0];
        Ok(ColumnarValue::Array(match &self.what {
            Conversion::TextOfNested(field) => text_column(field, values)?
                .ok_or_else(|| DataFusionError::Internal("no nested value".into()))?,
            Conversion::TextOfUuid => texts_of_uuids(values)?,
            Conversion::UuidOfText => uuids_of_texts(values)?,
            Conversion::OfText(DataType::Float64) => {
                numbers_of_texts::<Float64Type>(values, self.or_null)?
            }
            Conversion::OfText(DataType::Float32) => {
                numbers_of_texts::<Float32Type>(values, self.or_null)?
            }
            Conversion::OfText(to) => moments_of_texts(values, to, self.or_null)?,
            Conversion::NestedOfNull(to) => nested_of_nulls(values, to, self.or_null)?,
            Conversion::Microseconds(_) => {
                let options = CastOptions { safe: false, ..CastOptions::default() };
                arrow::compute::cast_with_options(values, args.return_type(), &options)?
            }
        }))
    }
}

/// As PostgreSQL reads them: with or without hyphens and braces, in any case.
pub(super) fn read_uuid(text: &str) -> Option<Vec<u8>> {
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let digits: Vec<u8> = inner.bytes().filter(|byte| *byte != b'-').collect();
    let (pairs, rest) = digits.as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| Some((digit(*high)? * 16 + digit(*low)?) as u8)).collect();
    bytes.filter(|bytes| rest.is_empty() && bytes.len() == UUID_BYTES as usize)
}

fn write_uuid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

fn texts_of_uuids(values: &ArrayRef) -> DfResult<ArrayRef> {
    let uuids = values.as_any().downcast_ref::<FixedSizeBinaryArray>();
    let uuids = uuids.ok_or_else(|| DataFusionError::Internal("no uuids".into()))?;
    let texts: StringArray = uuids.iter().map(|uuid| uuid.map(write_uuid)).collect();
    Ok(Arc::new(texts))
}

fn uuids_of_texts(values: &ArrayRef) -> DfResult<ArrayRef> {
    let texts = arrow::compute::cast(values, &DataType::Utf8)?;
    let mut uuids = FixedSizeBinaryBuilder::with_capacity(texts.len(), UUID_BYTES);
    for text in texts.as_string::<i32>() {
        let Some(text) = text else {
            uuids.append_null();
            continue;
        };
        let bytes = read_uuid(text)
            .ok_or_else(|| Error::data(format!("'{text}' is no uuid")).external())?;
        uuids.append_value(bytes)?;
    }
    Ok(Arc::new(uuids.finish()))
}

fn nested_of_nulls(values: &ArrayRef, to: &DataType, or_null: bool) -> DfResult<ArrayRef> {
    let text = arrow::compute::cast(values, &DataType::Utf8)?;
    if !or_null && let Some(text) = text.as_string::<i32>().iter().flatten().next() {
        return Err(unreadable(&to.to_string(), text));
    }
    Ok(new_null_array(to, values.len()))
}

fn moments_of_texts(values: &ArrayRef, to: &DataType, or_null: bool) -> DfResult<ArrayRef> {
    let texts = arrow::compute::cast(values, &DataType::Utf8)?;
    let read = |text: Option<&str>| {
        let Some(text) = text else { return Ok(None) };
        let value = read_as(text.trim(), to);
        if value.is_none() && !or_null {
            return Err(unreadable(name_of(to), text));
        }
        Ok(value)
    };
    let read = texts.as_string::<i32>().iter().map(read);
    let numbers: ArrayRef = Arc::new(read.collect::<DfResult<Int64Array>>()?);
    let width = match to {
        DataType::Date32 | DataType::Time32(_) => arrow::compute::cast(&numbers, &DataType::Int32)?,
        _ => numbers,
    };
    Ok(arrow::compute::cast(&width, to)?)
}

fn numbers_of_texts<T>(values: &ArrayRef, or_null: bool) -> DfResult<ArrayRef>
where
    T: ArrowPrimitiveType<Native: FromStr + Into<f64>>,
{
    let texts = arrow::compute::cast(values, &DataType::Utf8)?;
    let read = |text: Option<&str>| {
        let Some(text) = text else { return Ok(None) };
        let number = text.trim().parse().ok().filter(|number: &T::Native| {
            // What is too large is no number; what says so is.
            let number: f64 = (*number).into();
            !number.is_infinite() || text.to_ascii_lowercase().contains("inf")
        });
        if number.is_none() && !or_null {
            return Err(unreadable("double", text));
        }
        Ok(number)
    };
    let read = texts.as_string::<i32>().iter().map(read).collect::<DfResult<Vec<_>>>()?;
    Ok(Arc::new(PrimitiveArray::<T>::from_iter(read)))
}

/// The error of a text that cannot be read as what it is cast to.
pub(super) fn unreadable(what: &str, text: &str) -> DataFusionError {
    let example = match what {
        "date" => "'2026-11-20'",
        "time" => "'10:00:00', with up to six digits of a second",
        "double" => "'1.5' or '1e20'",
        _ => "'2026-11-20 10:00:00', with up to six digits of a second",
    };
    Error::data(format!("'{text}' is no {what}"))
        .with_hint(format!("write it as {example}; of a column, TRY_CAST gives NULL instead"))
        .external()
}

fn name_of(to: &DataType) -> &'static str {
    match to {
        DataType::Date32 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time",
        _ => "timestamp",
    }
}

/// In the type's own unit.
fn read_as(text: &str, to: &DataType) -> Option<i64> {
    match to {
        DataType::Date32 => read_day(text),
        DataType::Time32(unit) | DataType::Time64(unit) => {
            read_sql_moment(&format!("1970-01-01 {text}"), unit_of(*unit), false)
        }
        DataType::Timestamp(unit, zone) => read_sql_moment(text, unit_of(*unit), zone.is_some()),
        _ => None,
    }
}

/// A date, or that of a moment as it is written, whatever its zone.
fn read_day(text: &str) -> Option<i64> {
    let is_moment = |has_zone| read_sql_moment(text, MomentUnit::Nanosecond, has_zone).is_some();
    let date = match text.split_once([' ', 'T']) {
        Some((date, _)) if is_moment(false) || is_moment(true) => date,
        _ => text,
    };
    read_date(date.as_bytes())
}

pub(crate) fn unit_of(unit: TimeUnit) -> MomentUnit {
    match unit {
        TimeUnit::Second => MomentUnit::Second,
        TimeUnit::Millisecond => MomentUnit::Millisecond,
        TimeUnit::Microsecond => MomentUnit::Microsecond,
        TimeUnit::Nanosecond => MomentUnit::Nanosecond,
    }
}

/// A moment as SQL has it: a date, or a date and a time to the minute at least.
pub(super) fn read_sql_moment(text: &str, unit: MomentUnit, has_zone: bool) -> Option<i64> {
    let text = text.trim();
    if let Some(days) = read_date(text.as_bytes()) {
        return days.checked_mul(SECONDS_PER_DAY)?.checked_mul(per_second(unit));
    }
    let read = |text: &str, zone| read_moment(text.as_bytes(), unit, zone);
    // Without seconds they are none; without a zone it is the session's, UTC.
    let with_seconds = |text: &str| {
        let (date, clock) = text.split_once([' ', 'T'])?;
        let (minutes, rest) = (clock.get(..5)?, clock.get(5..)?);
        Some(format!("{date} {minutes}:00{rest}"))
    };
    let texts = [Some(text.to_owned()), with_seconds(text)];
    texts.iter().flatten().find_map(|text| {
        read(text, Zone::None).or_else(|| has_zone.then(|| read(text, Zone::Offset(0))).flatten())
    })
}

fn per_second(unit: MomentUnit) -> i64 {
    10_i64.pow(unit.digits() as u32)
}
