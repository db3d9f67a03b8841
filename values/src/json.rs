//! JSON: what Arrow's writer would lose is written as text. Dates, times and moments beyond its calendar,
//! and numbers that JSON has none for: `"NaN"`, `"Infinity"`, `"-Infinity"`.

use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder};
use arrow_schema::{ArrowError, DataType, FieldRef};

use super::temporal::{Write, temporal_writer};

/// Writes values as this crate does; give it to Arrow's JSON writer.
#[derive(Debug)]
pub struct JsonValues;

/// How all JSON is written: every key of every row, NULL among them.
pub fn json_options() -> EncoderOptions {
    EncoderOptions::default().with_explicit_nulls(true).with_encoder_factory(Arc::new(JsonValues))
}

impl EncoderFactory for JsonValues {
    fn make_default_encoder<'a>(
        &self,
        _: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder> = match array.data_type() {
            DataType::Float16 => {
                let array = array.as_primitive::<Float16Type>();
                number(
                    move |row| f64::from(array.value(row).to_f32()),
                    move |row, out| {
                        write_debug(&array.value(row).to_f32(), out);
                    },
                )
            }
            DataType::Float32 => {
                let array = array.as_primitive::<Float32Type>();
                number(
                    move |row| f64::from(array.value(row)),
                    move |row, out| {
                        write_debug(&array.value(row), out);
                    },
                )
            }
            DataType::Float64 => {
                let array = array.as_primitive::<Float64Type>();
                number(
                    move |row| array.value(row),
                    move |row, out| {
                        write_debug(&array.value(row), out);
                    },
                )
            }
            _ => match temporal_writer(array) {
                Some(write) => Box::new(Quoted(write)),
                None => return Ok(None),
            },
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

/// Text that needs no escapes.
struct Quoted<'a>(Write<'a>);

impl Encoder for Quoted<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        out.push(b'"');
        (self.0)(row, out);
        out.push(b'"');
    }
}

/// Floating point numbers: as a number, in as few digits as bring it back, or as a word.
struct Number<V, W> {
    value: V,
    write: W,
}

fn number<'a>(
    value: impl Fn(usize) -> f64 + 'a,
    write: impl Fn(usize, &mut Vec<u8>) + 'a,
) -> Box<dyn Encoder + 'a> {
    Box::new(Number { value, write })
}

impl<V: Fn(usize) -> f64, W: Fn(usize, &mut Vec<u8>)> Encoder for Number<V, W> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let value = (self.value)(row);
        if value.is_finite() {
            return (self.write)(row, out);
        }
        let word: &[u8] = if value.is_nan() {
            b"\"NaN\""
        } else if value > 0.0 {
            b"\"Infinity\""
        } else {
            b"\"-Infinity\""
        };
        out.extend_from_slice(word);
    }
}

/// Rust writes the fewest digits that come back, and an exponent as JSON has it.
fn write_debug(value: &impl std::fmt::Debug, out: &mut Vec<u8>) {
    use std::io::Write;
    // Writing to memory does not fail.
    drop(write!(out, "{value:?}"));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::*;
    use arrow_json::writer::{LineDelimited, WriterBuilder};

    use super::*;

    fn json(array: impl Array + 'static) -> String {
        let batch = RecordBatch::try_from_iter([("v", Arc::new(array) as ArrayRef)]).unwrap();
        let mut out = Vec::new();
        let mut writer = WriterBuilder::new()
            .with_explicit_nulls(true)
            .with_encoder_factory(Arc::new(JsonValues))
            .build::<_, LineDelimited>(&mut out);
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn no_number_becomes_null() {
        let floats = [
            Some(1.5),
            Some(f64::NAN),
            None,
            Some(f64::INFINITY),
            Some(f64::NEG_INFINITY),
            Some(-0.0),
        ];
        assert_eq!(
            json(Float64Array::from(floats.to_vec())),
            "{\"v\":1.5}\n{\"v\":\"NaN\"}\n{\"v\":null}\n{\"v\":\"Infinity\"}\n{\"v\":\"-Infinity\"}\n{\"v\":-0.0}\n"
        );
    }

    #[test]
    fn dates_beyond_calendars_are_dates() {
        assert_eq!(json(Date32Array::from(vec![108_853_222])), "{\"v\":\"+300000-01-01\"}\n");
        let midnight = Time64MicrosecondArray::from(vec![86_400_000_000]);
        assert_eq!(json(midnight), "{\"v\":\"24:00:00\"}\n");
        let last = TimestampMicrosecondArray::from(vec![i64::MAX]).with_timezone("UTC");
        assert_eq!(json(last), "{\"v\":\"+294247-01-10T04:00:54.775807Z\"}\n");
        let lists =
            ListArray::from_iter_primitive::<types::Date32Type, _, _>([Some([Some(108_853_222)])]);
        assert_eq!(json(lists), "{\"v\":[\"+300000-01-01\"]}\n");
    }
}
