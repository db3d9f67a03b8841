//! Fields become arrays: one builder to a column, one tight loop to a stretch.

use std::sync::Arc;

use longshore_sdk::array::builder::{BooleanBufferBuilder, NullBufferBuilder};
use longshore_sdk::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
    Float32Array, Float64Array, Int16Array, Int32Array, Int64Array, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray, UInt32Array,
};
use longshore_sdk::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use longshore_sdk::{Error, Result};

use crate::copy::Field;
use crate::types::{Column, Decode};

/// Days from 1970-01-01 to 2000-01-01, PostgreSQL's zero.
const EPOCH_DAYS: i32 = 10_957;

/// The same in microseconds.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Decimals of at most so many digits, in so many groups, are added up in 64 bits.
const NARROW_PRECISION: u8 = 18;
const NARROW_GROUPS: usize = 4;

/// Builds one column of a batch.
pub(crate) struct Builder {
    column: Column,
    values: Values,
    nulls: NullBufferBuilder,
}

enum Values {
    Bool(BooleanBufferBuilder),
    Int2(Vec<i16>),
    Int4(Vec<i32>),
    Int8(Vec<i64>),
    Oid(Vec<u32>),
    Float4(Vec<f32>),
    Float8(Vec<f64>),
    Decimal(Vec<i128>),
    Date(Vec<i32>),
    Time(Vec<i64>),
    Timestamp(Vec<i64>),
    Uuid(Vec<u8>),
    Bytes(Bytes),
}

impl Values {
    fn new(decode: Decode) -> Self {
        match decode {
            Decode::Bool => Self::Bool(BooleanBufferBuilder::new(0)),
            Decode::Int2 => Self::Int2(Vec::new()),
            Decode::Int4 => Self::Int4(Vec::new()),
            Decode::Int8 => Self::Int8(Vec::new()),
            Decode::Oid => Self::Oid(Vec::new()),
            Decode::Float4 => Self::Float4(Vec::new()),
            Decode::Float8 => Self::Float8(Vec::new()),
            Decode::Numeric { .. } => Self::Decimal(Vec::new()),
            Decode::Date => Self::Date(Vec::new()),
            Decode::Time => Self::Time(Vec::new()),
            Decode::Timestamp { .. } => Self::Timestamp(Vec::new()),
            Decode::Uuid => Self::Uuid(Vec::new()),
            Decode::Text | Decode::Jsonb | Decode::Bytea => Self::Bytes(Bytes::with_capacity(0, 0)),
        }
    }
}

impl Builder {
    pub(crate) fn new(column: &Column) -> Self {
        Self {
            values: Values::new(column.decode),
            column: column.clone(),
            nulls: NullBufferBuilder::new(0),
        }
    }

    /// Adds the fields of one stretch.
    pub(crate) fn append(&mut self, bytes: &[u8], fields: &[Field]) -> Result<()> {
        let appended = self.append_values(bytes, fields);
        appended.map_err(|cause| cause.into_error(&self.column))?;
        if fields.iter().all(|field| field.length >= 0) {
            self.nulls.append_n_non_nulls(fields.len());
        } else {
            fields.iter().for_each(|field| self.nulls.append(field.length >= 0));
        }
        Ok(())
    }

    fn append_values(&mut self, bytes: &[u8], fields: &[Field]) -> Result<(), Cause> {
        match &mut self.values {
            Values::Bool(values) => {
                for field in fields {
                    values.append(fixed(bytes, field)?.is_some_and(|[byte]: [u8; 1]| byte != 0));
                }
                Ok(())
            }
            Values::Int2(values) => collect(values, bytes, fields, |b| Ok(i16::from_be_bytes(b))),
            Values::Int4(values) => collect(values, bytes, fields, |b| Ok(i32::from_be_bytes(b))),
            Values::Int8(values) | Values::Time(values) => {
                collect(values, bytes, fields, |b| Ok(i64::from_be_bytes(b)))
            }
            Values::Oid(values) => collect(values, bytes, fields, |b| Ok(u32::from_be_bytes(b))),
            Values::Float4(values) => collect(values, bytes, fields, |b| Ok(f32::from_be_bytes(b))),
            Values::Float8(values) => collect(values, bytes, fields, |b| Ok(f64::from_be_bytes(b))),
            Values::Date(values) => collect(values, bytes, fields, |b| date(i32::from_be_bytes(b))),
            Values::Timestamp(values) => {
                collect(values, bytes, fields, |b| timestamp(i64::from_be_bytes(b)))
            }
            Values::Decimal(values) => {
                let Decode::Numeric { precision, scale } = self.column.decode else {
                    return Err(Cause::Length);
                };
                numerics(values, bytes, fields, precision, scale)
            }
            Values::Uuid(values) => {
                for field in fields {
                    values.extend(fixed::<16>(bytes, field)?.unwrap_or_default());
                }
                Ok(())
            }
            Values::Bytes(values) => match self.column.decode {
                Decode::Jsonb => {
                    let fields = fields.iter().map(|field| jsonb(bytes, field));
                    values.append(bytes, &fields.collect::<Result<Vec<_>, _>>()?)
                }
                _ => values.append(bytes, fields),
            },
        }
    }

    /// The column; the builder begins again.
    pub(crate) fn finish(&mut self) -> Result<ArrayRef> {
        let nulls = self.nulls.finish();
        if !self.column.nullable && nulls.is_some() {
            return Err(Error::data(format!(
                "column `{}` is NOT NULL and gave a null",
                self.column.name
            )));
        }
        let fresh = match &self.values {
            // The next batch is likely as large as this one.
            Values::Bytes(values) => {
                Values::Bytes(Bytes::with_capacity(values.offsets.len(), values.used))
            }
            _ => Values::new(self.column.decode),
        };
        let values = std::mem::replace(&mut self.values, fresh);
        array(values, nulls, &self.column)
    }
}

fn array(values: Values, nulls: Option<NullBuffer>, column: &Column) -> Result<ArrayRef> {
    Ok(match values {
        Values::Bool(mut values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
        Values::Int2(values) => Arc::new(Int16Array::new(values.into(), nulls)),
        Values::Int4(values) => Arc::new(Int32Array::new(values.into(), nulls)),
        Values::Int8(values) => Arc::new(Int64Array::new(values.into(), nulls)),
        Values::Oid(values) => Arc::new(UInt32Array::new(values.into(), nulls)),
        Values::Float4(values) => Arc::new(Float32Array::new(values.into(), nulls)),
        Values::Float8(values) => Arc::new(Float64Array::new(values.into(), nulls)),
        Values::Date(values) => Arc::new(Date32Array::new(values.into(), nulls)),
        Values::Time(values) => Arc::new(Time64MicrosecondArray::new(values.into(), nulls)),
        Values::Timestamp(values) => {
            let array = TimestampMicrosecondArray::new(values.into(), nulls);
            Arc::new(array.with_data_type(column.decode.arrow()))
        }
        Values::Decimal(values) => {
            let array = Decimal128Array::new(values.into(), nulls);
            Arc::new(array.with_data_type(column.decode.arrow()))
        }
        Values::Uuid(values) => {
            const UUID_BYTES: i32 = 16;
            Arc::new(FixedSizeBinaryArray::try_new(UUID_BYTES, values.into(), nulls)?)
        }
        Values::Bytes(Bytes { offsets, mut data, used }) => {
            data.truncate(used);
            let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
            let data = Buffer::from_vec(data);
            match column.decode {
                Decode::Bytea => Arc::new(BinaryArray::try_new(offsets, data, nulls)?),
                _ => Arc::new(StringArray::try_new(offsets, data, nulls).map_err(|_| {
                    Error::data(format!("column `{}` holds text that is not UTF-8", column.name))
                        .with_hint("its database has no encoding (SQL_ASCII): cast the column to bytea in a query")
                })?),
            }
        }
    })
}

/// Why a field cannot be decoded.
enum Cause {
    Length,
    TooLong,
    Infinite,
    NotANumber,
    OutOfRange,
    Digits,
    Jsonb(u8),
}

impl Cause {
    fn into_error(self, column: &Column) -> Error {
        let name = &column.name;
        let as_text = "cast the column to text in a query, or leave such rows out";
        match self {
            Self::Length => {
                Error::internal(format!("column `{name}`: a field of the wrong length"))
            }
            Self::TooLong => Error::data(format!("column `{name}`: more than 2 GiB to one batch")),
            Self::Infinite => Error::data(format!(
                "column `{name}` holds infinity, which {} has not",
                column.decode.arrow()
            ))
            .with_hint(as_text),
            Self::NotANumber => Error::data(format!(
                "column `{name}` holds NaN, which {} has not",
                column.decode.arrow()
            ))
            .with_hint(as_text),
            Self::OutOfRange => Error::data(format!(
                "column `{name}` holds a value beyond the range of {}",
                column.decode.arrow()
            ))
            .with_hint(as_text),
            Self::Digits => {
                Error::internal(format!("column `{name}`: more digits than its type has"))
            }
            Self::Jsonb(version) => {
                Error::internal(format!("column `{name}`: jsonb of version {version}"))
            }
        }
    }
}

/// A field's bytes; none for null.
#[inline]
fn slice<'a>(bytes: &'a [u8], field: &Field) -> Result<Option<&'a [u8]>, Cause> {
    if field.length < 0 {
        return Ok(None);
    }
    let at = field.at as usize;
    bytes.get(at..at + field.length as usize).map(Some).ok_or(Cause::Length)
}

/// A field of a fixed length; none for null.
#[inline]
fn fixed<const N: usize>(bytes: &[u8], field: &Field) -> Result<Option<[u8; N]>, Cause> {
    if field.length == N as i32 {
        let at = field.at as usize;
        let value = bytes.get(at..at + N).and_then(|value| value.try_into().ok());
        return value.map(Some).ok_or(Cause::Length);
    }
    if field.length < 0 { Ok(None) } else { Err(Cause::Length) }
}

/// Not inlined: each loop alone gets the registers that all of them together would not.
#[inline(never)]
fn collect<const N: usize, T: Clone + Default>(
    values: &mut Vec<T>,
    bytes: &[u8],
    fields: &[Field],
    decode: impl Fn([u8; N]) -> Result<T, Cause>,
) -> Result<(), Cause> {
    let old = values.len();
    values.resize(old + fields.len(), T::default());
    for (value, field) in values[old..].iter_mut().zip(fields) {
        if let Some(bytes) = fixed(bytes, field)? {
            *value = decode(bytes)?;
        }
    }
    Ok(())
}

fn date(days: i32) -> Result<i32, Cause> {
    match days {
        i32::MAX | i32::MIN => Err(Cause::Infinite),
        days => days.checked_add(EPOCH_DAYS).ok_or(Cause::OutOfRange),
    }
}

fn timestamp(micros: i64) -> Result<i64, Cause> {
    match micros {
        i64::MAX | i64::MIN => Err(Cause::Infinite),
        micros => micros.checked_add(EPOCH_MICROS).ok_or(Cause::OutOfRange),
    }
}

/// The field without its version byte.
fn jsonb(bytes: &[u8], field: &Field) -> Result<Field, Cause> {
    match slice(bytes, field)? {
        None => Ok(*field),
        Some([1, ..]) => Ok(Field { at: field.at + 1, length: field.length - 1 }),
        Some([version, ..]) => Err(Cause::Jsonb(*version)),
        Some([]) => Err(Cause::Length),
    }
}

/// Texts or bytes, one after the other.
struct Bytes {
    offsets: Vec<i32>,
    /// Longer than what is used, so that short values can be copied in blocks.
    data: Vec<u8>,
    used: usize,
}

/// Short values are copied in blocks of this length: a copy of any other length is a call.
const COPY_BYTES: usize = 16;

/// Longer values are worth the call.
const SHORT_BYTES: usize = 8 * COPY_BYTES;

impl Bytes {
    fn with_capacity(values: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(values.max(1));
        offsets.push(0);
        Self { offsets, data: vec![0; bytes], used: 0 }
    }

    /// Adds values; nothing for null. Not inlined, as [`collect`].
    #[inline(never)]
    fn append(&mut self, bytes: &[u8], fields: &[Field]) -> Result<(), Cause> {
        let length = |field: &Field| field.length.max(0) as usize;
        let end = self.used + fields.iter().map(length).sum::<usize>();
        i32::try_from(end).map_err(|_| Cause::TooLong)?;
        // The last block may reach beyond the last value.
        if end + COPY_BYTES > self.data.len() {
            self.data.resize((end + COPY_BYTES).next_power_of_two(), 0);
        }
        let old = self.offsets.len();
        self.offsets.resize(old + fields.len(), 0);
        for (offset, field) in self.offsets[old..].iter_mut().zip(fields) {
            let (at, length) = (field.at as usize, length(field));
            let blocks = length.next_multiple_of(COPY_BYTES);
            if length <= SHORT_BYTES && at + blocks <= bytes.len() {
                let from = bytes[at..at + blocks].chunks_exact(COPY_BYTES);
                let to = self.data[self.used..self.used + blocks].chunks_exact_mut(COPY_BYTES);
                to.zip(from).for_each(|(to, from)| to.copy_from_slice(from));
            } else {
                let value = slice(bytes, field)?.unwrap_or_default();
                self.data[self.used..self.used + length].copy_from_slice(value);
            }
            self.used += length;
            *offset = self.used as i32;
        }
        Ok(())
    }
}

/// Not inlined, as [`collect`].
#[inline(never)]
fn numerics(
    values: &mut Vec<i128>,
    bytes: &[u8],
    fields: &[Field],
    precision: u8,
    scale: u8,
) -> Result<(), Cause> {
    let old = values.len();
    values.resize(old + fields.len(), 0);
    for (unscaled, field) in values[old..].iter_mut().zip(fields) {
        if let Some(value) = slice(bytes, field)? {
            *unscaled = numeric(value, precision, scale)?;
        }
    }
    Ok(())
}

/// A numeric, times ten to its scale.
#[inline]
fn numeric(value: &[u8], precision: u8, scale: u8) -> Result<i128, Cause> {
    let numeric = Numeric::parse(value)?;
    // Most are narrow, and arithmetic in 64 bits is several times as fast.
    let scaled = match numeric.groups.len() <= 2 * NARROW_GROUPS && precision <= NARROW_PRECISION {
        true => numeric.narrow(scale)?.into(),
        false => numeric.wide(scale)?,
    };
    let scaled = i128::try_from(scaled).map_err(|_| Cause::Digits)?;
    Ok(if numeric.negative { -scaled } else { scaled })
}

/// A numeric's groups of four digits, from the largest, and what they mean.
struct Numeric<'a> {
    groups: &'a [u8],
    /// The power of ten thousand of the first group.
    weight: i32,
    negative: bool,
}

impl<'a> Numeric<'a> {
    #[inline]
    fn parse(value: &'a [u8]) -> Result<Self, Cause> {
        const HEAD_BYTES: usize = 8;
        let Some((head, groups)) = value.split_at_checked(HEAD_BYTES) else {
            return Err(Cause::Length);
        };
        let count = usize::from(u16::from_be_bytes([head[0], head[1]]));
        if groups.len() != count * 2 {
            return Err(Cause::Length);
        }
        let negative = match u16::from_be_bytes([head[4], head[5]]) {
            0x0000 => false,
            0x4000 => true,
            0xc000 => return Err(Cause::NotANumber),
            _ => return Err(Cause::Infinite),
        };
        Ok(Self { groups, weight: i16::from_be_bytes([head[2], head[3]]).into(), negative })
    }

    fn groups(&self) -> impl Iterator<Item = u16> {
        self.groups.chunks_exact(2).map(|group| u16::from_be_bytes([group[0], group[1]]))
    }

    /// How many digits of the scaled value lie below the last group; less than none where the
    /// group has more digits than the scale.
    #[inline]
    fn below(&self, scale: u8) -> i32 {
        (self.weight + 1 - (self.groups.len() / 2) as i32) * 4 + i32::from(scale)
    }

    /// The scaled value of at most [`NARROW_GROUPS`] groups and [`NARROW_PRECISION`] digits.
    #[inline]
    fn narrow(&self, scale: u8) -> Result<u64, Cause> {
        let sum = self.groups().fold(0, |sum, group| sum * 10_000 + u64::from(group));
        let shorten = |power| if sum % power == 0 { Ok(sum / power) } else { Err(Cause::Digits) };
        match self.below(scale) {
            0 => Ok(sum),
            -1 => shorten(10),
            -2 => shorten(100),
            -3 => shorten(1_000),
            below @ 1.. => {
                let power = 10_u64.checked_pow(below as u32);
                power.and_then(|power| sum.checked_mul(power)).ok_or(Cause::Digits)
            }
            _ if sum == 0 => Ok(0),
            _ => Err(Cause::Digits),
        }
    }

    /// The scaled value of at most 38 digits.
    fn wide(&self, scale: u8) -> Result<u128, Cause> {
        let mut sum: u128 = 0;
        let last = self.groups.len() as i32 / 2 - 1;
        for (index, group) in self.groups().enumerate() {
            let group = u128::from(group);
            let part = match self.below(scale) + 4 * (last - index as i32) {
                below @ 0.. => {
                    let power = 10_u128.checked_pow(below as u32);
                    power.and_then(|power| group.checked_mul(power)).ok_or(Cause::Digits)?
                }
                below @ -3..=-1 if group % 10_u128.pow(-below as u32) == 0 => {
                    group / 10_u128.pow(-below as u32)
                }
                _ if group == 0 => 0,
                _ => return Err(Cause::Digits),
            };
            sum = sum.checked_add(part).ok_or(Cause::Digits)?;
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As PostgreSQL sends it: no zero groups at either end.
    fn sent(unscaled: i128, scale: u8) -> Vec<u8> {
        let mut digits = unscaled.unsigned_abs();
        // Whole groups below the point.
        let padding = (4 - u32::from(scale) % 4) % 4;
        let mut groups = Vec::new();
        // The lowest group holds `4 - padding` digits of the value.
        let first = 10_u128.pow(4 - padding);
        if padding > 0 {
            groups.push((digits % first) as u16 * 10_u16.pow(padding));
            digits /= first;
        }
        while digits > 0 {
            groups.push((digits % 10_000) as u16);
            digits /= 10_000;
        }
        let fractional = (i32::from(scale) + 3) / 4;
        let mut weight = groups.len() as i32 - fractional - 1;
        groups.reverse();
        while groups.first() == Some(&0) {
            groups.remove(0);
            weight -= 1;
        }
        while groups.last() == Some(&0) {
            groups.pop();
        }
        let sign: u16 = if unscaled < 0 { 0x4000 } else { 0 };
        let mut bytes = Vec::new();
        bytes.extend((groups.len() as u16).to_be_bytes());
        bytes.extend((weight as i16).to_be_bytes());
        bytes.extend(sign.to_be_bytes());
        bytes.extend(u16::from(scale).to_be_bytes());
        groups.iter().for_each(|group| bytes.extend(group.to_be_bytes()));
        bytes
    }

    proptest! {
        #[test]
        fn narrow_numerics_survive(unscaled in -999_999_999_999_999_999_i128..=999_999_999_999_999_999, scale in 0_u8..=18) {
            prop_assert_eq!(numeric(&sent(unscaled, scale), 18, scale).ok(), Some(unscaled));
        }

        #[test]
        fn small_numerics_survive(unscaled in -99_999_i128..=99_999, scale in 0_u8..=18) {
            prop_assert_eq!(numeric(&sent(unscaled, scale), 18, scale).ok(), Some(unscaled));
        }

        #[test]
        fn wide_numerics_survive(unscaled: i128, scale in 0_u8..=38) {
            let unscaled = unscaled % 10_i128.pow(38);
            prop_assert_eq!(numeric(&sent(unscaled, scale), 38, scale).ok(), Some(unscaled));
        }

        #[test]
        fn digits_beyond_the_scale_are_refused(unscaled in 1_i128..=999_999, scale in 1_u8..=18) {
            let value = sent(unscaled * 10 + 1, scale);
            prop_assert!(matches!(numeric(&value, 18, scale - 1), Err(Cause::Digits)));
            prop_assert!(matches!(numeric(&value, 38, scale - 1), Err(Cause::Digits)));
        }

        #[test]
        fn texts_survive_whatever_their_lengths(texts in proptest::collection::vec(proptest::option::of("[a-z]{0,300}"), 0..300)) {
            let (mut bytes, mut fields) = (Vec::new(), Vec::new());
            for text in &texts {
                let length = text.as_ref().map_or(-1, |text| text.len() as i32);
                fields.push(Field { at: bytes.len() as u32, length });
                bytes.extend(text.iter().flat_map(|text| text.bytes()));
            }
            let mut column = Bytes::with_capacity(0, 0);
            fields.chunks(7).for_each(|fields| column.append(&bytes, fields).ok().unwrap());
            prop_assert_eq!(&column.data[..column.used], &bytes[..]);
            prop_assert_eq!(*column.offsets.last().unwrap() as usize, bytes.len());
            prop_assert_eq!(column.offsets.len(), texts.len() + 1);
        }
    }

    #[test]
    fn what_arrow_has_not_is_told() {
        assert!(matches!(numeric(&[0, 0, 0, 0, 0xc0, 0, 0, 0], 9, 2), Err(Cause::NotANumber)));
        assert!(matches!(numeric(&[0, 0, 0, 0, 0xd0, 0, 0, 0], 9, 2), Err(Cause::Infinite)));
        assert!(matches!(date(i32::MAX), Err(Cause::Infinite)));
        assert!(matches!(timestamp(i64::MAX - 1), Err(Cause::OutOfRange)));
        assert_eq!(date(0).ok(), Some(10_957));
    }
}
