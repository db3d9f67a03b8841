//! What can be wrong with a line of JSON, in words that need no parser to understand.

use longshore_model::json_syntax::{syntax_words, without_place};

use super::records::Fault;

/// How deep values may lie. Rows of a single file wait in Arrow files, which can describe 60 levels.
pub(super) const DEPTH_LIMIT: usize = 56;

/// Why a line is no row.
#[derive(Debug, thiserror::Error)]
pub(super) enum Wrong {
    #[error("it is not UTF-8")]
    NotUtf8,
    #[error("no object stands there: a row of JSON is an object")]
    NoObject,
    /// What it is, and at which character.
    #[error("not valid JSON: {0}, at character {1}")]
    Syntax(&'static str, usize),
    #[error("the key `{0}` comes twice")]
    Twice(String),
    /// A column's value.
    #[error("the values of `{0}` lie more than {DEPTH_LIMIT} arrays and objects deep")]
    Deep(String),
    /// A text or a key with an escape such as \ud800 that goes with no other.
    #[error("{0} holds half of a surrogate pair, which is no character")]
    Half(String),
}

impl Wrong {
    /// The parser's error in a line.
    pub(super) fn syntax(line: &str, error: &serde_json::Error) -> Self {
        if is_half(without_place(&error.to_string())) {
            return Self::Half("a key".into());
        }
        let bytes = error.column().saturating_sub(1).min(line.len());
        let character = String::from_utf8_lossy(&line.as_bytes()[..bytes]).chars().count() + 1;
        Self::Syntax(syntax_words(error).unwrap_or("it cannot be read"), character)
    }

    /// The next step.
    pub(super) fn hint(&self) -> String {
        let skip = "leave such rows out with `bad_rows: skip`";
        match self {
            Self::NotUtf8 => format!("{}, or {skip}", Fault::NotUtf8.hint()),
            Self::NoObject => format!(
                "make objects of such values with jq 1.7 or later: jq -c '(arrays[], scalars) | {{value: .}}' FILE > FILE.jsonl, or {skip}"
            ),
            Self::Deep(column) => format!(
                "keep them as they stand: `source.columns: {{ {}: string }}`, or {skip}",
                key_word(column)
            ),
            _ => format!("correct it, or {skip}"),
        }
    }
}

fn is_half(told: &str) -> bool {
    matches!(
        told,
        "lone leading surrogate in hex escape"
            | "unexpected end of hex escape"
            | "invalid unicode code point"
    )
}

/// A key as YAML takes it.
pub(super) fn key_word(key: &str) -> String {
    let is_plain = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && key.starts_with(|c: char| c.is_ascii_alphabetic());
    if is_plain { key.to_owned() } else { format!("{key:?}") }
}
