//! A file of YAML, TOML or JSON, by its ending, as one tree of values.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::positions::positions;
use super::shape::check_shape;
use super::small_file::read_small_file;
use crate::error::{Error, Result, ResultExt};
use crate::json_syntax::syntax_words;

/// The largest file that is read: a job is written by people.
pub const DOCUMENT_LIMIT_BYTES: u64 = 4 << 20;

/// A parsed file.
#[derive(Clone, Debug)]
pub struct Document {
    value: Arc<Value>,
    text: String,
    ending: String,
    /// SHA-256 of its text, in hex.
    pub digest: String,
}

impl Document {
    /// Reads and parses a file.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_at("the job file", path, path)
    }

    /// Reads a file that is called `path` where it is held open; `what` says what it is for.
    pub fn read_at(what: &str, held: &Path, path: &Path) -> Result<Self> {
        let name = path.display();
        let bytes = read_small_file(what, held, DOCUMENT_LIMIT_BYTES).map_err(|error| {
            error.told(|text| text.replace(&held.display().to_string(), &name.to_string()))
        })?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::config(format!("{name}: not UTF-8 text: not a job file")))?;
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        Self::parse(&text, ending).context(name.to_string())
    }

    /// Parses a text whose format is named by a file's ending.
    pub fn parse(text: &str, ending: &str) -> Result<Self> {
        let ending = ending.to_ascii_lowercase();
        let value = match ending.as_str() {
            "yaml" | "yml" => parse_yaml(text),
            "toml" => parse_toml(text),
            "json" => {
                serde_json::from_str(text).map(Tree::into_value).map_err(|error| json_cause(&error))
            }
            other => {
                return Err(Error::config(format!("`.{other}` is not a format of Longshore's"))
                    .with_hint("name the file .yaml, .toml or .json"));
            }
        };
        let value = value.map_err(|cause| {
            // Only the first line: the rest draws the place, over several lines.
            let first = cause.lines().next().unwrap_or_default().to_owned();
            let hint = format!("correct the {ending} there");
            Error::config(format!("not valid {ending}: {first}")).with_hint(hint)
        })?;
        let digest = hex::encode(Sha256::digest(text));
        Ok(Self { value: value.into(), text: text.to_owned(), ending, digest })
    }

    /// A document that a program makes, and not a file.
    pub fn of_value(value: Value) -> Self {
        let digest = hex::encode(Sha256::digest(value.to_string()));
        Self { value: value.into(), text: String::new(), ending: String::new(), digest }
    }

    /// The same, with a value in the place of what a key says, such as `target.mode`. What is around it is made
    /// if it is not there. The text does not hold it any more, so that nothing has a line from now on.
    pub fn with(self, key: &str, value: Value) -> Self {
        let mut tree = Arc::unwrap_or_clone(self.value);
        *place(&mut tree, key) = value;
        Self::of_value(tree)
    }

    /// The same, with one more item in the list that a key holds.
    pub fn with_item(self, key: &str, item: Value) -> Self {
        let mut tree = Arc::unwrap_or_clone(self.value);
        match place(&mut tree, key) {
            Value::Array(items) => items.push(item),
            other => *other = vec![item].into(),
        }
        Self::of_value(tree)
    }

    /// Says where in the file the keys stand that an error names.
    pub fn locate(&self, error: Error) -> Error {
        let positions = positions(&self.text, &self.ending);
        error.map_each(|one| {
            let named = one.to_string();
            let mut words = named.split('`').skip(1).step_by(2);
            match words.find_map(|word| positions.get(word)) {
                Some((line, column)) => one.with_context(format!("line {line}, column {column}")),
                None => one,
            }
        })
    }

    /// The same of a text that is in no file: errors name its keys, and no places.
    pub fn in_no_file(self) -> Self {
        Self { text: String::new(), ..self }
    }

    /// Its tree of values.
    pub fn tree(&self) -> &Value {
        &self.value
    }

    /// The same, for whoever keeps it.
    pub(super) fn shared_tree(&self) -> Arc<Value> {
        self.value.clone()
    }

    /// Its keys, if it holds nothing else. An empty file has none.
    pub(super) fn entries(&self) -> Option<BTreeMap<String, Value>> {
        match &*self.value {
            Value::Null => Some(BTreeMap::new()),
            Value::Object(map) => Some(map.clone().into_iter().collect()),
            _ => None,
        }
    }

    /// One of its parts, without these keys, if it then has that form.
    pub fn part<T: DeserializeOwned>(&self, name: &str, without: &[&str]) -> Option<T> {
        let mut part = self.value.get(name)?.as_object()?.clone();
        part.retain(|key, _| !without.contains(&key.as_str()));
        serde_json::from_value(Value::Object(part)).ok()
    }

    /// The values as a type, whose JSON Schema tells the known keys.
    pub fn typed<T: DeserializeOwned + schemars::JsonSchema>(&self) -> Result<T> {
        if !self.value.is_object() {
            return Err(Error::config("the file holds no keys")
                .with_hint("begin with `source:`, as in the README's first job"));
        }
        typed("", Value::clone(&self.value)).map_err(|error| self.locate(error))
    }
}

fn json_cause(error: &serde_json::Error) -> String {
    match syntax_words(error) {
        Some(words) => format!("{words}, at line {} column {}", error.line(), error.column()),
        None => error.to_string(),
    }
}

/// The place of a key within a tree.
fn place<'a>(tree: &'a mut Value, key: &str) -> &'a mut Value {
    key.split('.').fold(tree, |within, name| {
        if !within.is_object() {
            *within = Value::Object(Map::new());
        }
        &mut within[name]
    })
}

/// The value at a path, as a type, whose JSON Schema tells the known keys.
pub(super) fn typed<T: DeserializeOwned + schemars::JsonSchema>(
    at: &str,
    mut value: Value,
) -> Result<T> {
    Error::all(check_shape(schemars::schema_for!(T).as_value(), at, &mut value))?;
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = join(at, &error.path().to_string());
        let cause = error.into_inner().to_string();
        Error::config(match path.as_str() {
            "" => cause,
            path => format!("`{path}`: {cause}"),
        })
    })
}

/// `.` stands for the whole.
fn join(at: &str, path: &str) -> String {
    match (at, path) {
        (at, ".") => at.to_owned(),
        ("", path) => path.to_owned(),
        (at, path) => format!("{at}.{path}"),
    }
}

/// YAML 1.2: a column that is called `n` or `yes` is no boolean.
fn parse_yaml(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! { strict_booleans: true };
    // Each is a line break in YAML. The library counts no lines after a carriage return alone.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    serde_saphyr::from_str_with_options(&text, options).map(Tree::into_value).map_err(|error| {
        let said = error.to_string();
        let said = said.strip_prefix("error: ").unwrap_or(&said);
        // What a program could set is no next step for whoever writes the file.
        let said = said.split(", set ").next().unwrap_or_default();
        match said.split_once("duplicate mapping key: ") {
            Some((place, key)) => format!("{place}the key `{key}` comes twice"),
            None => said.to_owned(),
        }
    })
}

fn parse_toml(text: &str) -> Result<Value, String> {
    toml::from_str(text).map(Tree::into_value).map_err(|error| {
        let span = error.span().unwrap_or_default();
        let line = text.get(..span.start).unwrap_or_default().matches('\n').count() + 1;
        match (error.message(), text.get(span)) {
            ("duplicate key", Some(key)) => format!("line {line}: the key `{key}` comes twice"),
            (message, _) => format!("line {line}: {message}"),
        }
    })
}

/// A tree of values whose keys are texts, however they are written (`null:` in YAML, too), and come once.
struct Tree(Value);

impl Tree {
    fn into_value(self) -> Value {
        self.0
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TreeVisitor).map(Self)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Tree(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(Key(key)) = entries.next_key()? {
            let Tree(value) = entries.next_value()?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("the key `{key}` comes twice")));
            }
            map.insert(key, value);
        }
        // TOML's dates come as a map with one key of the library's own.
        let date = map.get("$__toml_private_datetime").filter(|_| map.len() == 1).cloned();
        Ok(date.unwrap_or(Value::Object(map)))
    }
}

/// A key, as a text.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = match from.deserialize_any(TreeVisitor)? {
            Value::String(text) => text,
            Value::Array(_) | Value::Object(_) => return Err(D::Error::custom("a key is no text")),
            other => other.to_string(),
        };
        Ok(Self(text))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(text: &str, ending: &str) -> Result<Value, String> {
        Document::parse(text, ending)
            .map(|document| Arc::unwrap_or_clone(document.value))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_comes_once_in_every_format() {
        for (text, ending) in [
            ("a: 1\na: 2\n", "yaml"),
            ("{\"a\": 1, \"a\": 2}", "json"),
            ("a = 1\na = 2\n", "toml"),
            ("{\"x\": {\"a\": 1, \"b\": 0, \"a\": 2}}", "json"),
        ] {
            assert!(parse(text, ending).is_err(), "{text}");
        }
    }

    #[test]
    fn a_fault_has_a_line_whatever_breaks_the_lines() {
        for lines in ["\n", "\r\n", "\r"] {
            let text = ["", "source:", "  url: x", "  url: y", ""].join(lines);
            let error = parse(&text, "yaml").unwrap_err();
            assert!(error.contains("line 4") && error.contains("twice"), "{lines:?}: {error}");
            assert_eq!(
                parse(&["a: |", "  b", "  c", ""].join(lines), "yaml").unwrap()["a"],
                "b\nc\n"
            );
        }
    }

    #[test]
    fn a_program_puts_values_in_their_places() {
        let document = Document::parse("target: { url: a, mode: new }\n", "yaml").unwrap();
        let before = document.digest.clone();
        let document = document.with("target.mode", json!("append")).with("a.b.c", json!(1));
        let document = document.with_item("tables", json!("x")).with_item("tables", json!("y"));
        let tree = json!({
            "target": { "url": "a", "mode": "append" }, "a": { "b": { "c": 1 } },
            "tables": ["x", "y"],
        });
        assert_eq!(*document.value, tree);
        assert_ne!(document.digest, before);
    }

    #[test]
    fn keys_are_texts() {
        let value = json!({ "csv": { "null": "NA", "true": 1 } });
        assert_eq!(parse("csv: { null: NA, true: 1 }", "yaml").unwrap(), value);
        assert_eq!(parse("csv: { \"null\": \"NA\", \"true\": 1 }", "yaml").unwrap(), value);
    }

    #[test]
    fn all_formats_give_the_same_tree() {
        let value = json!({ "a": [1, -2, 1.5, true, "x"], "b": { "c": "2026-11-28" } });
        assert_eq!(
            parse("a: [1, -2, 1.5, true, x]\nb: { c: 2026-11-28 }\n", "yaml").unwrap(),
            value
        );
        assert_eq!(
            parse("a = [1, -2, 1.5, true, 'x']\nb = { c = 2026-11-28 }\n", "toml").unwrap(),
            value
        );
        assert_eq!(parse(&value.to_string(), "json").unwrap(), value);
    }
}
