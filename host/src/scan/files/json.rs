//! JSON lines: an object a line.

use std::collections::HashMap;
use std::fmt;
use std::io::Cursor;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::{Decoder, infer_json_schema};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::look::Looked;
use super::text::{BATCH_ROWS, Decode};
use crate::config::files::Files;
use crate::error::Error;

/// The columns of a text, and how many of its rows were looked at.
pub(super) fn sample(files: &Files, text: &[u8]) -> Result<(Fields, usize), Error> {
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    if let Some(byte) = first.filter(|byte| **byte != b'{') {
        let what = if *byte == b'[' { "an array" } else { "no object" };
        return Err(Error::data(format!("begins with {what}: JSON is read as an object a line"))
            .with_hint("make lines of it, as with `jq -c '.[]'`"));
    }
    let (schema, rows) =
        infer_json_schema(Cursor::new(text), Some(files.sample_rows)).map_err(|error| {
            Error::data(error.to_string())
                .with_hint("JSON is read as an object a line: mend the line, or name types under `source.columns`")
        })?;
    let mut order = KeyOrder::default();
    for line in text.split(|byte| *byte == b'\n').take(files.sample_rows) {
        // What cannot be read is told where it is read.
        let _ = (&mut order).deserialize(&mut serde_json::Deserializer::from_slice(line));
    }
    let mut fields: Vec<FieldRef> = schema.fields.iter().cloned().collect();
    fields.sort_by_key(|field| order.0.get(field.name()).copied());
    Ok((fields.into(), rows))
}

/// The places of keys, in the order in which they first come.
#[derive(Default)]
struct KeyOrder(HashMap<String, usize>);

impl<'de> DeserializeSeed<'de> for &mut KeyOrder {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, line: D) -> Result<(), D::Error> {
        line.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut KeyOrder {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let next = self.0.len();
            self.0.entry(key).or_insert(next);
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Decodes records into all columns of the files: a key that none of them is, is an error and not lost.
pub(super) struct JsonDecoder {
    schema: SchemaRef,
    decoder: Decoder,
}

impl JsonDecoder {
    pub(super) fn new(looked: &Looked) -> Result<Self, Error> {
        let schema = Arc::new(Schema::new(looked.file_fields().to_vec()));
        let decoder = decoder(&schema).map_err(|error| Error::data(error.to_string()))?;
        Ok(Self { schema, decoder })
    }
}

fn decoder(schema: &SchemaRef) -> Result<Decoder, ArrowError> {
    ReaderBuilder::new(schema.clone())
        .with_strict_mode(true)
        .with_batch_size(BATCH_ROWS)
        .build_decoder()
}

impl Decode for JsonDecoder {
    fn decode(&mut self, mut block: &[u8]) -> Result<Vec<RecordBatch>, ArrowError> {
        let mut decode = || {
            let mut batches = Vec::new();
            loop {
                let read = self.decoder.decode(block)?;
                block = &block[read..];
                if block.is_empty() && self.decoder.has_partial_record() {
                    return Err(ArrowError::JsonError("the line ends within a value".into()));
                }
                match self.decoder.flush()? {
                    Some(batch) => batches.push(batch),
                    None if block.is_empty() => return Ok(batches),
                    None => {}
                }
            }
        };
        let decoded = decode();
        if decoded.is_err() {
            self.decoder = decoder(&self.schema)?;
        }
        decoded
    }
}
