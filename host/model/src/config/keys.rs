//! Unknown keys are errors that name the nearest known one. The known keys come from a JSON Schema:
//! ours for job files, a plugin's own for its config.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::error::Error;

/// How alike two keys must be, from 0 to 1, for one to be suggested for the other.
const SUGGEST_SIMILARITY: f64 = 0.75;

/// How deep a schema's references are followed.
const DEPTH_LIMIT: usize = 64;

/// The plain schemas behind references and choices.
pub(super) fn alternatives<'a>(root: &'a Value, schema: &'a Value, depth: usize) -> Vec<&'a Value> {
    if depth > DEPTH_LIMIT {
        return Vec::new();
    }
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return target.map(|target| alternatives(root, target, depth + 1)).unwrap_or_default();
    }
    let choices: Vec<&Value> = ["anyOf", "oneOf", "allOf"]
        .iter()
        .filter_map(|key| schema.get(key)?.as_array())
        .flatten()
        .flat_map(|choice| alternatives(root, choice, depth + 1))
        .collect();
    if choices.is_empty() { vec![schema] } else { choices }
}

/// Whether some schema is about objects and none takes keys that it does not name.
pub(super) fn is_closed(schemas: &[&Value]) -> bool {
    let mut objects = schemas.iter().filter(|schema| schema.get("properties").is_some()).peekable();
    objects.peek().is_some()
        && objects.all(|schema| schema.get("additionalProperties") == Some(&Value::Bool(false)))
}

/// The keys that the schemas name, and others.
fn known<'a>(schemas: &[&'a Value], others: &[&'a str]) -> BTreeSet<&'a str> {
    schemas
        .iter()
        .filter_map(|schema| schema.get("properties")?.as_object())
        .flat_map(|properties| properties.keys().map(String::as_str))
        .chain(others.iter().copied())
        .collect()
}

/// The key that was meant by one that no schema names, if one is alike.
pub(super) fn meant<'a>(key: &str, schemas: &[&'a Value], others: &[&'a str]) -> Option<&'a str> {
    nearest(key, known(schemas, others).into_iter())
}

pub(super) fn unknown(
    path: &str,
    meant: Option<&str>,
    schemas: &[&Value],
    others: &[&str],
) -> Error {
    let error = Error::config(format!("unknown key `{path}`"));
    match meant {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => {
            let known: Vec<&str> = known(schemas, others).into_iter().collect();
            error.with_hint(format!("the keys here are {}", known.join(", ")))
        }
    }
}

/// What to do about an unknown word: the most alike of the known ones, or else all of them, which are `what`.
pub fn nearest_or_all(word: &str, what: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the {what} are {}", known.join(", ")),
    }
}

/// The most alike of the known words, if one is alike at all.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::jaro_winkler(&word.to_lowercase(), candidate), candidate))
        .filter(|(similarity, _)| *similarity >= SUGGEST_SIMILARITY)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}
