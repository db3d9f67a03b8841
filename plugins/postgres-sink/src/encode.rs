//! Batches become rows of a binary COPY.

use std::cell::RefCell;
use std::rc::Rc;

use longshore_postgres_client::message::backend::Message;
use longshore_postgres_client::message::frontend;
use longshore_postgres_client::{Client, fault};
use longshore_sdk::array::cast::AsArray;
use longshore_sdk::array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNano, IntervalMonthDayNanoType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use longshore_sdk::array::{
    Array, ArrayRef, BooleanArray, PrimitiveArray, RecordBatch, make_array,
};
use longshore_sdk::buffer::{NullBuffer, ScalarBuffer, i256};
use longshore_sdk::schema::{DataType, Field, TimeUnit};
use longshore_sdk::{Error, Result, ResultExt, SinkWriter};

use crate::numeric::{put_short, put_text};
use crate::staging::Chunk;
use crate::types::{Micros, is_uuid};

/// So much is gathered before it is sent.
const SEND_BYTES: usize = 256 << 10;

/// What a binary COPY begins with: no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What it ends with.
const TRAILER: &[u8] = &(-1_i16).to_be_bytes();

/// PostgreSQL counts from 2000-01-01, Arrow from 1970-01-01.
const EPOCH_DAYS: i64 = 10_957;
const EPOCH_MICROS: i64 = EPOCH_DAYS * 86_400_000_000;
const DAY_MILLIS: i64 = 86_400_000;

/// A chunk on its way: a transaction of its own.
pub(crate) struct Writer {
    client: Rc<RefCell<Client>>,
    chunk: Chunk,
    pending: Vec<u8>,
    rows: u64,
}

impl Writer {
    /// Begins a COPY, within the transaction that was begun. `into` are the columns, where the table has others.
    pub(crate) fn start(
        client: Rc<RefCell<Client>>,
        staging: String,
        into: &str,
        chunk: Chunk,
    ) -> Result<Self> {
        {
            let mut client = client.borrow_mut();
            chunk.replace(&mut client, &staging)?;
            client.send(|out| {
                frontend::query(&format!("COPY {staging} {into} FROM STDIN (FORMAT binary)"), out)
            })?;
            loop {
                match client.receive()? {
                    Message::CopyInResponse(_) => break,
                    Message::ErrorResponse(error) => {
                        return Err(fault::from_server(error.fields()));
                    }
                    Message::ReadyForQuery(_) => return Err(fault::protocol("no COPY")),
                    _ => {}
                }
            }
        }
        Ok(Self { client, chunk, pending: HEADER.to_vec(), rows: 0 })
    }

    fn send(&mut self) -> Result<()> {
        let mut message = Vec::with_capacity(self.pending.len() + 5);
        message.push(b'd');
        message.extend_from_slice(&(self.pending.len() as i32 + 4).to_be_bytes());
        message.append(&mut self.pending);
        self.client.borrow_mut().send_raw(&message)
    }

    fn end_copy(&mut self) -> Result<()> {
        self.pending.extend_from_slice(TRAILER);
        self.send()?;
        let mut client = self.client.borrow_mut();
        client.send(|out| {
            frontend::copy_done(out);
            Ok(())
        })?;
        let mut failed = None;
        loop {
            match client.receive()? {
                Message::ErrorResponse(error) => failed = Some(fault::from_server(error.fields())),
                Message::ReadyForQuery(_) => break,
                _ => {}
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

impl SinkWriter for Writer {
    fn write(&mut self, batch: RecordBatch) -> Result<()> {
        let schema = batch.schema();
        let fields =
            batch.columns().iter().zip(schema.fields()).map(|(array, field)| {
                Values::new(array).context(format!("column `{}`", field.name()))
            });
        let columns: Vec<Values> = fields.collect::<Result<_>>()?;
        let count = i16::try_from(columns.len())
            .map_err(|_| Error::data("more columns than a table can have"))?;
        for row in 0..batch.num_rows() {
            self.pending.extend_from_slice(&count.to_be_bytes());
            for (position, values) in columns.iter().enumerate() {
                values.put(row, &mut self.pending).map_err(|cause| {
                    let name = schema.field(position).name();
                    Error::data(format!("column `{name}`: {cause}"))
                        .with_hint("cast or replace it in an `sql` step")
                })?;
            }
            if self.pending.len() >= SEND_BYTES {
                self.send()?;
            }
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<u8>> {
        self.end_copy()?;
        let mut client = self.client.borrow_mut();
        let receipt = self.chunk.write_down(&mut client, self.rows)?;
        client.query("COMMIT")?;
        serde_json::to_vec(&receipt).map_err(|error| Error::internal(error.to_string()))
    }
}

/// A column's values, ready to be sent.
struct Values {
    nulls: Option<NullBuffer>,
    kind: Kind,
}

enum Kind {
    Null,
    Bool(BooleanArray),
    Int2(Vec<i16>),
    Int4(ScalarBuffer<i32>),
    Int8(ScalarBuffer<i64>),
    /// Whole numbers, or decimals, in 64 bits.
    Short(Vec<i64>, u8),
    Unsigned(ScalarBuffer<u64>),
    Decimal(ScalarBuffer<i128>, u8),
    /// Decimals whose scale is negative are written with their zeros.
    Wide(Vec<i256>, u8),
    Float4(ScalarBuffer<f32>),
    Float8(ScalarBuffer<f64>),
    Text(ArrayRef),
    Bytes(ArrayRef),
    Date(Vec<i64>),
    Moment(ScalarBuffer<i64>, Micros),
    Time(Vec<i64>, Micros),
    Duration(ScalarBuffer<i64>, Micros),
    Interval(ScalarBuffer<IntervalMonthDayNano>),
    /// The place of each row's value among the values.
    Dictionary(Vec<usize>, Box<Values>),
    /// Each row's stretch of the items.
    List {
        ends: Vec<(usize, usize)>,
        items: Box<Values>,
        oid: i32,
    },
}

impl Values {
    fn new(array: &ArrayRef) -> Result<Self> {
        Ok(Self { nulls: array.logical_nulls(), kind: kind(array)? })
    }

    /// Appends one value with its length; says in words what cannot be sent.
    fn put(&self, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            out.extend_from_slice(&(-1_i32).to_be_bytes());
            return Ok(());
        }
        match &self.kind {
            Kind::Null => out.extend_from_slice(&(-1_i32).to_be_bytes()),
            Kind::Bool(values) => sized(out, &[u8::from(values.value(row))]),
            Kind::Int2(values) => sized(out, &values[row].to_be_bytes()),
            Kind::Int4(values) => sized(out, &values[row].to_be_bytes()),
            Kind::Int8(values) => sized(out, &values[row].to_be_bytes()),
            Kind::Short(values, scale) => put_short(out, values[row], *scale),
            Kind::Unsigned(values) => match i64::try_from(values[row]) {
                Ok(value) => put_short(out, value, 0),
                Err(_) => put_text(out, &values[row].to_string(), 0),
            },
            Kind::Decimal(values, scale) => match i64::try_from(values[row]) {
                Ok(value) => put_short(out, value, *scale),
                Err(_) => put_text(out, &values[row].to_string(), *scale),
            },
            Kind::Wide(values, scale) => put_text(out, &values[row].to_string(), *scale),
            Kind::Float4(values) => sized(out, &values[row].to_be_bytes()),
            Kind::Float8(values) => sized(out, &values[row].to_be_bytes()),
            Kind::Text(array) => put_text_value(out, text(array, row))?,
            Kind::Bytes(array) => sized(out, bytes(array, row)),
            Kind::Date(values) => {
                // The first and the last one would mean infinity.
                let days = i32::try_from(values[row] - EPOCH_DAYS).ok();
                let days = days.filter(|days| ![i32::MIN, i32::MAX].contains(days));
                let days = days.ok_or_else(|| "a date beyond PostgreSQL's".to_owned())?;
                sized(out, &days.to_be_bytes());
            }
            Kind::Moment(values, unit) => {
                let micros = unit.whole(values[row]).ok_or_else(|| inexact(values[row], *unit))?;
                let micros = micros.checked_sub(EPOCH_MICROS).filter(|micros| *micros != i64::MIN);
                let micros = micros.ok_or_else(|| "a moment beyond PostgreSQL's".to_owned())?;
                sized(out, &micros.to_be_bytes());
            }
            Kind::Time(values, unit) => {
                let micros = unit.whole(values[row]).ok_or_else(|| inexact(values[row], *unit))?;
                sized(out, &micros.to_be_bytes());
            }
            Kind::Duration(values, unit) => {
                let micros = unit.whole(values[row]).ok_or_else(|| inexact(values[row], *unit))?;
                put_interval(out, micros, 0, 0);
            }
            Kind::Interval(values) => {
                let IntervalMonthDayNano { months, days, nanoseconds } = values[row];
                let unit = Micros::Over(1_000);
                let micros = unit.whole(nanoseconds).ok_or_else(|| inexact(nanoseconds, unit))?;
                put_interval(out, micros, days, months);
            }
            Kind::Dictionary(places, values) => values.put(places[row], out)?,
            Kind::List { ends, items, oid } => put_list(out, ends[row], items, *oid)?,
        }
        Ok(())
    }
}

fn kind(array: &ArrayRef) -> Result<Kind> {
    let micros = |unit: &TimeUnit| Micros::of(*unit);
    Ok(match array.data_type() {
        DataType::Null => Kind::Null,
        DataType::Boolean => Kind::Bool(array.as_boolean().clone()),
        DataType::Int8 => Kind::Int2(widened::<Int8Type, _>(array)),
        DataType::UInt8 => Kind::Int2(widened::<UInt8Type, _>(array)),
        DataType::Int16 => Kind::Int2(array.as_primitive::<Int16Type>().values().to_vec()),
        DataType::UInt16 => Kind::Int4(widened::<UInt16Type, _>(array).into()),
        DataType::Int32 => Kind::Int4(array.as_primitive::<Int32Type>().values().clone()),
        DataType::UInt32 => Kind::Int8(widened::<UInt32Type, _>(array).into()),
        DataType::Int64 => Kind::Int8(array.as_primitive::<Int64Type>().values().clone()),
        DataType::UInt64 => Kind::Unsigned(array.as_primitive::<UInt64Type>().values().clone()),
        DataType::Float32 => Kind::Float4(array.as_primitive::<Float32Type>().values().clone()),
        DataType::Float64 => Kind::Float8(array.as_primitive::<Float64Type>().values().clone()),
        DataType::Decimal32(_, scale) => {
            let values = array.as_primitive::<Decimal32Type>().values();
            decimal(*scale, values.iter().map(|v| i64::from(*v)))
        }
        DataType::Decimal64(_, scale) => {
            decimal(*scale, array.as_primitive::<Decimal64Type>().values().iter().copied())
        }
        DataType::Decimal128(_, scale) => {
            let values = array.as_primitive::<Decimal128Type>().values();
            match u8::try_from(*scale) {
                Ok(scale) => Kind::Decimal(values.clone(), scale),
                Err(_) => wide(*scale, values.iter().map(|v| i256::from_i128(*v))),
            }
        }
        DataType::Decimal256(_, scale) => {
            wide(*scale, array.as_primitive::<Decimal256Type>().values().iter().copied())
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Kind::Text(array.clone()),
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => Kind::Bytes(array.clone()),
        DataType::Date32 => Kind::Date(widened::<Date32Type, _>(array)),
        DataType::Date64 => {
            let values = array.as_primitive::<Date64Type>().values();
            Kind::Date(values.iter().map(|v| v.div_euclid(DAY_MILLIS)).collect())
        }
        DataType::Timestamp(unit, _) => Kind::Moment(as_int64(array)?, micros(unit)),
        DataType::Time64(unit) => Kind::Time(as_int64(array)?.to_vec(), micros(unit)),
        DataType::Time32(unit) => {
            let values: PrimitiveArray<Int32Type> = reinterpreted(array, DataType::Int32)?;
            Kind::Time(values.values().iter().map(|v| (*v).into()).collect(), micros(unit))
        }
        DataType::Duration(unit) => Kind::Duration(as_int64(array)?, micros(unit)),
        DataType::Interval(_) => {
            Kind::Interval(array.as_primitive::<IntervalMonthDayNanoType>().values().clone())
        }
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let values = Values::new(dictionary.values())?;
            Kind::Dictionary(dictionary.normalized_keys(), Box::new(values))
        }
        _ => list_kind(array)?,
    })
}

fn list_kind(array: &ArrayRef) -> Result<Kind> {
    match array.data_type() {
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            let ends = list.offsets().windows(2).map(|w| (w[0] as usize, w[1] as usize));
            items(ends.collect(), item, list.values())
        }
        DataType::LargeList(item) => {
            let list = array.as_list::<i64>();
            let ends = list.offsets().windows(2).map(|w| (w[0] as usize, w[1] as usize));
            items(ends.collect(), item, list.values())
        }
        DataType::FixedSizeList(item, size) => {
            let list = array.as_fixed_size_list();
            let size = *size as usize;
            let ends = (0..list.len()).map(|row| (row * size, (row + 1) * size));
            items(ends.collect(), item, list.values())
        }
        other => Err(Error::internal(format!("{other} was not refused"))),
    }
}

/// Numbers in a wider type.
fn widened<T: ArrowPrimitiveType, W: From<T::Native>>(array: &ArrayRef) -> Vec<W> {
    array.as_primitive::<T>().values().iter().map(|value| (*value).into()).collect()
}

fn items(ends: Vec<(usize, usize)>, item: &Field, values: &ArrayRef) -> Result<Kind> {
    let oid = if is_uuid(item) { Some(UUID_OID) } else { oid(values.data_type()) };
    let oid = oid.ok_or_else(|| Error::internal(format!("a list of {}", values.data_type())))?;
    Ok(Kind::List { ends, items: Box::new(Values::new(values)?), oid })
}

const UUID_OID: i32 = 2950;

/// PostgreSQL's number for a type, which an array names for its elements.
fn oid(data_type: &DataType) -> Option<i32> {
    Some(match data_type {
        DataType::Boolean => 16,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => 21,
        DataType::Int32 | DataType::UInt16 => 23,
        DataType::Int64 | DataType::UInt32 => 20,
        DataType::Float32 => 700,
        DataType::Float64 => 701,
        DataType::UInt64
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => 1700,
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => 25,
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => 17,
        DataType::Date32 | DataType::Date64 => 1082,
        DataType::Time32(_) | DataType::Time64(_) => 1083,
        DataType::Timestamp(_, None) => 1114,
        DataType::Timestamp(_, Some(_)) => 1184,
        DataType::Duration(_) | DataType::Interval(_) => 1186,
        DataType::Dictionary(_, value) => oid(value)?,
        _ => return None,
    })
}

fn decimal(scale: i8, values: impl Iterator<Item = i64>) -> Kind {
    match u8::try_from(scale) {
        Ok(scale) => Kind::Short(values.collect(), scale),
        Err(_) => wide(scale, values.map(|value| i256::from_i128(value.into()))),
    }
}

fn wide(scale: i8, values: impl Iterator<Item = i256>) -> Kind {
    match u8::try_from(scale) {
        Ok(scale) => Kind::Wide(values.collect(), scale),
        Err(_) => {
            let factor = i256::from_i128(10).wrapping_pow(u32::from(scale.unsigned_abs()));
            Kind::Wide(values.map(|value| value.wrapping_mul(factor)).collect(), 0)
        }
    }
}

fn as_int64(array: &ArrayRef) -> Result<ScalarBuffer<i64>> {
    let values: PrimitiveArray<Int64Type> = reinterpreted(array, DataType::Int64)?;
    Ok(values.values().clone())
}

/// The same bits, as plain numbers.
fn reinterpreted<T: longshore_sdk::array::ArrowPrimitiveType>(
    array: &ArrayRef,
    plain: DataType,
) -> Result<PrimitiveArray<T>> {
    let data = array.to_data().into_builder().data_type(plain).build()?;
    Ok(make_array(data).as_primitive::<T>().clone())
}

fn text(array: &ArrayRef, row: usize) -> &str {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row),
        _ => array.as_string_view().value(row),
    }
}

fn bytes(array: &ArrayRef, row: usize) -> &[u8] {
    match array.data_type() {
        DataType::Binary => array.as_binary::<i32>().value(row),
        DataType::LargeBinary => array.as_binary::<i64>().value(row),
        DataType::BinaryView => array.as_binary_view().value(row),
        _ => array.as_fixed_size_binary().value(row),
    }
}

fn sized(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(&(value.len() as i32).to_be_bytes());
    out.extend_from_slice(value);
}

fn put_text_value(out: &mut Vec<u8>, text: &str) -> Result<(), String> {
    if text.as_bytes().contains(&0) {
        Err("a text with the character NUL, which PostgreSQL cannot hold".into())
    } else {
        sized(out, text.as_bytes());
        Ok(())
    }
}

fn put_interval(out: &mut Vec<u8>, micros: i64, days: i32, months: i32) {
    out.extend_from_slice(&16_i32.to_be_bytes());
    out.extend_from_slice(&micros.to_be_bytes());
    out.extend_from_slice(&days.to_be_bytes());
    out.extend_from_slice(&months.to_be_bytes());
}

/// An array of one dimension, counted from 1; an empty one has none.
fn put_list(
    out: &mut Vec<u8>,
    (from, to): (usize, usize),
    items: &Values,
    oid: i32,
) -> Result<(), String> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let dimensions = i32::from(to > from);
    let has_nulls =
        items.nulls.as_ref().is_some_and(|nulls| (from..to).any(|item| nulls.is_null(item)));
    out.extend_from_slice(&dimensions.to_be_bytes());
    out.extend_from_slice(&i32::from(has_nulls).to_be_bytes());
    out.extend_from_slice(&oid.to_be_bytes());
    if to > from {
        out.extend_from_slice(&((to - from) as i32).to_be_bytes());
        out.extend_from_slice(&1_i32.to_be_bytes());
        (from..to).try_for_each(|item| items.put(item, out))?;
    }
    let length = (out.len() - start - 4) as i32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

fn inexact(value: i64, unit: Micros) -> String {
    match unit {
        Micros::Over(_) => {
            format!("{value} ns are no whole microseconds, which is what PostgreSQL keeps")
        }
        Micros::Times(_) => "a time beyond PostgreSQL's".to_owned(),
    }
}
