//! What can be wrong with a line of JSON, in words that need no parser to understand.

use super::records::Fault;

/// How deep values are looked into.
pub(super) const DEPTH_LIMIT: usize = 64;

/// Why a line is no row.
#[derive(Debug, thiserror::Error)]
pub(super) enum Wrong {
    #[error("it is not UTF-8")]
    NotUtf8,
    #[error("the line is no object: JSON is read as an object a line")]
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
        let told = error.to_string();
        let told = &told[..told.rfind(" at line ").unwrap_or(told.len())];
        if is_half(told) {
            return Self::Half("a key".into());
        }
        let bytes = error.column().saturating_sub(1).min(line.len());
        let character = String::from_utf8_lossy(&line.as_bytes()[..bytes]).chars().count() + 1;
        Self::Syntax(words(told), character)
    }

    /// The next step.
    pub(super) fn hint(&self) -> String {
        let skip = "leave such lines out with `bad_rows: skip`";
        match self {
            Self::NotUtf8 => format!("{}, or {skip}", Fault::NotUtf8.hint()),
            Self::NoObject => format!("write an object on each line, or {skip}"),
            Self::Deep(column) => format!(
                "keep them as they stand: `source.columns: {{ {}: string }}`, or {skip}",
                key_word(column)
            ),
            _ => format!("correct the line, or {skip}"),
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

/// What the parser says, in other words.
fn words(told: &str) -> &'static str {
    match told {
        "EOF while parsing a list" => "the array does not end",
        "EOF while parsing an object" => "the object does not end",
        "EOF while parsing a string" => "the text does not end",
        "EOF while parsing a value" => "a value is missing",
        "expected `:`" => "a `:` is missing behind a key",
        "expected `,` or `]`" => "a `,` or a `]` is missing",
        "expected `,` or `}`" => "a `,` or a `}` is missing",
        "expected ident" => "a word that is none of null, true and false",
        "expected value" => "no value stands there",
        "invalid escape" => "no such escape is known",
        "invalid number" => "no number is written so",
        "number out of range" => "the number is too large",
        "key must be a string" => "a key stands without quotes",
        "trailing comma" => "a `,` has nothing behind it",
        "trailing characters" => "something stands behind the object",
        "recursion limit exceeded" => "its values lie too deep",
        _ if told.starts_with("control character") => "a control character must be escaped",
        _ => "it cannot be read",
    }
}

/// A key as YAML takes it.
pub(super) fn key_word(key: &str) -> String {
    let is_plain = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && key.starts_with(|c: char| c.is_ascii_alphabetic());
    if is_plain { key.to_owned() } else { format!("{key:?}") }
}
