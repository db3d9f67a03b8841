//! Fields become arrays: one builder to a column, one tight loop to a stretch.

mod bytes;
mod nested;
mod numeric;

use std::sync::Arc;

use longshore_sdk::array::builder::{BooleanBufferBuilder, NullBufferBuilder};
use longshore_sdk::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal32Array, Decimal64Array,
    Decimal128Array, Decimal256Array, FixedSizeBinaryArray, Float32Array, Float64Array, Int16Array,
    Int32Array, Int64Array, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    UInt32Array,
};
use longshore_sdk::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer, i256};
use longshore_sdk::schema::{ArrowError, DataType};
use longshore_sdk::{Error, Result};

use crate::column::Column;
use crate::field::Field;
use crate::kind::{Digits, Kind};
use crate::policy::SpecialValues;
use bytes::Bytes;
use nested::{Lists, Structs};

/// Days from 1970-01-01 to 2000-01-01, PostgreSQL's zero.
const EPOCH_DAYS: i32 = 10_957;

/// The same in microseconds.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// What Arrow's times are less than; PostgreSQL also has 24:00:00.
const DAY_MICROS: i64 = 86_400_000_000;

const UUID_BYTES: usize = 16;

/// Builds one column of a batch.
pub(crate) struct ColumnBuilder {
    column: Column,
    builder: Builder,
}

impl ColumnBuilder {
    pub(crate) fn new(column: &Column) -> Self {
        let nullify = column.special_values == SpecialValues::Nullify;
        Self { column: column.clone(), builder: Builder::new(&column.kind, nullify) }
    }

    /// The column's name.
    pub(crate) fn name(&self) -> &str {
        &self.column.name
    }

    /// Adds the fields of one stretch.
    pub(crate) fn append(&mut self, bytes: &[u8], fields: &[Field]) -> Result<()> {
        self.builder.append(bytes, fields).map_err(|cause| cause.into_error(&self.column))
    }

    /// The column; the builder begins again.
    pub(crate) fn finish(&mut self) -> Result<ArrayRef> {
        let array = self.builder.finish().map_err(|cause| cause.into_error(&self.column))?;
        if array.null_count() > 0 && !self.column.nullable {
            Err(Error::data(format!("column `{}` is NOT NULL and gave a null", self.column.name)))
        } else {
            Ok(array)
        }
    }
}

/// Builds one array.
struct Builder {
    kind: Kind,
    /// What Arrow has not becomes null.
    nullify: bool,
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
    Decimal32(Vec<i32>, Digits),
    Decimal64(Vec<i64>, Digits),
    Decimal128(Vec<i128>, Digits),
    Decimal256(Vec<i256>, Digits),
    Money(Vec<i128>),
    Date(Vec<i32>),
    Time(Vec<i64>),
    Timestamp(Vec<i64>),
    Uuid(Vec<u8>),
    Bytes(Bytes),
    Lists(Lists),
    Structs(Structs),
}

impl Values {
    /// An empty one with room for so many rows.
    fn new(kind: &Kind, nullify: bool, rows: usize) -> Self {
        match kind {
            Kind::Bool => Self::Bool(BooleanBufferBuilder::new(rows)),
            Kind::Int2 => Self::Int2(Vec::with_capacity(rows)),
            Kind::Int4 => Self::Int4(Vec::with_capacity(rows)),
            Kind::Int8 => Self::Int8(Vec::with_capacity(rows)),
            Kind::Oid => Self::Oid(Vec::with_capacity(rows)),
            Kind::Float4 => Self::Float4(Vec::with_capacity(rows)),
            Kind::Float8 => Self::Float8(Vec::with_capacity(rows)),
            Kind::Numeric(digits) => match kind.arrow() {
                DataType::Decimal32(..) => Self::Decimal32(Vec::with_capacity(rows), *digits),
                DataType::Decimal64(..) => Self::Decimal64(Vec::with_capacity(rows), *digits),
                DataType::Decimal128(..) => Self::Decimal128(Vec::with_capacity(rows), *digits),
                _ => Self::Decimal256(Vec::with_capacity(rows), *digits),
            },
            Kind::Money { .. } => Self::Money(Vec::with_capacity(rows)),
            Kind::Date => Self::Date(Vec::with_capacity(rows)),
            Kind::Time => Self::Time(Vec::with_capacity(rows)),
            Kind::Timestamp { .. } => Self::Timestamp(Vec::with_capacity(rows)),
            Kind::Uuid => Self::Uuid(Vec::with_capacity(rows * UUID_BYTES)),
            Kind::Text | Kind::Jsonb | Kind::Bytea | Kind::NumericText => {
                Self::Bytes(Bytes::with_capacity(0, 0))
            }
            Kind::List { element, dimensions } => {
                Self::Lists(Lists::new(Builder::new(element, nullify), *dimensions))
            }
            Kind::Struct(fields) => {
                let parts = fields.iter().map(|(_, kind)| Builder::new(kind, nullify));
                Self::Structs(Structs::new(parts.collect()))
            }
        }
    }

    /// Forgets all but the first rows.
    fn truncate(&mut self, rows: usize) {
        match self {
            Self::Bool(values) => values.truncate(rows),
            Self::Int2(values) => values.truncate(rows),
            Self::Int4(values) | Self::Date(values) | Self::Decimal32(values, _) => {
                values.truncate(rows);
            }
            Self::Int8(values)
            | Self::Time(values)
            | Self::Timestamp(values)
            | Self::Decimal64(values, _) => values.truncate(rows),
            Self::Oid(values) => values.truncate(rows),
            Self::Float4(values) => values.truncate(rows),
            Self::Float8(values) => values.truncate(rows),
            Self::Decimal128(values, _) | Self::Money(values) => values.truncate(rows),
            Self::Decimal256(values, _) => values.truncate(rows),
            Self::Uuid(values) => values.truncate(rows * UUID_BYTES),
            Self::Bytes(values) => values.truncate(rows),
            Self::Lists(values) => values.truncate(rows),
            Self::Structs(values) => values.truncate(rows),
        }
    }
}

impl Builder {
    fn new(kind: &Kind, nullify: bool) -> Self {
        Self {
            values: Values::new(kind, nullify, 0),
            kind: kind.clone(),
            nullify,
            nulls: NullBufferBuilder::new(0),
        }
    }

    fn append(&mut self, bytes: &[u8], fields: &[Field]) -> Result<(), Cause> {
        match self.append_values(bytes, fields) {
            Err(Cause::Special(_)) if self.nullify => return self.append_each(bytes, fields),
            appended => appended?,
        }
        if fields.iter().all(|field| field.length >= 0) {
            self.nulls.append_n_non_nulls(fields.len());
        } else {
            fields.iter().for_each(|field| self.nulls.append(field.length >= 0));
        }
        Ok(())
    }

    /// One by one, null for what Arrow has not.
    fn append_each(&mut self, bytes: &[u8], fields: &[Field]) -> Result<(), Cause> {
        for field in fields {
            self.values.truncate(self.nulls.len());
            let is_special = match self.append_values(bytes, std::slice::from_ref(field)) {
                Err(Cause::Special(_)) => true,
                appended => appended.map(|()| false)?,
            };
            if is_special {
                self.values.truncate(self.nulls.len());
                self.append_values(bytes, &[Field::NULL])?;
            }
            self.nulls.append(field.length >= 0 && !is_special);
        }
        Ok(())
    }

    /// Forgets all but the first rows.
    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.nulls.truncate(rows);
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
            Values::Int8(values) => collect(values, bytes, fields, |b| Ok(i64::from_be_bytes(b))),
            Values::Oid(values) => collect(values, bytes, fields, |b| Ok(u32::from_be_bytes(b))),
            Values::Float4(values) => collect(values, bytes, fields, |b| Ok(f32::from_be_bytes(b))),
            Values::Float8(values) => collect(values, bytes, fields, |b| Ok(f64::from_be_bytes(b))),
            Values::Date(values) => collect(values, bytes, fields, |b| date(i32::from_be_bytes(b))),
            Values::Time(values) => collect(values, bytes, fields, |b| time(i64::from_be_bytes(b))),
            Values::Timestamp(values) => {
                collect(values, bytes, fields, |b| timestamp(i64::from_be_bytes(b)))
            }
            Values::Decimal32(values, digits) => {
                numeric::decimals32(values, bytes, fields, *digits)
            }
            Values::Decimal64(values, digits) => {
                numeric::decimals64(values, bytes, fields, *digits)
            }
            Values::Decimal128(values, digits) => {
                numeric::decimals128(values, bytes, fields, *digits)
            }
            Values::Decimal256(values, digits) => {
                numeric::decimals256(values, bytes, fields, *digits)
            }
            Values::Money(values) => {
                collect(values, bytes, fields, |b| Ok(i64::from_be_bytes(b).into()))
            }
            Values::Uuid(values) => {
                for field in fields {
                    values.extend(fixed::<UUID_BYTES>(bytes, field)?.unwrap_or_default());
                }
                Ok(())
            }
            Values::Bytes(values) => match self.kind {
                Kind::Jsonb => {
                    let fields = fields.iter().map(|field| jsonb(bytes, field));
                    values.append(bytes, &fields.collect::<Result<Vec<_>, _>>()?)
                }
                Kind::NumericText => {
                    let (texts, fields) = numeric::texts(bytes, fields)?;
                    values.append(&texts, &fields)
                }
                _ => values.append(bytes, fields),
            },
            Values::Lists(values) => values.append(bytes, fields),
            Values::Structs(values) => values.append(bytes, fields),
        }
    }

    /// The array; the builder begins again.
    fn finish(&mut self) -> Result<ArrayRef, Cause> {
        // The next batch is likely as large as this one.
        let rows = self.nulls.len();
        let nulls = self.nulls.finish();
        match &mut self.values {
            // These keep their parts' builders.
            Values::Lists(values) => values.finish(&self.kind.arrow(), nulls),
            Values::Structs(values) => values.finish(&self.kind, nulls),
            values => {
                let fresh = match values {
                    Values::Bytes(values) => Values::Bytes(values.another()),
                    _ => Values::new(&self.kind, self.nullify, rows),
                };
                array(std::mem::replace(values, fresh), nulls, &self.kind)
            }
        }
    }
}

fn array(values: Values, nulls: Option<NullBuffer>, kind: &Kind) -> Result<ArrayRef, Cause> {
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
            Arc::new(array.with_data_type(kind.arrow()))
        }
        Values::Decimal32(values, _) => {
            Arc::new(Decimal32Array::new(values.into(), nulls).with_data_type(kind.arrow()))
        }
        Values::Decimal64(values, _) => {
            Arc::new(Decimal64Array::new(values.into(), nulls).with_data_type(kind.arrow()))
        }
        Values::Decimal128(values, _) | Values::Money(values) => {
            Arc::new(Decimal128Array::new(values.into(), nulls).with_data_type(kind.arrow()))
        }
        Values::Decimal256(values, _) => {
            Arc::new(Decimal256Array::new(values.into(), nulls).with_data_type(kind.arrow()))
        }
        Values::Uuid(values) => {
            Arc::new(FixedSizeBinaryArray::try_new(UUID_BYTES as i32, values.into(), nulls)?)
        }
        Values::Bytes(Bytes { offsets, mut data, used }) => {
            data.truncate(used);
            let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
            let data = Buffer::from_vec(data);
            match kind {
                Kind::Bytea => Arc::new(BinaryArray::try_new(offsets, data, nulls)?),
                _ => {
                    let texts = StringArray::try_new(offsets, data, nulls);
                    Arc::new(texts.map_err(|_| Cause::NotUtf8)?)
                }
            }
        }
        Values::Lists(_) | Values::Structs(_) => return Err(Cause::Length),
    })
}

/// A value that Arrow has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Special {
    Infinity,
    NotANumber,
    Midnight,
    DateBeyond,
    TimeBeyond,
}

impl Special {
    fn name(self) -> &'static str {
        match self {
            Self::Infinity => "infinity",
            Self::NotANumber => "NaN",
            Self::Midnight => "24:00:00",
            Self::DateBeyond => "a date beyond its range",
            Self::TimeBeyond => "a time beyond its range",
        }
    }
}

/// Why a field cannot be decoded. Small, and without anything to drop: every value's way leads by
/// it.
#[derive(Clone, Copy, Debug)]
enum Cause {
    Length,
    TooLong,
    Special(Special),
    /// A numeric with other digits than its decimal has.
    Digits,
    Dimensions(i32),
    LowerBound(i32),
    NotUtf8,
    Jsonb(u8),
    /// Arrow refuses the array: lengths that do not agree.
    Array,
}

impl From<ArrowError> for Cause {
    fn from(_: ArrowError) -> Self {
        Self::Array
    }
}

impl Cause {
    fn into_error(self, column: &Column) -> Error {
        let name = &column.name;
        let arrow = || documented(&column.kind.arrow());
        let bug = |what: String| Error::internal(format!("column `{name}`: {what}"));
        let data = |what: String| Error::data(format!("column `{name}` {what}"));
        let arrays_as_text = "add `arrays: text` to `source`, or cast the column in a query";
        match self {
            Self::Length => bug("a field of the wrong length".into()),
            Self::Jsonb(version) => bug(format!("jsonb of version {version}")),
            Self::Array => bug("parts of unlike lengths".into()),
            Self::TooLong => data("has more than 2 GiB to one batch".into()),
            Self::Special(what) => data(format!("holds {}, which {} has not", what.name(), arrow()))
                .with_hint("add `special_values: nullify` (or `text`) to `source`, or leave such rows out in a query"),
            Self::Digits => data(format!("holds a number that does not fit exactly into {}", arrow()))
                .with_hint("give `numeric: decimal(P,S)` other digits, or `numeric: text`"),
            Self::Dimensions(found) => {
                data(format!("holds an array of {found} dimensions, which {} has not", arrow()))
                    .with_hint(arrays_as_text)
            }
            Self::LowerBound(bound) => {
                data(format!("holds an array that begins at {bound}, which a list cannot say"))
                    .with_hint(arrays_as_text)
            }
            Self::NotUtf8 => data("holds text that is not UTF-8".into())
                .with_hint("its database has no encoding (SQL_ASCII): cast the column to bytea in a query"),
        }
    }
}

/// A type as people know it: decimals of few digits are narrower on their way only.
fn documented(data_type: &DataType) -> String {
    match data_type {
        DataType::Decimal32(digits, scale) | DataType::Decimal64(digits, scale) => {
            DataType::Decimal128(*digits, *scale).to_string()
        }
        DataType::List(item) => format!("a list of {}", documented(item.data_type())),
        other => other.to_string(),
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
        i32::MAX | i32::MIN => Err(Cause::Special(Special::Infinity)),
        days => days.checked_add(EPOCH_DAYS).ok_or(Cause::Special(Special::DateBeyond)),
    }
}

fn time(micros: i64) -> Result<i64, Cause> {
    match micros {
        DAY_MICROS => Err(Cause::Special(Special::Midnight)),
        micros => Ok(micros),
    }
}

fn timestamp(micros: i64) -> Result<i64, Cause> {
    match micros {
        i64::MAX | i64::MIN => Err(Cause::Special(Special::Infinity)),
        micros => micros.checked_add(EPOCH_MICROS).ok_or(Cause::Special(Special::TimeBeyond)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrow_has_not_is_told() {
        assert!(matches!(date(i32::MAX), Err(Cause::Special(Special::Infinity))));
        assert!(matches!(timestamp(i64::MAX - 1), Err(Cause::Special(_))));
        assert!(matches!(time(DAY_MICROS), Err(Cause::Special(Special::Midnight))));
        assert_eq!(date(0).ok(), Some(10_957));
    }

    #[test]
    fn special_values_become_null_where_the_job_says_so() {
        let days = [0, i32::MAX, 1];
        let bytes: Vec<u8> = days.iter().flat_map(|days: &i32| days.to_be_bytes()).collect();
        let fields = [0, 4, 8].map(|at| Field { at, length: 4 });
        let mut builder = Builder::new(&Kind::Date, true);
        builder.append(&bytes, &fields[..1]).ok().unwrap();
        builder.append(&bytes, &fields).ok().unwrap();
        let array = builder.finish().ok().unwrap();
        assert_eq!(
            array.as_ref(),
            &Date32Array::from(vec![Some(10_957), Some(10_957), None, Some(10_958)])
        );
        assert!(Builder::new(&Kind::Date, false).append(&bytes, &fields).is_err());
    }

    #[test]
    fn types_are_told_as_they_are_documented() {
        assert_eq!(documented(&DataType::Decimal32(5, 2)), "Decimal128(5, 2)");
        let list = DataType::new_list(DataType::Decimal64(12, 2), true);
        assert_eq!(documented(&list), "a list of Decimal128(12, 2)");
        assert_eq!(documented(&DataType::Date32), "Date32");
    }
}
