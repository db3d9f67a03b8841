//! The text of a job file, as people write it.

use std::fmt::Write;

use serde_json::{Map, Value};

/// Writes a job file, key by key.
#[derive(Default)]
pub(super) struct YamlWriter {
    text: String,
}

impl YamlWriter {
    /// A line for people.
    pub(super) fn comment(&mut self, text: &str) {
        // Writing to a text does not fail.
        let _ = writeln!(self.text, "# {text}");
    }

    /// A key of the job.
    pub(super) fn key(&mut self, key: &str, value: &Value) {
        self.entry(0, key, value);
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn entry(&mut self, depth: usize, key: &str, value: &Value) {
        let _ = write!(self.text, "{:1$}{key}:", "", depth * 2, key = scalar(&Value::from(key)));
        self.value(depth + 1, value);
    }

    /// A value, behind a key or a dash.
    fn value(&mut self, depth: usize, value: &Value) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                self.text.push('\n');
                for (key, value) in ordered(map) {
                    self.entry(depth, key, value);
                }
            }
            Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
                self.text.push('\n');
                for item in items {
                    let _ = write!(self.text, "{:1$}-", "", depth * 2);
                    self.item(depth, item);
                }
            }
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(scalar).collect();
                let _ = writeln!(self.text, " [{}]", items.join(", "));
            }
            Value::String(text) if is_block(text) => {
                self.text.push_str(if text.ends_with('\n') { " |\n" } else { " |-\n" });
                for line in text.lines() {
                    let indent = if line.is_empty() { 0 } else { depth * 2 };
                    let _ = writeln!(self.text, "{:indent$}{line}", "");
                }
            }
            other => {
                let _ = writeln!(self.text, " {}", scalar(other));
            }
        }
    }

    /// The keys of an item begin behind its dash.
    fn item(&mut self, depth: usize, item: &Value) {
        let Value::Object(map) = item else { return self.value(depth + 1, item) };
        for (place, (key, value)) in ordered(map).into_iter().enumerate() {
            if place == 0 {
                let _ = write!(self.text, " {}:", scalar(&Value::from(key)));
                self.value(depth + 2, value);
            } else {
                self.entry(depth + 1, key, value);
            }
        }
        if map.is_empty() {
            self.text.push_str(" {}\n");
        }
    }
}

/// What a section is about comes first.
fn ordered(map: &Map<String, Value>) -> Vec<(&str, &Value)> {
    let mut entries: Vec<_> = map.iter().map(|(key, value)| (key.as_str(), value)).collect();
    entries.sort_by_key(|(key, _)| !["url", "table", "query", "type"].contains(key));
    entries
}

/// Whether a text of several lines can stand as it is.
fn is_block(text: &str) -> bool {
    text.contains('\n')
        && !text.starts_with([' ', '\t', '\n'])
        && !text.ends_with("\n\n")
        && !text.chars().any(|c| c.is_control() && c != '\n')
}

/// A value on one line. JSON's texts are YAML's.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether a text means itself in YAML, without quotes.
fn is_plain(text: &str) -> bool {
    let words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./@%+=".contains(c) || c == ':')
        && !text.ends_with(':')
        && !words.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use longshore_model::config::Document;
    use serde_json::json;

    use super::*;

    fn written(job: &Value) -> String {
        let mut yaml = YamlWriter::default();
        for (key, value) in job.as_object().unwrap() {
            yaml.key(key, value);
        }
        yaml.into_text()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let job = json!({
            "name": "no", "empty": {}, "none": [], "number": 0.1, "day": "2026-11-20", "colon": "tpch:",
            "source": { "url": "postgres://reader@db:5432/shop?x=1", "password": { "env": "PW" }, "n": null },
            "tables": ["a b", "null", "#x", "- y", "é", "it's \"q\""],
            "relations": [{ "table": "t", "as": "u", "merge": { "key": ["a", "b"] } }, { "query": "SELECT\n  1" }],
            "transform": [{ "sql": "SELECT *\n\nFROM data -- x: y\n" }, { "sql": " a\nb" }],
            "odd": ["x\ty\n", [1, 2]],
        });
        let text = written(&job);
        assert_eq!(Document::parse(&text, "yaml").unwrap().tree(), &job, "{text}");
    }

    #[test]
    fn plain_words_have_no_quotes() {
        let text = written(&json!({ "source": { "url": "s3://raw/a.csv" }, "tables": ["orders"] }));
        assert_eq!(text, "source:\n  url: s3://raw/a.csv\ntables: [orders]\n");
    }
}
