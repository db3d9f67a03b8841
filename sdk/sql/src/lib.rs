//! A database's SQL, token by token: what is a word, what is quoted, what is a comment. No parser: what a
//! database adds to the language does not matter here.

/// How a database's SQL is read: what quotes, what comments.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lexis {
    /// A backslash escapes in every text: MySQL, Hive, Impala.
    pub backslashes: bool,
    /// A backslash escapes in `E'..'`: PostgreSQL, Greenplum, Vertica.
    pub escape_strings: bool,
    /// `$tag$..$tag$` is a text: PostgreSQL, Greenplum.
    pub dollars: bool,
    /// Comments lie within comments: PostgreSQL, SQL Server.
    pub nested_comments: bool,
    /// `#` begins a comment, and `/*!` is run: MySQL.
    pub hashes: bool,
    /// `--` begins a comment only before a blank: MySQL.
    pub spaced_dashes: bool,
    /// Backticks enclose names: MySQL, SQLite, Hive, Impala.
    pub backticks: bool,
    /// Brackets enclose names: SQL Server, SQLite.
    pub brackets: bool,
    /// `q'[..]'` and `nq'[..]'` are texts: Oracle.
    pub q_quotes: bool,
}

impl Lexis {
    /// Texts, names, and comments as the standard has them.
    pub const STANDARD: Self = Self {
        backslashes: false,
        escape_strings: false,
        dollars: false,
        nested_comments: false,
        hashes: false,
        spaced_dashes: false,
        backticks: false,
        brackets: false,
        q_quotes: false,
    };
    /// PostgreSQL and Greenplum.
    pub const POSTGRESQL: Self =
        Self { escape_strings: true, dollars: true, nested_comments: true, ..Self::STANDARD };
    /// MySQL and MariaDB.
    pub const MYSQL: Self = Self {
        backslashes: true,
        hashes: true,
        spaced_dashes: true,
        backticks: true,
        ..Self::STANDARD
    };
    /// SQLite.
    pub const SQLITE: Self = Self { backticks: true, brackets: true, ..Self::STANDARD };
    /// SQL Server.
    pub const SQLSERVER: Self = Self { brackets: true, nested_comments: true, ..Self::STANDARD };
    /// Oracle.
    pub const ORACLE: Self = Self { q_quotes: true, ..Self::STANDARD };
    /// Vertica.
    pub const VERTICA: Self = Self { escape_strings: true, ..Self::STANDARD };
    /// Hive and Impala.
    pub const HIVE: Self = Self { backslashes: true, backticks: true, ..Self::STANDARD };
}

/// What a piece of SQL is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A keyword, a name or a number.
    Word,
    /// A name that is enclosed.
    Name,
    /// A text.
    Text,
    /// Anything else, a character each.
    Sign,
    /// A comment.
    Comment,
    /// Blanks.
    Blank,
}

/// A piece of SQL.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind,
    /// As it stands there.
    pub text: &'a str,
    /// Where it ends in the whole.
    pub end: usize,
}

impl Token<'_> {
    /// Whether it is this word, which is given in upper case.
    pub fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether it is this sign.
    pub fn is_sign(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }
}

/// The byte at which a quote or a comment begins that has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unclosed(pub usize);

/// All tokens; an error where a quote or a comment has no end.
pub fn tokens(sql: &str, lexis: Lexis) -> Result<Vec<Token<'_>>, Unclosed> {
    let (mut at, mut found) = (0, Vec::new());
    while at < sql.len() {
        let (kind, length) = first(&sql[at..], lexis).ok_or(Unclosed(at))?;
        found.push(Token { kind, text: &sql[at..at + length], end: at + length });
        at += length;
    }
    Ok(found)
}

/// Whether a character can be in a keyword, a name or a number.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn first(rest: &str, lexis: Lexis) -> Option<(Kind, usize)> {
    let first = rest.chars().next()?;
    let bytes = rest.as_bytes();
    let next = bytes.get(1).copied();
    let run = |test: &dyn Fn(char) -> bool| rest.find(|c| !test(c)).unwrap_or(rest.len());
    let begins_comment =
        |at: usize| !lexis.spaced_dashes || bytes.get(at).is_none_or(u8::is_ascii_whitespace);
    Some(match first {
        c if c.is_whitespace() => (Kind::Blank, run(&char::is_whitespace)),
        '-' if next == Some(b'-') && begins_comment(2) => (Kind::Comment, line(rest)),
        '#' if lexis.hashes => (Kind::Comment, line(rest)),
        '/' if next == Some(b'*') => {
            // `/*!` of MySQL is run: what it does is not known.
            let is_run = lexis.hashes && bytes.get(2) == Some(&b'!');
            let kind = if is_run { Kind::Sign } else { Kind::Comment };
            (kind, block(rest, lexis.nested_comments)?)
        }
        'e' | 'E' if lexis.escape_strings && next == Some(b'\'') => {
            (Kind::Text, 1 + quoted(&rest[1..], '\'', true)?)
        }
        'q' | 'Q' if lexis.q_quotes && next == Some(b'\'') => (Kind::Text, oracle_text(rest)?),
        'n' | 'N' if lexis.q_quotes && matches!(bytes, [_, b'q' | b'Q', b'\'', ..]) => {
            (Kind::Text, 1 + oracle_text(&rest[1..])?)
        }
        '\'' => (Kind::Text, quoted(rest, '\'', lexis.backslashes)?),
        '"' => (Kind::Name, quoted(rest, '"', lexis.backslashes)?),
        '`' if lexis.backticks => (Kind::Name, quoted(rest, '`', false)?),
        '[' if lexis.brackets => (Kind::Name, quoted(rest, ']', false)?),
        '$' if lexis.dollars && dollar_tag(rest).is_some() => {
            let tag = dollar_tag(rest)?;
            (Kind::Text, tag.len() + rest[tag.len()..].find(tag)? + tag.len())
        }
        c if is_word(c) => (Kind::Word, run(&|c| is_word(c) || c == '$')),
        c => (Kind::Sign, c.len_utf8()),
    })
}

fn line(rest: &str) -> usize {
    rest.find('\n').map_or(rest.len(), |end| end + 1)
}

fn block(rest: &str, nests: bool) -> Option<usize> {
    let bytes = rest.as_bytes();
    let (mut depth, mut at) = (0, 0);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" if depth == 0 || nests => {
                depth += 1;
                at += 2;
            }
            b"*/" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => at += 1,
        }
    }
    None
}

/// To the closing quote, from the opening one; doubled, it is one of the text.
fn quoted(rest: &str, close: char, backslashes: bool) -> Option<usize> {
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

/// `q'[..]'`.
fn oracle_text(rest: &str) -> Option<usize> {
    let open = rest.get(2..)?.chars().next()?;
    let close = match open {
        '[' => ']',
        '(' => ')',
        '{' => '}',
        '<' => '>',
        same => same,
    };
    let body = 2 + open.len_utf8();
    Some(body + rest[body..].find(&format!("{close}'"))? + close.len_utf8() + 1)
}

/// `$$` or `$tag$`.
fn dollar_tag(rest: &str) -> Option<&str> {
    let end = rest[1..].find(|c: char| !is_word(c))? + 1;
    let tag = &rest[1..end];
    let is_tag = rest[end..].starts_with('$') && !tag.starts_with(|c: char| c.is_ascii_digit());
    is_tag.then(|| &rest[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_where_the_database_says() {
        for (sql, lexis, kind) in [
            ("'it''s'", Lexis::STANDARD, Kind::Text),
            ("'it\\'s'", Lexis::HIVE, Kind::Text),
            ("E'it\\'s'", Lexis::POSTGRESQL, Kind::Text),
            ("$a$ it's $a$", Lexis::POSTGRESQL, Kind::Text),
            ("q'[it's]'", Lexis::ORACLE, Kind::Text),
            ("nq'{it's}'", Lexis::ORACLE, Kind::Text),
            ("\"it\"\"s\"", Lexis::STANDARD, Kind::Name),
            ("[it's]", Lexis::SQLITE, Kind::Name),
            ("`it's`", Lexis::MYSQL, Kind::Name),
            ("/* a /* b */ c */", Lexis::POSTGRESQL, Kind::Comment),
            ("/*! it's run */", Lexis::MYSQL, Kind::Sign),
            ("-- it's", Lexis::STANDARD, Kind::Comment),
            ("# it's", Lexis::MYSQL, Kind::Comment),
            ("größe_1", Lexis::STANDARD, Kind::Word),
        ] {
            let found = tokens(sql, lexis).unwrap();
            assert_eq!((found.len(), found[0].kind, found[0].end), (1, kind, sql.len()), "{sql}");
        }
        assert_eq!(tokens("a 'b", Lexis::STANDARD).unwrap_err(), Unclosed(2));
    }
}
