//! SQL as far as placeholders matter: what of it is quoted, what is a comment, and what is neither.

use longshore_sql::{Lexis, Token, tokens};

/// What a piece of SQL is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Neither of the others.
    Code,
    /// A text or a name, with its quotes.
    Quoted,
    Comment,
}

impl Kind {
    fn of(token: &Token<'_>) -> Self {
        use longshore_sql::Kind as Of;
        match token.kind {
            Of::Text | Of::Name => Self::Quoted,
            Of::Comment => Self::Comment,
            // A comment that MySQL runs.
            Of::Sign if token.text.starts_with("/*") => Self::Comment,
            Of::Word | Of::Sign | Of::Blank => Self::Code,
        }
    }
}

/// The pieces of a text, in their order: what each is, and where it ends.
pub(super) type Pieces = Vec<(Kind, usize)>;

/// Takes SQL apart. None: a quote or a comment has no end.
pub(super) fn pieces(sql: &str, lexis: Lexis) -> Option<Pieces> {
    let found = tokens(sql, lexis).ok()?;
    Some(found.iter().map(|token| (Kind::of(token), token.end)).collect())
}
