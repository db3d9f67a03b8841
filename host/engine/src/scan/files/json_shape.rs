//! What JSON values look like, and which type holds all of them as they stand.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use longshore_model::error::{Error, Result};
use longshore_values::{Exactness, MAX_EXACT_INTEGER, read_decimal, read_f64, read_integer};
use serde_json::value::RawValue;

use super::column::shown_value;
use super::json_wrong::{DEPTH_LIMIT, Wrong, key_word};

/// The most digits of a decimal number.
const DECIMAL_DIGITS: u8 = 38;

/// So many keys are compared with each other: that is quicker than to keep them.
const FEW_KEYS: usize = 16;

/// What some values of one place look like.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// Nothing but null.
    Unseen,
    Boolean,
    Integer {
        /// One is beyond what a double holds.
        large: bool,
    },
    /// Whole numbers beyond 64 bits.
    Decimal,
    Double,
    Text,
    List(Box<Shape>),
    /// By key, in the order in which they first came.
    Object(Vec<(String, Shape)>),
    /// No type holds all of them: two that do not go together.
    Mixed(&'static str, &'static str),
    /// A number that no type holds.
    Inexact(String),
}

impl Shape {
    /// Of a whole line; keys that are declared are not looked into.
    pub(super) fn of_row(line: &str, is_declared: &dyn Fn(&str) -> bool) -> Result<Self, Wrong> {
        if !line.starts_with('{') {
            return Err(Wrong::NoObject);
        }
        let mut shapes = Vec::new();
        for (key, value) in Pairs::of(line)?.0 {
            let shape = if is_declared(&key) {
                Self::of_declared(&key, value)?
            } else {
                Self::of(&key, value, 0)?
            };
            shapes.push((key, shape));
        }
        Ok(Self::Object(shapes))
    }

    /// What is declared as a text is kept as it stands, and need only be one.
    fn of_declared(column: &str, value: &RawValue) -> Result<Self, Wrong> {
        if value.get().starts_with('"') {
            Self::of(column, value, 0)?;
        }
        Ok(Self::Unseen)
    }

    /// The shape of a value in a column.
    pub(super) fn of(column: &str, value: &RawValue, depth: usize) -> Result<Self, Wrong> {
        let text = value.get();
        Ok(match text.as_bytes().first() {
            Some(b'n') | None => Self::Unseen,
            Some(b'"') if unquoted(text).is_none() => {
                return Err(Wrong::Half(format!("column `{column}`: {}", shown_value(text))));
            }
            Some(b'"') => Self::Text,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'[' | b'{') if depth == DEPTH_LIMIT => {
                return Err(Wrong::Deep(column.to_owned()));
            }
            Some(b'[') => {
                let items: Vec<&RawValue> =
                    serde_json::from_str(text).map_err(|error| Wrong::syntax(text, &error))?;
                let mut shape = Self::Unseen;
                for item in items {
                    shape = shape.join(Self::of(column, item, depth + 1)?);
                }
                Self::List(Box::new(shape))
            }
            Some(b'{') => {
                let mut shapes = Vec::new();
                for (key, value) in Pairs::of(text)?.0 {
                    shapes.push((key, Self::of(column, value, depth + 1)?));
                }
                Self::Object(shapes)
            }
            Some(_) => Self::of_number(text.as_bytes()),
        })
    }

    fn of_number(text: &[u8]) -> Self {
        if let Some(number) = read_integer(text) {
            return Self::Integer {
                large: number.unsigned_abs() > MAX_EXACT_INTEGER.unsigned_abs(),
            };
        }
        let is_whole = text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-');
        if is_whole && read_decimal(text, DECIMAL_DIGITS, 0).is_some() {
            return Self::Decimal;
        }
        match read_f64(text, Exactness::Value) {
            Some(_) => Self::Double,
            None => Self::Inexact(String::from_utf8_lossy(text).into_owned()),
        }
    }

    /// The narrowest shape that holds the values of both.
    pub(super) fn join(self, other: Self) -> Self {
        use Shape::*;
        match (self, other) {
            (Unseen, other) | (other, Unseen) => other,
            (bad @ (Mixed(..) | Inexact(_)), _) | (_, bad @ (Mixed(..) | Inexact(_))) => bad,
            (Integer { large: a }, Integer { large: b }) => Integer { large: a || b },
            (Integer { .. } | Decimal, Decimal) | (Decimal, Integer { .. }) => Decimal,
            (Integer { large: false }, Double) | (Double, Integer { large: false }) => Double,
            (List(a), List(b)) => List(Box::new(a.join(*b))),
            (Object(a), Object(b)) => Object(joined(a, b)),
            (a, b) if a == b => a,
            (a, b) => Mixed(a.word(), b.word()),
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Unseen => "null",
            Self::Boolean => "true or false",
            Self::Integer { large: false } => "a whole number",
            Self::Integer { large: true } | Self::Decimal => "a whole number beyond doubles",
            Self::Double | Self::Inexact(_) => "a number with a fraction",
            Self::Text => "a text",
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
            Self::Mixed(..) => "several kinds",
        }
    }

    /// The columns of rows.
    pub(super) fn fields(self) -> Result<Fields> {
        let Self::Object(shapes) = self else { return Ok(Fields::empty()) };
        let field = |(key, shape): (String, Self)| {
            let data_type = shape.data_type(&key, &key)?;
            Ok(Arc::new(Field::new(key, data_type, true)))
        };
        let fields: Vec<FieldRef> = shapes.into_iter().map(field).collect::<Result<_>>()?;
        Ok(fields.into())
    }

    fn data_type(self, column: &str, path: &str) -> Result<DataType> {
        let as_text = |cause: String| {
            Error::data(format!("`{path}`: {cause}")).with_hint(format!(
                "keep the values as they stand: `source.columns: {{ {}: string }}`",
                key_word(column)
            ))
        };
        Ok(match self {
            Self::Unseen => DataType::Null,
            Self::Boolean => DataType::Boolean,
            Self::Integer { .. } => DataType::Int64,
            Self::Decimal => DataType::Decimal128(DECIMAL_DIGITS, 0),
            Self::Double => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::List(item) => {
                let item = item.data_type(column, path)?;
                DataType::List(Arc::new(Field::new_list_field(item, true)))
            }
            Self::Object(shapes) => {
                let field = |(key, shape): (String, Self)| {
                    let data_type = shape.data_type(column, &format!("{path}.{key}"))?;
                    Ok(Arc::new(Field::new(key, data_type, true)))
                };
                let fields: Vec<FieldRef> = shapes.into_iter().map(field).collect::<Result<_>>()?;
                if fields.is_empty() {
                    return Err(as_text("an object without keys is no column".into()));
                }
                DataType::Struct(fields.into())
            }
            Self::Mixed(a, b) => {
                return Err(as_text(format!("{a} in one row, and {b} in another")));
            }
            Self::Inexact(number) => {
                return Err(as_text(format!(
                    "no type holds the number {} exactly",
                    shown_value(&number)
                )));
            }
        })
    }
}

/// A text without its quotes and escapes; nothing for half of a surrogate pair.
pub(super) fn unquoted(raw: &str) -> Option<std::borrow::Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str::<String>(raw).ok().map(Into::into)
    } else {
        Some(inner.into())
    }
}

fn joined(mut a: Vec<(String, Shape)>, b: Vec<(String, Shape)>) -> Vec<(String, Shape)> {
    for (place, (key, shape)) in b.into_iter().enumerate() {
        let is_there = a.get(place).is_some_and(|(other, _)| *other == key);
        let place =
            if is_there { Some(place) } else { a.iter().position(|(other, _)| *other == key) };
        match place {
            Some(place) => {
                let own = std::mem::replace(&mut a[place].1, Shape::Unseen);
                a[place].1 = own.join(shape);
            }
            None => a.push((key, shape)),
        }
    }
    a
}

/// An object's keys and values, in their order.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Pairs<'a> {
    /// Those of an object in which no key comes twice.
    fn of(text: &'a str) -> Result<Self, Wrong> {
        let pairs: Self =
            serde_json::from_str(text).map_err(|error| Wrong::syntax(text, &error))?;
        match pairs.twice() {
            Some(key) => Err(Wrong::Twice(key.to_owned())),
            None => Ok(pairs),
        }
    }

    fn twice(&self) -> Option<&str> {
        let keys = || self.0.iter().map(|(key, _)| key.as_str());
        if self.0.len() <= FEW_KEYS {
            return keys()
                .enumerate()
                .find(|(at, key)| keys().take(*at).any(|k| k == *key))
                .map(|(_, key)| key);
        }
        let mut known = HashSet::with_capacity(self.0.len());
        keys().find(|key| !known.insert(*key))
    }
}

impl<'de: 'a, 'a> serde::Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> serde::de::Visitor<'de> for Visit {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(pairs)
            }
        }
        json.deserialize_map(Visit).map(Pairs)
    }
}
