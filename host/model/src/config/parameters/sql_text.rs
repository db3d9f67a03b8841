//! SQL as far as placeholders matter: what of it is quoted, what is a comment, and what is neither.

/// How a database reads quotes and comments.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lexis {
    /// A backslash escapes within all quotes.
    pub(super) backslashes: bool,
    /// A backslash escapes within `E'..'`.
    pub(super) escape_strings: bool,
    /// `$tag$..$tag$` is a text.
    pub(super) dollars: bool,
    /// Comments lie within comments.
    pub(super) nested_comments: bool,
    /// `#` begins a comment.
    pub(super) hashes: bool,
    /// `--` begins a comment only before a blank.
    pub(super) spaced_dashes: bool,
    /// Backticks enclose names.
    pub(super) backticks: bool,
    /// Brackets enclose names.
    pub(super) brackets: bool,
    /// `q'[..]'` is a text.
    pub(super) q_quotes: bool,
}

/// What a piece of SQL is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Neither of the others.
    Code,
    /// A text or a name, with its quotes.
    Quoted,
    Comment,
}

/// The pieces of a text, in their order: what each is, and where it ends.
pub(super) type Pieces = Vec<(Kind, usize)>;

/// Takes SQL apart. None: a quote or a comment has no end.
pub(super) fn pieces(sql: &str, lexis: Lexis) -> Option<Pieces> {
    let (mut at, mut found) = (0, Vec::new());
    while at < sql.len() {
        let (kind, length) = first(&sql[at..], lexis)?;
        at += length;
        found.push((kind, at));
    }
    Some(found)
}

fn first(rest: &str, lexis: Lexis) -> Option<(Kind, usize)> {
    let bytes = rest.as_bytes();
    let next = bytes.get(1).copied();
    let is_blank = |at: usize| bytes.get(at).is_none_or(u8::is_ascii_whitespace);
    let first = rest.chars().next()?;
    let quoted = |length: Option<usize>| length.map(|length| (Kind::Quoted, length));
    match first {
        '-' if next == Some(b'-') && (!lexis.spaced_dashes || is_blank(2)) => {
            Some((Kind::Comment, line(rest)))
        }
        '#' if lexis.hashes => Some((Kind::Comment, line(rest))),
        '/' if next == Some(b'*') => Some((Kind::Comment, block(rest, lexis.nested_comments)?)),
        'e' | 'E' if lexis.escape_strings && next == Some(b'\'') => {
            quoted(enclosed(&rest[1..], '\'', true).map(|length| 1 + length))
        }
        'q' | 'Q' if lexis.q_quotes && next == Some(b'\'') => quoted(q_quoted(rest)),
        'n' | 'N' if lexis.q_quotes && matches!(bytes, [_, b'q' | b'Q', b'\'', ..]) => {
            quoted(q_quoted(&rest[1..]).map(|length| 1 + length))
        }
        '\'' | '"' => quoted(enclosed(rest, first, lexis.backslashes)),
        '`' if lexis.backticks => quoted(enclosed(rest, '`', false)),
        '[' if lexis.brackets => quoted(enclosed(rest, ']', false)),
        '$' if lexis.dollars => match dollar_tag(rest) {
            Some(tag) => quoted(rest[tag.len()..].find(tag).map(|end| end + 2 * tag.len())),
            None => Some((Kind::Code, 1)),
        },
        // A whole word: what stands at its end begins no text.
        c if is_word(c) => {
            let end = rest.find(|c| !is_word(c) && c != '$').unwrap_or(rest.len());
            Some((Kind::Code, end))
        }
        c => Some((Kind::Code, c.len_utf8())),
    }
}

pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line(rest: &str) -> usize {
    rest.find('\n').map_or(rest.len(), |end| end + 1)
}

fn block(rest: &str, nests: bool) -> Option<usize> {
    let bytes = rest.as_bytes();
    let (mut depth, mut at) = (0, 0);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" if depth == 0 || nests => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// To the closing quote, from the opening one; doubled, it is one of what is enclosed.
fn enclosed(rest: &str, close: char, backslashes: bool) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if backslashes && c == '\\' {
            chars.next()?;
        } else if c == close && chars.next_if(|(_, next)| *next == close).is_none() {
            return Some(at + close.len_utf8());
        }
    }
    None
}

/// `q'[..]'`
fn q_quoted(rest: &str) -> Option<usize> {
    let open = rest.get(2..)?.chars().next()?;
    let close = match open {
        '[' => ']',
        '(' => ')',
        '{' => '}',
        '<' => '>',
        same => same,
    };
    let body = 2 + open.len_utf8();
    let end = format!("{close}'");
    Some(body + rest[body..].find(&end)? + end.len())
}

/// `$$` or `$tag$`.
fn dollar_tag(rest: &str) -> Option<&str> {
    let end = rest[1..].find(|c: char| !is_word(c))? + 1;
    let is_tag =
        rest[end..].starts_with('$') && !rest[1..].starts_with(|c: char| c.is_ascii_digit());
    is_tag.then(|| &rest[..=end])
}
