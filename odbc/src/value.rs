//! From what a driver gives to Arrow: numbers and moments out of its own structures, everything of any
//! length out of bytes.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, ArrowPrimitiveType};
use arrow_schema::{DataType, TimeUnit};
use longshore_odbc_wire::Fetch;
use odbc_api::buffers::{AnyColumnBufferSlice, BufferDesc};
use odbc_api::sys::{Date, NULL_DATA, Timestamp};

use crate::fault::{Result, Trouble};
use crate::text;

/// How a column's values become Arrow.
pub enum Values {
    /// Of the driver's structures, all as long.
    Fixed(Box<dyn Fixed>),
    /// Of bytes.
    Bytes(Box<dyn Bytes>),
}

/// Values of structures.
pub trait Fixed {
    /// What the driver writes them into.
    fn buffer(&self) -> BufferDesc;
    /// Takes a block's.
    fn append(&mut self, block: AnyColumnBufferSlice<'_>) -> Result<(), Wrong>;
    /// All so far.
    fn finish(&mut self) -> ArrayRef;
}

/// Values of bytes.
pub trait Bytes {
    /// Takes one.
    fn append(&mut self, value: Option<&[u8]>) -> Result<(), Wrong>;
    /// All so far.
    fn finish(&mut self) -> ArrayRef;
}

/// A value that is not of its column's type, in words.
pub struct Wrong(pub String);

impl Values {
    /// For a column of this type.
    pub fn of(data_type: &DataType, fetch: Fetch) -> Result<Self> {
        Ok(match (data_type, fetch) {
            (DataType::Utf8, _) => Self::Bytes(Box::new(Texts(StringBuilder::new()))),
            (DataType::Binary, _) => Self::Bytes(Box::new(Blobs(BinaryBuilder::new()))),
            (DataType::Decimal128(precision, scale), _) => {
                let (precision, scale) = (*precision, *scale);
                read::<Decimal128Type>(data_type, move |t| text::decimal(t, precision, scale))
            }
            (DataType::Time64(TimeUnit::Microsecond), _) => {
                read::<Time64MicrosecondType>(data_type, |t| text::time_of_day(t, MICROS))
            }
            (DataType::Time64(TimeUnit::Nanosecond), _) => {
                read::<Time64NanosecondType>(data_type, |t| text::time_of_day(t, NANOS))
            }
            (DataType::UInt64, _) => number::<UInt64Type>(data_type),
            (_, Fetch::Native) => native(data_type)?,
            (_, Fetch::Text | Fetch::Wide) => from_text(data_type)?,
        })
    }

    /// What the driver writes structures into.
    pub fn buffer(&self) -> BufferDesc {
        match self {
            Self::Fixed(values) => values.buffer(),
            Self::Bytes(_) => BufferDesc::Text { max_str_len: 1 },
        }
    }

    /// All so far.
    pub fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Fixed(values) => values.finish(),
            Self::Bytes(values) => values.finish(),
        }
    }
}

const MILLIS: i64 = 1_000;
const MICROS: i64 = 1_000_000;
const NANOS: i64 = 1_000_000_000;

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => MILLIS,
        TimeUnit::Microsecond => MICROS,
        TimeUnit::Nanosecond => NANOS,
    }
}

fn unknown(data_type: &DataType) -> Trouble {
    Trouble::own(format!("no ODBC value becomes {data_type}"))
}

fn native(data_type: &DataType) -> Result<Values> {
    let nullable = true;
    Ok(match data_type {
        // Not as `SQL_C_BIT`, nor `SQL_C_FLOAT` below: MariaDB's driver misplaces those in blocks.
        DataType::Boolean => Values::Fixed(Box::new(Bits(BooleanBuilder::new()))),
        DataType::Int8 => fixed::<_, Int8Type>(data_type, BufferDesc::I8 { nullable }, Some),
        DataType::Int16 => fixed::<_, Int16Type>(data_type, BufferDesc::I16 { nullable }, Some),
        DataType::Int32 => fixed::<_, Int32Type>(data_type, BufferDesc::I32 { nullable }, Some),
        DataType::Int64 => fixed::<_, Int64Type>(data_type, BufferDesc::I64 { nullable }, Some),
        DataType::UInt8 => fixed::<_, UInt8Type>(data_type, BufferDesc::U8 { nullable }, Some),
        DataType::UInt16 => {
            let narrow = |value: i32| u16::try_from(value).ok();
            fixed::<_, UInt16Type>(data_type, BufferDesc::I32 { nullable }, narrow)
        }
        DataType::UInt32 => {
            let narrow = |value: i64| u32::try_from(value).ok();
            fixed::<_, UInt32Type>(data_type, BufferDesc::I64 { nullable }, narrow)
        }
        DataType::Float32 => {
            let narrow = |value: f64| Some(value as f32);
            fixed::<_, Float32Type>(data_type, BufferDesc::F64 { nullable }, narrow)
        }
        DataType::Float64 => fixed::<_, Float64Type>(data_type, BufferDesc::F64 { nullable }, Some),
        DataType::Date32 => {
            fixed::<Date, Date32Type>(data_type, BufferDesc::Date { nullable }, text::days)
        }
        DataType::Timestamp(unit, _) => {
            let per_second = per_second(*unit);
            let read = move |at: Timestamp| text::moment(at, per_second);
            let buffer = BufferDesc::Timestamp { nullable };
            match unit {
                TimeUnit::Second => fixed::<_, TimestampSecondType>(data_type, buffer, read),
                TimeUnit::Millisecond => {
                    fixed::<_, TimestampMillisecondType>(data_type, buffer, read)
                }
                TimeUnit::Microsecond => {
                    fixed::<_, TimestampMicrosecondType>(data_type, buffer, read)
                }
                TimeUnit::Nanosecond => {
                    fixed::<_, TimestampNanosecondType>(data_type, buffer, read)
                }
            }
        }
        _ => return Err(unknown(data_type)),
    })
}

fn from_text(data_type: &DataType) -> Result<Values> {
    Ok(match data_type {
        DataType::Boolean => Values::Bytes(Box::new(ReadBits(BooleanBuilder::new()))),
        DataType::Int8 => number::<Int8Type>(data_type),
        DataType::Int16 => number::<Int16Type>(data_type),
        DataType::Int32 => number::<Int32Type>(data_type),
        DataType::Int64 => number::<Int64Type>(data_type),
        DataType::UInt8 => number::<UInt8Type>(data_type),
        DataType::UInt16 => number::<UInt16Type>(data_type),
        DataType::UInt32 => number::<UInt32Type>(data_type),
        DataType::Float32 => number::<Float32Type>(data_type),
        DataType::Float64 => number::<Float64Type>(data_type),
        DataType::Date32 => read::<Date32Type>(data_type, |t| text::days(text::date(t)?)),
        DataType::Timestamp(unit, _) => {
            let per_second = per_second(*unit);
            let moment = move |t: &[u8]| text::timestamp(t, per_second);
            match unit {
                TimeUnit::Second => read::<TimestampSecondType>(data_type, moment),
                TimeUnit::Millisecond => read::<TimestampMillisecondType>(data_type, moment),
                TimeUnit::Microsecond => read::<TimestampMicrosecondType>(data_type, moment),
                TimeUnit::Nanosecond => read::<TimestampNanosecondType>(data_type, moment),
            }
        }
        _ => return Err(unknown(data_type)),
    })
}

fn fixed<S, T>(
    data_type: &DataType,
    buffer: BufferDesc,
    read: impl Fn(S) -> Option<T::Native> + 'static,
) -> Values
where
    S: Copy + 'static,
    T: ArrowPrimitiveType,
    Structs<S, T>: Fixed,
{
    let builder = PrimitiveBuilder::<T>::new().with_data_type(data_type.clone());
    Values::Fixed(Box::new(Structs { buffer, read: Box::new(read), builder }))
}

fn number<T: ArrowPrimitiveType>(data_type: &DataType) -> Values
where
    T::Native: std::str::FromStr,
{
    read::<T>(data_type, |text| std::str::from_utf8(text.trim_ascii()).ok()?.parse().ok())
}

fn read<T: ArrowPrimitiveType>(
    data_type: &DataType,
    read: impl Fn(&[u8]) -> Option<T::Native> + 'static,
) -> Values {
    let builder = PrimitiveBuilder::<T>::new().with_data_type(data_type.clone());
    Values::Bytes(Box::new(Read { read: Box::new(read), builder }))
}

/// Values of one of the driver's structures.
struct Structs<S, T: ArrowPrimitiveType> {
    buffer: BufferDesc,
    read: Box<dyn Fn(S) -> Option<T::Native>>,
    builder: PrimitiveBuilder<T>,
}

impl<S, T> Fixed for Structs<S, T>
where
    S: odbc_api::Pod + Copy + std::fmt::Debug + Default,
    T: ArrowPrimitiveType,
{
    fn buffer(&self) -> BufferDesc {
        self.buffer
    }

    fn append(&mut self, block: AnyColumnBufferSlice<'_>) -> Result<(), Wrong> {
        let (values, lengths) = nullable::<S>(block)?;
        for (value, length) in values.iter().zip(lengths) {
            if *length == NULL_DATA {
                self.builder.append_null()
            } else {
                let read = (self.read)(*value).ok_or_else(|| wrong(format!("{value:?}")))?;
                self.builder.append_value(read);
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.builder.finish())
    }
}

fn nullable<S: odbc_api::Pod>(block: AnyColumnBufferSlice<'_>) -> Result<(&[S], &[isize]), Wrong> {
    let slice = block.as_nullable_slice::<S>();
    slice.map(|slice| slice.raw_values()).ok_or_else(|| wrong("a buffer of another kind".into()))
}

fn wrong(what: String) -> Wrong {
    Wrong(what)
}

struct Bits(BooleanBuilder);

impl Fixed for Bits {
    fn buffer(&self) -> BufferDesc {
        BufferDesc::I8 { nullable: true }
    }

    fn append(&mut self, block: AnyColumnBufferSlice<'_>) -> Result<(), Wrong> {
        let (values, lengths) = nullable::<i8>(block)?;
        for (value, length) in values.iter().zip(lengths) {
            match (*length == NULL_DATA, value) {
                (true, _) => self.0.append_null(),
                (false, 0 | 1) => self.0.append_value(*value == 1),
                (false, other) => return Err(Wrong(other.to_string())),
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}

/// Reads a value from a text; nothing if it is none.
type ReadText<V> = dyn Fn(&[u8]) -> Option<V>;

/// Values that are read from texts.
struct Read<T: ArrowPrimitiveType> {
    read: Box<ReadText<T::Native>>,
    builder: PrimitiveBuilder<T>,
}

impl<T: ArrowPrimitiveType> Bytes for Read<T> {
    fn append(&mut self, value: Option<&[u8]>) -> Result<(), Wrong> {
        match value {
            None => self.builder.append_null(),
            Some(value) => {
                let read = (self.read)(value).ok_or_else(|| shown(value))?;
                self.builder.append_value(read);
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.builder.finish())
    }
}

struct ReadBits(BooleanBuilder);

impl Bytes for ReadBits {
    fn append(&mut self, value: Option<&[u8]>) -> Result<(), Wrong> {
        let bit = |value: &[u8]| match value.trim_ascii().to_ascii_lowercase().as_slice() {
            b"1" | b"t" | b"true" | b"y" | b"yes" => Ok(true),
            b"0" | b"f" | b"false" | b"n" | b"no" => Ok(false),
            _ => Err(shown(value)),
        };
        self.0.append_option(value.map(bit).transpose()?);
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}

/// Bytes of a wrong value that are shown.
const SHOWN_BYTES: usize = 64;

fn shown(value: &[u8]) -> Wrong {
    let start = &value[..value.len().min(SHOWN_BYTES)];
    Wrong(format!("`{}`", String::from_utf8_lossy(start)))
}

struct Texts(StringBuilder);

impl Bytes for Texts {
    fn append(&mut self, value: Option<&[u8]>) -> Result<(), Wrong> {
        match value {
            None => self.0.append_null(),
            Some(value) => match std::str::from_utf8(value) {
                Ok(text) => self.0.append_value(text),
                Err(_) => {
                    let Wrong(shown) = shown(value);
                    return Err(Wrong(format!("{shown}, which is not UTF-8")));
                }
            },
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}

struct Blobs(BinaryBuilder);

impl Bytes for Blobs {
    fn append(&mut self, value: Option<&[u8]>) -> Result<(), Wrong> {
        self.0.append_option(value);
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.0.finish())
    }
}
