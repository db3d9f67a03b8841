//! Lines of JSON, an object each. Each value is read from the text that stands in the file.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ListArray, NullBufferBuilder, RecordBatch, RecordBatchOptions, StructArray,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use longshore_model::config::files::{BadRows, Files};
use longshore_model::error::{Error, Result};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::column::{Column, Strictness, shown_value, type_word};
use super::decode::{BATCH_ROWS, BadRow, Cell, Decode, Sample, utf8};
use super::file_info::FilesInfo;
use super::json_shape::{Shape, unquoted};
use super::json_values::Layout;
use super::json_wrong::Wrong;

/// The columns of a text, and how many of its rows were looked at.
pub(super) fn sample(files: &Files, layout: Layout, text: &[u8]) -> Result<Sample> {
    let mut shapes = Shape::Unseen;
    let (mut rows, mut first_bad) = (0, None);
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if rows == files.sample_rows {
            break;
        }
        match shape(files, line) {
            Ok(None) => {}
            Ok(Some(shape)) => {
                shapes = shapes.join(shape);
                rows += 1;
            }
            Err(wrong) if files.bad_rows == BadRows::Skip => {
                first_bad.get_or_insert((number, wrong));
            }
            Err(wrong) => return Err(no_row(layout, number, &wrong)),
        }
    }
    let doubt = first_bad.filter(|_| rows == 0).map(|(number, wrong)| {
        format!("no row of it can be read: {}: {wrong}", place(layout, number))
    });
    Ok(Sample { fields: shapes.fields()?, rows, doubt })
}

/// What a line looks like; nothing of an empty one.
fn shape(files: &Files, line: &[u8]) -> Result<Option<Shape>, Wrong> {
    let line = trimmed(utf8(line).ok_or(Wrong::NotUtf8)?);
    if line.is_empty() {
        return Ok(None);
    }
    Shape::of_row(line, &|name| files.columns.contains_key(name)).map(Some)
}

/// A line without the blanks of JSON around it.
fn trimmed(line: &str) -> &str {
    line.trim_matches([' ', '\t', '\r'])
}

/// The error for a line that is not a row.
fn no_row(layout: Layout, number: usize, wrong: &Wrong) -> Error {
    Error::data(format!("{}: {wrong}", place(layout, number))).with_hint(wrong.hint())
}

fn place(layout: Layout, number: usize) -> String {
    format!("{} {}", layout.row_word(), number + 1)
}

/// Decodes records into the columns that are wanted: a key that is no column is an error and not lost.
pub(super) struct JsonDecoder {
    schema: SchemaRef,
    files: Files,
    rows: Node,
    count: usize,
}

impl JsonDecoder {
    pub(super) fn new(files: &Files, info: &FilesInfo) -> Result<Self> {
        let schema = Arc::new(Schema::new(info.file_fields().to_vec()));
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
            let line = trimmed(line);
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
            return Err(Wrong::NoObject.into());
        }
        let bad = RefCell::new(None);
        let mut json = serde_json::Deserializer::from_str(line);
        let taken = Slot { node: &mut self.rows, bad: &bad }
            .deserialize(&mut json)
            .and_then(|()| json.end());
        taken
            .map_err(|error| bad.into_inner().unwrap_or_else(|| Wrong::syntax(line, &error).into()))
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

    fn another(&self) -> Result<Box<dyn Decode>> {
        let (schema, files) = (self.schema.clone(), self.files.clone());
        Ok(Box::new(Self { rows: rows_of(&schema, &files)?, schema, files, count: 0 }))
    }
}

fn rows_of(schema: &SchemaRef, files: &Files) -> Result<Node> {
    let reading = |field: &FieldRef| super::reading(files, field.name(), Strictness::Value);
    let is_declared = |field: &FieldRef| files.columns.contains_key(field.name());
    let nodes = schema
        .fields()
        .iter()
        .map(|field| Node::new(field, reading(field), is_declared(field), Path::of(field.name())));
    let nodes = nodes.collect::<Result<Vec<_>>>()?;
    let kind = NodeKind::of_nodes(schema.fields().clone(), nodes);
    Ok(Node { path: Path::of(""), data_type: DataType::Struct(schema.fields().clone()), kind })
}

/// The keys that lead to a value.
#[derive(Clone)]
struct Path {
    /// The first of them.
    column: String,
    /// All of them, with points between.
    whole: String,
}

impl Path {
    fn of(column: &str) -> Self {
        Self { column: column.to_owned(), whole: column.to_owned() }
    }

    fn key(&self, key: &str) -> Self {
        Self { column: self.column.clone(), whole: format!("{}.{key}", self.whole) }
    }
}

/// A column, or a part of one, that grows.
struct Node {
    path: Path,
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
    fn new(field: &Field, reading: Strictness, is_declared: bool, path: Path) -> Result<Self> {
        let kind = match field.data_type() {
            DataType::List(item) => NodeKind::List {
                item: Box::new(Self::new(item, reading, is_declared, path.clone())?),
                item_field: item.clone(),
                ends: vec![0],
                nulls: NullBufferBuilder::new(0),
            },
            DataType::Struct(fields) => {
                let node = |inner: &FieldRef| {
                    Self::new(inner, reading, is_declared, path.key(inner.name()))
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

    fn cell(&self) -> Cell<'_> {
        Cell { column: &self.path.column, path: &self.path.whole, data_type: &self.data_type }
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
            NodeKind::Leaf { column, .. } => column.finish(),
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
                self.bad.replace(Some(misfit(&self.node.cell(), raw)));
                Err(D::Error::custom("a value that does not fit"))
            }
            _ => json.deserialize_any(self),
        }
    }
}

impl Slot<'_> {
    fn refuse<T, E: serde::de::Error>(self, found: &str) -> Result<T, E> {
        self.bad.replace(Some(BadRow::kind(&self.node.cell(), found)));
        Err(E::custom("a value of another kind"))
    }
}

impl<'de> Visitor<'de> for Slot<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` as {}", self.node.path.whole, type_word(&self.node.data_type))
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.refuse("true or false")
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.refuse("a number")
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.refuse("a number")
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.refuse("a number")
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.refuse("a text")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.node.append_null();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let NodeKind::List { item, ends, nulls, .. } = &mut self.node.kind else {
            return self.refuse("an array");
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
            return self.refuse("an object");
        };
        let refuse = |bad: BadRow| {
            self.bad.replace(Some(bad));
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
                refuse(BadRow::shape(format!(
                    "the key '{key}' is in none of the files of the sample"
                )))
            })?;
            if given[place] == *count {
                return Err(refuse(Wrong::Twice(key.into_owned()).into()));
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

/// Why a value was not taken.
fn misfit(cell: &Cell<'_>, raw: &str) -> BadRow {
    let Some(text) = (if raw.starts_with('"') { unquoted(raw) } else { Some(raw.into()) }) else {
        return Wrong::Half(format!("column `{}`: {}", cell.path, shown_value(raw))).into();
    };
    BadRow::value(cell, &text, raw)
}

/// Appends a value as it stands in the file; false if it does not fit.
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
