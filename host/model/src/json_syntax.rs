//! Plain descriptions of syntax errors in JSON.

use serde_json::Error;
use serde_json::error::Category;

/// What a parser says of a text's syntax, in other words; nothing, where it speaks of something else.
pub fn syntax_words(error: &Error) -> Option<&'static str> {
    if matches!(error.classify(), Category::Data | Category::Io) {
        return None;
    }
    let told = without_place(&error.to_string()).to_owned();
    Some(match told.as_str() {
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
        "trailing characters" => "something stands behind the value",
        "recursion limit exceeded" => "its values lie too deep",
        _ if told.starts_with("control character") => "a control character must be escaped",
        _ => "it cannot be read",
    })
}

/// What a parser says, without the line and the column behind it.
pub fn without_place(told: &str) -> &str {
    &told[..told.rfind(" at line ").unwrap_or(told.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_json_is_described_in_plain_words() {
        let said =
            |text| syntax_words(&serde_json::from_str::<serde_json::Value>(text).unwrap_err());
        assert_eq!(said("{"), Some("the object does not end"));
        assert_eq!(said("[1,]"), Some("a `,` has nothing behind it"));
        assert_eq!(said("{a: 1}"), Some("a key stands without quotes"));
        assert_eq!(said("{} x"), Some("something stands behind the value"));
        let other = serde_json::from_str::<u8>("\"x\"").unwrap_err();
        assert_eq!(syntax_words(&other), None);
    }
}
