//! JSON lines: an object a line. Each value is read from the text that stands in the file.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ListArray, NullBufferBuilder, RecordBatch, RecordBatchOptions, StructArray,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::column::{Column, Reading, type_word};
use super::json_shape::{Shape, is_object};
use super::look::Looked;
use super::text::{BATCH_ROWS, BadRow, Decode, utf8};
use crate::config::files::{BadRows, Files};
use crate::error::{Error, Result};

/// The columns of a text, and how many of its rows were looked at.
pub(super) fn sample(files: &Files, text: &[u8]) -> Result<(Fields, usize)> {
    let mut shapes = Shape::Unseen;
    let mut rows = 0;
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if rows == files.sample_rows {
            break;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let place = format!("line {}", number + 1);
        let line = utf8(line).ok_or_else(|| {
            Error::data(format!("{place} is not UTF-8"))
                .with_hint("convert the file to UTF-8, as with iconv")
        })?;
        rows += 1;
        match Shape::of_row(line.trim(), &|name| files.columns.contains_key(name)) {
            Ok(shape) => shapes = shapes.join(shape),
            Err(_) if files.bad_rows == BadRows::Skip && is_object(text) => {}
            Err(cause) => return Err(not_an_object(text, &place, &cause)),
        }
    }
    Ok((shapes.fields()?, rows))
}

/// What is wrong with a line that is no object, and what makes it one.
fn not_an_object(text: &[u8], place: &str, cause: &str) -> Error {
    let begins_with = text.iter().find(|byte| !byte.is_ascii_whitespace());
    let lines = "JSON is read as an object a line";
    if begins_with == Some(&b'[') {
        return Error::data(format!("begins with an array: {lines}"))
            .with_hint("make lines of it: jq -c '.[]' FILE > FILE.jsonl");
    }
    let is_one_value = std::str::from_utf8(text).is_ok_and(|text| {
        let mut values =
            serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
        values.next().is_some_and(|value| value.is_ok())
    });
    if is_one_value && place == "line 1" {
        return Error::data(format!("{place}: an object goes over several lines: {lines}"))
            .with_hint("make lines of it: jq -c . FILE > FILE.jsonl");
    }
    Error::data(format!("{place}: {cause}: {lines}"))
        .with_hint("correct the line, or leave such lines out with `bad_rows: skip`")
}

/// Decodes records into the columns that are wanted: a key that is no column is an error and not lost.
pub(super) struct JsonDecoder {
    schema: SchemaRef,
    files: Files,
    rows: Node,
    count: usize,
}

impl JsonDecoder {
    pub(super) fn new(files: &Files, looked: &Looked) -> Result<Self> {
        let schema = Arc::new(Schema::new(looked.file_fields().to_vec()));
        let rows = rows_of(&schema, files)?;
        Ok(Self { schema, files: files.clone(), rows, count: 0 })
    }

    fn batch(&mut self) -> Result<RecordBatch, BadRow> {
        let NodeKind::Struct { nodes, .. } = &mut self.rows.kind else {
            return Err(BadRow::internal(&"rows are no objects"));
        };
        let columns = nodes.iter_mut().map(Node::finish).collect::<Result<Vec<_>, _>>()?;
        let options =
            RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.count)));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|error| BadRow::internal(&error))
    }

    fn all(&mut self, block: &[u8]) -> Result<Vec<RecordBatch>, BadRow> {
        let text = utf8(block).ok_or_else(BadRow::not_utf8)?;
        let mut batches = Vec::new();
        for line in text.split('\n') {
            let line = line.trim_matches([' ', '\t', '\r']);
            if line.is_empty() {
                continue;
            }
            self.take(line)?;
            self.count += 1;
            if self.count == BATCH_ROWS {
                batches.push(self.batch()?);
            }
        }
        if self.count > 0 {
            batches.push(self.batch()?);
        }
        Ok(batches)
    }

    fn take(&mut self, line: &str) -> Result<(), BadRow> {
        if !line.starts_with('{') {
            return Err(BadRow::shape("the line is no object".into()));
        }
        let bad = RefCell::new(None);
        let mut json = serde_json::Deserializer::from_str(line);
        let taken = Slot { node: &mut self.rows, bad: &bad }
            .deserialize(&mut json)
            .and_then(|()| json.end());
        taken.map_err(|error| bad.into_inner().unwrap_or_else(|| BadRow::json(&error)))
    }
}

impl Decode for JsonDecoder {
    fn decode(&mut self, block: &[u8]) -> Result<Vec<RecordBatch>, BadRow> {
        let decoded = self.all(block);
        if decoded.is_err() {
            self.rows =
                rows_of(&self.schema, &self.files).map_err(|error| BadRow::internal(&error))?;
            self.count = 0;
        }
        decoded
    }
}

fn rows_of(schema: &SchemaRef, files: &Files) -> Result<Node> {
    let reading = |field: &FieldRef| files.reading(field.name(), Reading::Value);
    let is_declared = |field: &FieldRef| files.columns.contains_key(field.name());
    let nodes = schema
        .fields()
        .iter()
        .map(|field| Node::new(field, reading(field), is_declared(field), field.name().clone()));
    let nodes = nodes.collect::<Result<Vec<_>>>()?;
    let kind = NodeKind::of_nodes(schema.fields().clone(), nodes);
    Ok(Node { path: String::new(), data_type: DataType::Struct(schema.fields().clone()), kind })
}

/// A column, or a part of one, that grows.
struct Node {
    /// The keys that lead to it.
    path: String,
    data_type: DataType,
    kind: NodeKind,
}

enum NodeKind {
    Leaf {
        column: Column,
        /// A declared text takes whatever stands there.
        takes_all: bool,
    },
    List {
        item: Box<Node>,
        item_field: FieldRef,
        ends: Vec<i32>,
        nulls: NullBufferBuilder,
    },
    Struct {
        fields: Fields,
        nodes: Vec<Node>,
        /// For each of them, the last value that it had, counted from 1.
        given: Vec<usize>,
        count: usize,
        nulls: NullBufferBuilder,
    },
}

impl NodeKind {
    fn of_nodes(fields: Fields, nodes: Vec<Node>) -> Self {
        let given = vec![0; nodes.len()];
        Self::Struct { fields, nodes, given, count: 0, nulls: NullBufferBuilder::new(0) }
    }
}

impl Node {
    fn new(field: &Field, reading: Reading, is_declared: bool, path: String) -> Result<Self> {
        let kind = match field.data_type() {
            DataType::List(item) => NodeKind::List {
                item: Box::new(Self::new(item, reading, is_declared, path.clone())?),
                item_field: item.clone(),
                ends: vec![0],
                nulls: NullBufferBuilder::new(0),
            },
            DataType::Struct(fields) => {
                let node = |inner: &FieldRef| {
                    Self::new(inner, reading, is_declared, format!("{path}.{}", inner.name()))
                };
                NodeKind::of_nodes(fields.clone(), fields.iter().map(node).collect::<Result<_>>()?)
            }
            leaf => NodeKind::Leaf {
                column: Column::new(leaf, reading)?,
                takes_all: is_declared && *leaf == DataType::Utf8,
            },
        };
        Ok(Self { path, data_type: field.data_type().clone(), kind })
    }

    fn append_null(&mut self) {
        match &mut self.kind {
            NodeKind::Leaf { column, .. } => column.append_null(),
            NodeKind::List { ends, nulls, .. } => {
                ends.push(*ends.last().unwrap_or(&0));
                nulls.append_null();
            }
            NodeKind::Struct { nodes, count, nulls, .. } => {
                nodes.iter_mut().for_each(Self::append_null);
                *count += 1;
                nulls.append_null();
            }
        }
    }

    /// All values so far; it is empty then.
    fn finish(&mut self) -> Result<ArrayRef, BadRow> {
        let fault = |error: arrow::error::ArrowError| BadRow::internal(&error);
        Ok(match &mut self.kind {
            NodeKind::Leaf { column, .. } => column.finish().map_err(|text| {
                BadRow::value(&Field::new(&self.path, self.data_type.clone(), true), &text)
            })?,
            NodeKind::List { item, item_field, ends, nulls } => {
                let ends = OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(ends, vec![0])));
                let list =
                    ListArray::try_new(item_field.clone(), ends, item.finish()?, nulls.finish());
                Arc::new(list.map_err(fault)?)
            }
            NodeKind::Struct { fields, nodes, given, count, nulls } => {
                given.fill(0);
                let count = std::mem::take(count);
                let columns = nodes.iter_mut().map(Self::finish).collect::<Result<Vec<_>, _>>()?;
                let array = StructArray::try_new_with_length(
                    fields.clone(),
                    columns,
                    nulls.finish(),
                    count,
                );
                Arc::new(array.map_err(fault)?)
            }
        })
    }
}

/// Where a value goes, and what is wrong with it, if it does not.
struct Slot<'a> {
    node: &'a mut Node,
    bad: &'a RefCell<Option<BadRow>>,
}

impl<'de> DeserializeSeed<'de> for Slot<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        match &mut self.node.kind {
            NodeKind::Leaf { column, takes_all } => {
                let raw = <&RawValue>::deserialize(json)?.get();
                if take_leaf(column, *takes_all, raw) {
                    return Ok(());
                }
                let field = Field::new(&self.node.path, self.node.data_type.clone(), true);
                self.bad.replace(Some(BadRow::value(&field, raw)));
                Err(D::Error::custom("a value that does not fit"))
            }
            _ => json.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Slot<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` as {}", self.node.path, type_word(&self.node.data_type))
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.node.append_null();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let NodeKind::List { item, ends, nulls, .. } = &mut self.node.kind else {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self));
        };
        let mut end = *ends.last().unwrap_or(&0);
        while items.next_element_seed(Slot { node: item, bad: self.bad })?.is_some() {
            end = end.checked_add(1).ok_or_else(|| A::Error::custom("too many items"))?;
        }
        ends.push(end);
        nulls.append_non_null();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let NodeKind::Struct { fields, nodes, given, count, nulls } = &mut self.node.kind else {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Map, &self));
        };
        let refuse = |text: String| {
            self.bad.replace(Some(BadRow::shape(text)));
            A::Error::custom("a key that does not fit")
        };
        *count += 1;
        let mut next = 0;
        while let Some(key) = map.next_key::<Key<'de>>()? {
            let key = key.0;
            // Keys mostly come in the same order.
            let is_next = fields.get(next).is_some_and(|field| *field.name() == *key);
            let place =
                if is_next { Some(next) } else { fields.iter().position(|f| *f.name() == *key) };
            let place = place.ok_or_else(|| {
                refuse(format!("the key '{key}' is in none of the files of the sample"))
            })?;
            if given[place] == *count {
                return Err(refuse(format!("the key `{key}` comes twice")));
            }
            given[place] = *count;
            next = place + 1;
            map.next_value_seed(Slot { node: &mut nodes[place], bad: self.bad })?;
        }
        for (node, given) in nodes.iter_mut().zip(given) {
            if *given != *count {
                node.append_null();
            }
        }
        nulls.append_non_null();
        Ok(())
    }
}

/// A key, copied only where it holds escapes.
struct Key<'de>(std::borrow::Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(text.into()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(text.to_owned().into()))
            }
        }
        json.deserialize_str(Visit)
    }
}

/// Takes a value as it stands in the file; whether it fits.
fn take_leaf(column: &mut Column, takes_all: bool, raw: &str) -> bool {
    match raw.as_bytes().first() {
        Some(b'n') => {
            column.append_null();
            true
        }
        Some(b'"') => {
            let Some(text) = unquoted(raw) else { return false };
            let is_number_word =
                column.is_floating() && matches!(&*text, "NaN" | "Infinity" | "-Infinity");
            (column.is_quoted_in_json() || is_number_word) && column.append(&text)
        }
        Some(b'{' | b'[') => takes_all && column.append(raw),
        Some(first) => {
            let is_number = !matches!(first, b't' | b'f');
            let fits = if column.is_text() { takes_all } else { column.is_bare_in_json(is_number) };
            fits && column.append(raw)
        }
        None => false,
    }
}

/// A text without its quotes and escapes; nothing for half of a surrogate pair.
pub(super) fn unquoted(raw: &str) -> Option<std::borrow::Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    match inner.contains('\\') {
        false => Some(inner.into()),
        true => serde_json::from_str::<String>(raw).ok().map(Into::into),
    }
}
