//! Columns of a fetch become arrays: without an allocation for each value. Several fetches make one
//! batch.

use std::sync::Arc;

use arrow_buffer::{
    BooleanBufferBuilder, Buffer, MutableBuffer, NullBuffer, OffsetBuffer, ScalarBuffer,
};
use longshore_sdk::array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimestampMicrosecondType, TimestampNanosecondType,
};
use longshore_sdk::array::{ArrayRef, BinaryArray, BooleanArray, PrimitiveArray, StringArray};
use longshore_sdk::schema::{DataType, TimeUnit};
use longshore_sdk::{Error, Result};

use crate::fault;
use crate::text;
use crate::thrift::Reader;

/// The most that one value may hold: a row is in memory several times on its way.
const VALUE_LIMIT_BYTES: usize = 96 << 20;

/// The most that a column's values may come to in one fetch.
const FETCH_LIMIT_BYTES: usize = 192 << 20;

/// Collects one column.
pub struct ColumnDecoder {
    name: String,
    data_type: DataType,
    values: Values,
    nulls: BooleanBufferBuilder,
    has_nulls: bool,
    /// Texts that are still to be understood, when it is known which of them are nulls.
    raw: Texts,
}

enum Values {
    Booleans(BooleanBufferBuilder),
    /// Of whatever width the type has.
    Fixed(MutableBuffer),
    Texts(Texts),
}

/// Texts, one behind the other.
#[derive(Default)]
struct Texts {
    ends: Vec<i32>,
    bytes: Vec<u8>,
}

impl Texts {
    fn clear(&mut self) {
        self.ends.clear();
        self.bytes.clear();
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.bytes[begin as usize..*end as usize])
    }

    fn push(&mut self, text: &[u8]) -> Result<()> {
        self.bytes.extend_from_slice(text);
        let end = i32::try_from(self.bytes.len()).map_err(|_| {
            Error::resource("a batch of texts over 2 GiB").with_hint("lower `fetch_rows`")
        })?;
        self.ends.push(end);
        Ok(())
    }
}

impl ColumnDecoder {
    pub fn new(name: &str, data_type: &DataType) -> Self {
        let values = match data_type {
            DataType::Boolean => Values::Booleans(BooleanBufferBuilder::new(0)),
            DataType::Utf8 | DataType::Binary => Values::Texts(Texts::default()),
            _ => Values::Fixed(MutableBuffer::new(0)),
        };
        Self {
            name: name.to_owned(),
            data_type: data_type.clone(),
            values,
            nulls: BooleanBufferBuilder::new(0),
            has_nulls: false,
            raw: Texts::default(),
        }
    }

    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.nulls.len()
    }

    /// Bytes so far.
    pub fn bytes(&self) -> usize {
        let values = match &self.values {
            Values::Booleans(bits) => bits.len() / 8,
            Values::Fixed(bytes) => bytes.len(),
            Values::Texts(texts) => texts.bytes.len() + texts.ends.len() * 4,
        };
        values + self.nulls.len() / 8
    }

    /// Reads a `TColumn`: a union of lists, one for each kind of value.
    pub fn read(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        reader.fields(|reader, kind, _| {
            let (mut rows, mut nulls_are_known) = (0, false);
            reader.fields(|reader, id, _| {
                match id {
                    1 => rows = self.list(reader, kind)?,
                    2 => {
                        self.nulls(reader.bytes()?, rows);
                        nulls_are_known = true;
                    }
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
            if !nulls_are_known {
                self.nulls.append_n(rows, true);
            }
            self.understand(rows)?;
            Ok(true)
        })
    }

    fn list(&mut self, reader: &mut Reader<'_>, kind: i16) -> Result<usize> {
        let (_, rows) = reader.list()?;
        match (kind, &mut self.values, &self.data_type) {
            (1, Values::Booleans(bits), _) => {
                reader.take(rows)?.iter().for_each(|byte| bits.append(*byte != 0));
            }
            (2, Values::Fixed(values), DataType::Int8) => {
                values.extend_from_slice(reader.take(rows)?)
            }
            (3, Values::Fixed(values), DataType::Int16) => {
                append::<2, i16>(values, reader, rows, i16::from_be_bytes)?;
            }
            (4, Values::Fixed(values), DataType::Int32) => {
                append::<4, i32>(values, reader, rows, i32::from_be_bytes)?;
            }
            (5, Values::Fixed(values), DataType::Int64) => {
                append::<8, i64>(values, reader, rows, i64::from_be_bytes)?;
            }
            (6, Values::Fixed(values), DataType::Float64) => {
                append::<8, f64>(values, reader, rows, f64::from_be_bytes)?;
            }
            (6, Values::Fixed(values), DataType::Float32) => {
                append::<8, f32>(values, reader, rows, |bytes| f64::from_be_bytes(bytes) as f32)?;
            }
            (7 | 8, Values::Texts(texts), _) => texts_of(&self.name, reader, rows, texts)?,
            (
                7,
                Values::Fixed(_),
                DataType::Decimal128(..) | DataType::Date32 | DataType::Timestamp(..),
            ) => {
                self.raw.clear();
                texts_of(&self.name, reader, rows, &mut self.raw)?;
            }
            (other, _, data_type) => {
                return Err(fault::protocol(format!(
                    "column `{}` of {data_type} came as list {other}",
                    self.name
                )));
            }
        }
        Ok(rows)
    }

    /// A bit for each row, the first in the lowest; what is missing at the end is zero.
    fn nulls(&mut self, bits: &[u8], rows: usize) {
        if bits.iter().all(|byte| *byte == 0) {
            self.nulls.append_n(rows, true);
            return;
        }
        self.has_nulls = true;
        for row in 0..rows {
            let is_null = bits.get(row / 8).is_some_and(|byte| byte >> (row % 8) & 1 == 1);
            self.nulls.append(!is_null);
        }
    }

    /// Turns the texts of a fetch into values.
    fn understand(&mut self, rows: usize) -> Result<()> {
        let Values::Fixed(values) = &mut self.values else { return Ok(()) };
        if self.raw.ends.is_empty() {
            return Ok(());
        }
        let first = self.nulls.len() - rows;
        for (row, value) in self.raw.iter().enumerate() {
            let value = if self.nulls.get_bit(first + row) { Some(value) } else { None };
            let place = |error: Error| error.with_context(format!("column `{}`", self.name));
            match self.data_type {
                DataType::Decimal128(precision, scale) => {
                    let parse = |value| text::decimal(value, precision, scale);
                    values.push(value.map_or(Ok(0), parse).map_err(place)?);
                }
                DataType::Date32 => values.push(value.map_or(Ok(0), text::date).map_err(place)?),
                DataType::Timestamp(unit, _) => {
                    let parse = |value| text::timestamp(value, unit);
                    values.push(value.map_or(Ok(0), parse).map_err(place)?);
                }
                _ => {}
            }
        }
        self.raw.clear();
        Ok(())
    }

    /// The column so far; starts an empty one.
    pub fn finish(&mut self) -> Result<ArrayRef> {
        let nulls = std::mem::replace(&mut self.nulls, BooleanBufferBuilder::new(0)).finish();
        let nulls = std::mem::take(&mut self.has_nulls).then(|| NullBuffer::new(nulls));
        let fresh = Self::new(&self.name, &self.data_type).values;
        match std::mem::replace(&mut self.values, fresh) {
            Values::Booleans(mut bits) => Ok(Arc::new(BooleanArray::new(bits.finish(), nulls))),
            Values::Texts(texts) => texts_array(&self.name, &self.data_type, texts, nulls),
            Values::Fixed(values) => fixed_array(&self.data_type, values.into(), nulls),
        }
    }
}

fn append<const N: usize, T: arrow_buffer::ArrowNativeType>(
    values: &mut MutableBuffer,
    reader: &mut Reader<'_>,
    rows: usize,
    native: impl Fn([u8; N]) -> T,
) -> Result<()> {
    let (bytes, _) = reader.take(rows * N)?.as_chunks::<N>();
    values.extend(bytes.iter().map(|bytes| native(*bytes)));
    Ok(())
}

fn texts_of(name: &str, reader: &mut Reader<'_>, rows: usize, texts: &mut Texts) -> Result<()> {
    for _ in 0..rows {
        let length = reader.i32()?;
        let length = usize::try_from(length)
            .map_err(|_| fault::protocol(format!("a length of {length}")))?;
        if length > VALUE_LIMIT_BYTES {
            let [value, limit] = [length, VALUE_LIMIT_BYTES].map(|bytes| bytes >> 20);
            return Err(Error::data(format!(
                "column `{name}`: a value of {value} MiB: a value may hold {limit} MiB"
            ))
            .with_hint("leave the column out, or cut its values up in a query"));
        }
        if texts.bytes.len() + length > FETCH_LIMIT_BYTES {
            let limit = FETCH_LIMIT_BYTES >> 20;
            return Err(Error::data(format!(
                "column `{name}`: more than {limit} MiB of values in one fetch"
            ))
            .with_hint("lower `source.fetch_rows`"));
        }
        texts.push(reader.take(length)?)?;
    }
    Ok(())
}

fn texts_array(
    name: &str,
    data_type: &DataType,
    texts: Texts,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let Texts { ends, bytes } = texts;
    let ends: Vec<i32> = std::iter::once(0).chain(ends).collect();
    let (offsets, bytes) = (OffsetBuffer::new(ScalarBuffer::from(ends)), Buffer::from_vec(bytes));
    let fault = |error: longshore_sdk::schema::ArrowError| {
        Error::data(format!("column `{name}`: {error}"))
            .with_hint("a text that is not UTF-8: cast it to binary in a query, or mend it")
    };
    Ok(match data_type {
        DataType::Binary => Arc::new(BinaryArray::try_new(offsets, bytes, nulls).map_err(fault)?),
        _ => Arc::new(StringArray::try_new(offsets, bytes, nulls).map_err(fault)?),
    })
}

fn fixed_array(
    data_type: &DataType,
    values: Buffer,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    fn array<T: ArrowPrimitiveType>(
        values: Buffer,
        nulls: Option<NullBuffer>,
        data_type: &DataType,
    ) -> ArrayRef {
        let values = ScalarBuffer::<T::Native>::from(values);
        Arc::new(PrimitiveArray::<T>::new(values, nulls).with_data_type(data_type.clone()))
    }
    Ok(match data_type {
        DataType::Int8 => array::<Int8Type>(values, nulls, data_type),
        DataType::Int16 => array::<Int16Type>(values, nulls, data_type),
        DataType::Int32 => array::<Int32Type>(values, nulls, data_type),
        DataType::Int64 => array::<Int64Type>(values, nulls, data_type),
        DataType::Float32 => array::<Float32Type>(values, nulls, data_type),
        DataType::Float64 => array::<Float64Type>(values, nulls, data_type),
        DataType::Date32 => array::<Date32Type>(values, nulls, data_type),
        DataType::Decimal128(..) => array::<Decimal128Type>(values, nulls, data_type),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            array::<TimestampNanosecondType>(values, nulls, data_type)
        }
        DataType::Timestamp(..) => array::<TimestampMicrosecondType>(values, nulls, data_type),
        other => return Err(Error::internal(format!("{other} is not one of Hive's types"))),
    })
}
