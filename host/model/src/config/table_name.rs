//! A table's name, as a job gives it, taken apart: `public."Orders"`.

/// A part of a table's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePart {
    /// Without quotes.
    pub text: String,
    /// Whether it stood in quotes: then it means exactly this.
    pub is_quoted: bool,
}

/// The parts of a name, which dots part: `public."q""t"` has `public` and `q"t`.
pub fn name_parts(name: &str) -> Vec<NamePart> {
    let (mut parts, mut rest) = (Vec::new(), name.trim());
    while let Some(first) = rest.chars().next() {
        let close = match first {
            '"' | '`' => Some(first),
            '[' => Some(']'),
            _ => None,
        };
        let (text, end) = match close {
            Some(close) => unquoted(rest, close),
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                (rest[..end].to_owned(), end)
            }
        };
        parts.push(NamePart { text, is_quoted: close.is_some() });
        rest = rest[end..].strip_prefix('.').unwrap_or_default();
    }
    parts
}

/// `public."Orders"` is called `Orders`, and `"q""t"` is called `q"t`.
pub fn last_part(table: &str) -> String {
    name_parts(table).pop().map(|part| part.text).unwrap_or_default()
}

/// A name within quotes, of which two are one, and where it ends.
fn unquoted(text: &str, close: char) -> (String, usize) {
    let mut name = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == close && chars.next_if(|(_, next)| *next == close).is_none() {
            return (name, at + close.len_utf8());
        }
        name.push(c);
    }
    (name, text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_dots_and_letters() {
        let parts = |name: &str| -> Vec<String> {
            name_parts(name).into_iter().map(|part| part.text).collect()
        };
        assert_eq!(parts("orders"), ["orders"]);
        assert_eq!(parts("Shop.public.\"My.Orders\""), ["Shop", "public", "My.Orders"]);
        assert_eq!(parts("[dbo].[a]]b]"), ["dbo", "a]b"]);
        assert_eq!(parts("`q``t`"), ["q`t"]);
        assert!(parts("").is_empty());
        assert!(name_parts("a.\"b\"")[1].is_quoted && !name_parts("a.\"b\"")[0].is_quoted);
    }
}
