//! JSON: what Arrow's writer would lose is written as text. Dates, times and moments beyond its calendar,
//! and numbers that JSON has none for: `"NaN"`, `"Infinity"`, `"-Infinity"`.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    DurationMillisecondType, DurationSecondType, Float16Type, Float32Type, Float64Type,
};
use arrow_array::{Array, MapArray};
use arrow_json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder, make_encoder};
use arrow_schema::{ArrowError, DataType, FieldRef, TimeUnit};

use super::temporal::{Write, temporal_writer};

/// The most milliseconds that a duration has as text.
const DURATION_LIMIT_MILLIS: u64 = i64::MAX as u64;

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
        options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        check_durations(array)?;
        let encoder: Box<dyn Encoder> = match array.data_type() {
            DataType::Map(..) => Box::new(Map::new(array.as_map(), options)?),
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

/// Maps as objects. A key that is no text stands there as its text.
struct Map<'a> {
    array: &'a MapArray,
    keys: NullableEncoder<'a>,
    values: NullableEncoder<'a>,
}

impl<'a> Map<'a> {
    fn new(array: &'a MapArray, options: &'a EncoderOptions) -> Result<Self, ArrowError> {
        let (DataType::Map(entries, _), DataType::Struct(fields)) =
            (array.data_type(), array.entries().data_type())
        else {
            return Err(ArrowError::JsonError("a map without entries".into()));
        };
        let [key, value] = fields.as_ref() else {
            return Err(ArrowError::JsonError(format!("{} has not two columns", entries.name())));
        };
        if key.data_type().is_nested() {
            let kind = key.data_type();
            return Err(ArrowError::JsonError(format!("no key can be of type {kind}")));
        }
        let mut map = Self {
            array,
            keys: make_encoder(key, array.keys(), options)?,
            values: make_encoder(value, array.values(), options)?,
        };
        map.refuse_repeated_keys()?;
        Ok(map)
    }

    /// Readers of JSON keep one of the values of a key.
    fn refuse_repeated_keys(&mut self) -> Result<(), ArrowError> {
        let mut seen = HashSet::new();
        for row in (0..self.array.len()).filter(|row| self.array.is_valid(*row)) {
            seen.clear();
            for entry in self.entries(row) {
                let mut key = Vec::new();
                self.write_key(entry, &mut key);
                if let Some(key) = seen.replace(key) {
                    let key = String::from_utf8_lossy(&key);
                    return Err(ArrowError::JsonError(format!("a map has the key {key} twice")));
                }
            }
        }
        Ok(())
    }

    fn entries(&self, row: usize) -> Range<usize> {
        let offsets = self.array.value_offsets();
        offsets[row] as usize..offsets[row + 1] as usize
    }

    fn write_key(&mut self, entry: usize, out: &mut Vec<u8>) {
        let start = out.len();
        self.keys.encode(entry, out);
        if out.get(start) != Some(&b'"') {
            out.insert(start, b'"');
            out.push(b'"');
        }
    }
}

impl Encoder for Map<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        for (place, entry) in self.entries(row).enumerate() {
            if place > 0 {
                out.push(b',');
            }
            self.write_key(entry, out);
            out.push(b':');
            if self.values.is_null(entry) {
                out.extend_from_slice(b"null");
            } else {
                self.values.encode(entry, out);
            }
        }
        out.push(b'}');
    }
}

/// Refuses durations that have no text: as it is made of them, they are counted in milliseconds.
pub(super) fn check_durations(array: &dyn Array) -> Result<(), ArrowError> {
    let beyond = |limit: u64| move |value: &i64| value.unsigned_abs() > limit;
    let found = match array.data_type() {
        DataType::Duration(TimeUnit::Second) => {
            let seconds = array.as_primitive::<DurationSecondType>();
            seconds.iter().flatten().find(beyond(DURATION_LIMIT_MILLIS / 1_000))
        }
        DataType::Duration(TimeUnit::Millisecond) => {
            let millis = array.as_primitive::<DurationMillisecondType>();
            millis.iter().flatten().find(beyond(DURATION_LIMIT_MILLIS))
        }
        _ => None,
    };
    let Some(value) = found else { return Ok(()) };
    let kind = array.data_type();
    Err(ArrowError::InvalidArgumentError(format!("{value} of {kind} has no text")))
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
    use arrow_schema::Field;

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

    fn map(rows: &[&[(i32, Option<&str>)]]) -> MapArray {
        let (keys, values) = (builder::Int32Builder::new(), builder::StringBuilder::new());
        let mut map = builder::MapBuilder::new(None, keys, values);
        for row in rows {
            for (key, value) in *row {
                map.keys().append_value(*key);
                map.values().append_option(*value);
            }
            map.append(true).unwrap();
        }
        map.finish()
    }

    #[test]
    fn a_map_is_an_object_whatever_its_keys_are() {
        let map = map(&[&[(1, Some("x")), (-2, None)], &[], &[(1, Some("y"))]]);
        assert_eq!(
            json(map),
            "{\"v\":{\"1\":\"x\",\"-2\":null}}\n{\"v\":{}}\n{\"v\":{\"1\":\"y\"}}\n"
        );
    }

    #[test]
    fn what_json_cannot_hold_is_an_error() {
        let twice = map(&[&[(1, None), (1, None)]]);
        let longest = DurationSecondArray::from(vec![i64::MAX]);
        let arrays: [(ArrayRef, &str); 2] =
            [(Arc::new(twice), "the key \"1\" twice"), (Arc::new(longest), "has no text")];
        for (array, cause) in arrays {
            let field = Arc::new(Field::new("v", array.data_type().clone(), true));
            let options = json_options();
            let Err(error) = make_encoder(&field, &array, &options) else { panic!("{cause}") };
            assert!(error.to_string().contains(cause), "{error}");
        }
    }
}
