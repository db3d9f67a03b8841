//! Whether values have the shape that a JSON Schema tells: ours for job files and settings, a plugin's own for its
//! config. All that is wrong is told at once, in the words of whoever writes the file.

use serde_json::{Map, Number, Value, json};

use super::keys::{alternatives, is_closed, meant, nearest, unknown};
use crate::error::Error;

/// How deep values are looked into.
const DEPTH_LIMIT: usize = 64;

/// Parts of a job whose other keys are a connector's, a sink's or a transform's: those are checked where it is
/// known whose they are.
const OPEN_PARTS: [(&str, &[&str]); 4] = [
    ("source", &["url", "plugin", "direct", "kerberos"]),
    ("target", &["url", "mode", "plugin"]),
    ("register", &["url", "plugin", "location", "kerberos"]),
    ("transform", &["sql", "sql_file", "plugin"]),
];

/// What people write instead of words that are known.
const OTHER_WORDS: [(&str, &str); 8] = [
    ("overwrite", "replace"),
    ("truncate", "replace"),
    ("create", "error"),
    ("add", "append"),
    ("insert", "append"),
    ("jsonl", "json"),
    ("ndjson", "json"),
    ("ignore", "skip"),
];

/// All that is wrong with a value; `at` is its path. A single value becomes a list of one where a list is
/// wanted.
pub fn check_shape(schema: &Value, at: &str, value: &mut Value) -> Vec<Error> {
    let mut faults = Vec::new();
    walk(&Walk { root: schema, whole: at.is_empty(), depth: 0 }, &[schema], value, at, &mut faults);
    faults
}

#[derive(Clone, Copy)]
struct Walk<'a> {
    root: &'a Value,
    /// The whole file is looked at, not one of its parts.
    whole: bool,
    depth: usize,
}

fn walk(
    this: &Walk<'_>,
    schemas: &[&Value],
    value: &mut Value,
    path: &str,
    faults: &mut Vec<Error>,
) {
    if this.depth > DEPTH_LIMIT {
        return;
    }
    let inner = Walk { depth: this.depth + 1, ..*this };
    let schemas: Vec<&Value> =
        schemas.iter().flat_map(|schema| alternatives(this.root, schema, 0)).collect();
    let fitting: Vec<&Value> = schemas.iter().copied().filter(|s| accepts(s, value)).collect();
    if fitting.is_empty() && !schemas.is_empty() {
        let takes_one = |schema: &&Value| {
            let items = schema.get("items").map(|items| alternatives(this.root, items, 0));
            items.is_some_and(|items| items.iter().any(|item| accepts(item, value)))
        };
        if schemas.iter().any(takes_one) {
            *value = json!([value.take()]);
            return walk(&inner, &schemas, value, path, faults);
        }
        if !is_choice(&schemas) {
            faults.push(mismatch(&schemas, value, path));
        }
        return;
    }
    match value {
        Value::String(_) if is_choice(&schemas) => {}
        Value::String(word) => faults.extend(check_word(&fitting, word, path)),
        Value::Number(number) => faults.extend(check_number(&fitting, number, path)),
        Value::Object(map) => walk_object(&inner, &fitting, map, path, faults),
        Value::Array(items) => {
            let schemas: Vec<&Value> = fitting.iter().filter_map(|s| s.get("items")).collect();
            for (index, item) in items.iter_mut().enumerate() {
                walk(&inner, &schemas, item, &format!("{path}[{index}]"), faults);
            }
        }
        _ => {}
    }
}

fn walk_object(
    this: &Walk<'_>,
    schemas: &[&Value],
    map: &mut Map<String, Value>,
    path: &str,
    faults: &mut Vec<Error>,
) {
    let own = Some(own_keys(path)).filter(|own| this.whole && !own.is_empty());
    let mut misspelt = Vec::new();
    for (key, inner) in map.iter_mut() {
        let place = join(path, key);
        let known: Vec<&Value> =
            schemas.iter().filter_map(|schema| schema.get("properties")?.get(key)).collect();
        if known.is_empty() && is_closed(schemas) {
            let others = if this.whole { &[] } else { own_keys(path) };
            let meant = meant(key, schemas, others);
            misspelt.extend(meant);
            faults.push(unknown(&place, meant, schemas, others));
        } else if own.is_none_or(|own| own.contains(&key.as_str())) {
            let others = schemas.iter().filter_map(|schema| schema.get("additionalProperties"));
            let known =
                if known.is_empty() { others.filter(|s| s.is_object()).collect() } else { known };
            walk(this, &known, inner, &place, faults);
        }
    }
    if let [schema] = schemas {
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        let is_missing = |key: &&str| !map.contains_key(*key) && !misspelt.contains(key);
        for key in required.filter_map(Value::as_str).filter(is_missing) {
            faults.push(missing(&join(path, key)));
        }
    }
}

/// Whether several kinds of values are taken: such a type says itself what it wants, with an example.
fn is_choice(schemas: &[&Value]) -> bool {
    let mut kinds: Vec<&str> = schemas.iter().flat_map(|schema| kind_words(schema)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.len() > 1
}

/// The keys of an open part that are the same whoever reads it.
fn own_keys(path: &str) -> &'static [&'static str] {
    let part = path.split('[').next();
    OPEN_PARTS.iter().find(|(name, _)| Some(*name) == part).map_or(&[], |(_, keys)| keys)
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Whether a schema is about values of this kind.
fn accepts(schema: &Value, value: &Value) -> bool {
    let is_kind = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    };
    match schema.get("type") {
        Some(Value::String(kind)) => is_kind(kind),
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).any(is_kind),
        _ => match (schema.get("const"), schema.get("enum")) {
            (Some(word), _) => word.is_string() == value.is_string(),
            (None, Some(_)) => value.is_string(),
            (None, None) => true,
        },
    }
}

/// The words that a schema knows; nothing if it takes any text.
fn words(schema: &Value) -> Option<Vec<&str>> {
    if let Some(word) = schema.get("const") {
        return Some(word.as_str().into_iter().collect());
    }
    let words = schema.get("enum")?.as_array()?;
    Some(words.iter().filter_map(Value::as_str).collect())
}

fn check_word(schemas: &[&Value], word: &str, path: &str) -> Option<Error> {
    let known: Vec<&str> = schemas.iter().map(|s| words(s)).collect::<Option<Vec<_>>>()?.concat();
    if known.is_empty() || known.contains(&word) {
        return None;
    }
    let other = OTHER_WORDS.iter().find(|(from, to)| *from == word && known.contains(to));
    let near = other.map(|(_, to)| *to).or_else(|| nearest(word, known.iter().copied()));
    let all = known.join(", ");
    Some(Error::config(format!("`{path}`: `{word}` is not known")).with_hint(match near {
        Some(near) => format!("did you mean `{near}`? The words are {all}"),
        None => format!("the words are {all}"),
    }))
}

fn check_number(schemas: &[&Value], number: &Number, path: &str) -> Option<Error> {
    let [schema] = schemas else { return None };
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    // Beyond 64 bits it is no number of ours.
    let (least, most) = (bound("minimum"), bound("maximum"));
    let format = schema.get("format").and_then(Value::as_str);
    let most = most.or_else(|| (format == Some("uint32")).then_some(f64::from(u32::MAX)));
    let value = number.as_f64()?;
    let fits = least.is_none_or(|least| value >= least) && most.is_none_or(|most| value <= most);
    let wanted = match (least, most) {
        _ if fits => return None,
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(least), None) => format!("{least} or more"),
        (None, Some(most)) => format!("{most} or less"),
        (None, None) => return None,
    };
    Some(Error::config(format!("`{path}` is {number}")).with_hint(format!("give {wanted}")))
}

fn missing(path: &str) -> Error {
    let hint = match path {
        "source" => {
            "add `source: { url: .. }`, as in postgres://reader@db.internal:5432/shop".into()
        }
        "target" => "add `target: { url: .. }`, as in file:///lake/shop".into(),
        path => format!("add `{path}`"),
    };
    Error::config(format!("`{path}` is missing")).with_hint(hint)
}

fn mismatch(schemas: &[&Value], value: &Value, path: &str) -> Error {
    let mut wanted: Vec<&str> = schemas.iter().flat_map(|schema| kind_words(schema)).collect();
    wanted.dedup();
    let wanted = wanted.join(" or ");
    let error = match value {
        Value::Null => Error::config(format!("`{path}` is empty, and {wanted} is wanted")),
        _ => Error::config(format!("`{path}` is {}, and {wanted} is wanted", kind_of(value))),
    };
    match example(schemas, value, path) {
        Some(example) => error.with_hint(format!("write {example}")),
        None => error,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a whole number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a set of keys",
    }
}

fn kind_words(schema: &Value) -> Vec<&str> {
    let word = |kind: &str| match kind {
        "boolean" => Some("true or false"),
        "integer" => Some("a whole number"),
        "number" => Some("a number"),
        "string" => Some("a text"),
        "array" => Some("a list"),
        "object" => Some("a set of keys"),
        _ => None,
    };
    match schema.get("type") {
        Some(Value::String(kind)) => word(kind).into_iter().collect(),
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).filter_map(word).collect()
        }
        _ => vec!["a text"],
    }
}

/// What may have been meant.
fn example(schemas: &[&Value], value: &Value, path: &str) -> Option<String> {
    let key = path.rsplit('.').next().unwrap_or(path);
    let wants = |kind: &str| {
        schemas.iter().any(|schema| {
            schema.get("type") == Some(&json!(kind)) || {
                schema
                    .get("type")
                    .and_then(Value::as_array)
                    .is_some_and(|kinds| kinds.contains(&json!(kind)))
            }
        })
    };
    match value {
        Value::String(text) if wants("integer") => {
            bytes_of(text).map(|bytes| format!("`{key}: {bytes}`"))
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) => {
            let object =
                schemas.iter().find_map(|s| s.get("properties")?.as_object().map(|p| (s, p)));
            let (schema, properties) = object?;
            let required = schema.get("required").and_then(Value::as_array);
            let first = required.and_then(|keys| keys.first()?.as_str());
            let fits = || {
                properties
                    .iter()
                    .find(|(_, inner)| accepts(inner, value))
                    .map(|(key, _)| key.as_str())
            };
            let likely = || {
                let is_query = value.as_str().is_some_and(|text| text.contains(' '));
                let word = if is_query { "sql" } else { "rows" };
                properties.get(word).filter(|inner| accepts(inner, value)).map(|_| word)
            };
            let inner = first.or_else(likely).or_else(fits)?;
            let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Some(format!("`{key}: {{ {inner}: {shown} }}`"))
        }
        _ => None,
    }
}

/// `64MB` in bytes.
fn bytes_of(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit: u64 = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(value: Value) -> Vec<String> {
        let schema = crate::config::job_schema();
        let mut value = value;
        let told = |error: &Error| format!("{error} -> {}", error.hint().unwrap_or("-"));
        check_shape(&schema, "", &mut value).iter().map(told).collect()
    }

    #[test]
    fn mistakes_are_told_together_and_in_the_writers_words() {
        let told = faults(json!({
            "source": "postgres://reader@db/shop",
            "tables": "flights",
            "chunk": 10000,
            "target": { "url": "file:///lake", "mode": "overwrite" },
            "paralel": 1,
        }));
        insta::assert_snapshot!(told.join("\n"));
        let told = faults(
            json!({ "source": { "url": "x:" }, "tables": [1], "chunk": { "bytes": "64MB" } }),
        );
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn an_unknown_key_names_its_path_and_the_nearest_known_one() {
        let schema = json!({
            "properties": { "relations": { "type": "array", "items": { "$ref": "#/$defs/R" } } },
            "additionalProperties": false,
            "$defs": { "R": { "properties": { "table": {} , "query": {} }, "additionalProperties": false } }
        });
        let mut value = json!({ "relations": [{ "table": "a" }, { "tabel": "b" }] });
        let faults = check_shape(&schema, "", &mut value);
        assert_eq!(faults[0].to_string(), "unknown key `relations[1].tabel`");
        assert_eq!(faults[0].hint(), Some("did you mean `table`?"));
        let open = json!({ "properties": { "url": {} } });
        assert!(check_shape(&open, "", &mut json!({ "url": "x", "anything": 1 })).is_empty());
    }

    #[test]
    fn a_single_value_is_taken_for_a_list_of_one() {
        let mut value =
            json!({ "source": { "url": "x:" }, "target": { "url": "y:" }, "tables": "flights" });
        assert!(check_shape(&crate::config::job_schema(), "", &mut value).is_empty());
        assert_eq!(value["tables"], json!(["flights"]));
    }
}
