//! How deep SQL may be. A chain of operators becomes a tree as deep as it is long, and trees are walked on
//! the stacks of threads (apache/datafusion#22229).

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::error::{Error, Result};

/// Operators in a row and levels of parentheses, together.
pub const SQL_DEPTH_LIMIT: usize = 1_000;

/// The longest query.
pub const SQL_LIMIT_BYTES: usize = 1 << 20;

/// What one level of parentheses holds.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Operators since the last comma or clause.
    chain: usize,
    /// Queries and tables that are joined: never less.
    joined: usize,
}

/// Refuses a query that is too long or too deep, before anything walks it.
pub fn check_depth(sql: &str) -> Result<()> {
    if sql.len() > SQL_LIMIT_BYTES {
        return Err(Error::config(format!(
            "a query of {} bytes, the limit is {SQL_LIMIT_BYTES}",
            sql.len()
        ))
        .with_hint("put long lists of values into a table, and join it"));
    }
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize().map_err(|error| {
        Error::config(format!("the SQL cannot be read: {error}"))
            .with_hint("correct the query there")
    })?;
    let depth = depth(&tokens);
    if depth > SQL_DEPTH_LIMIT {
        return Err(Error::config(format!(
            "a query {depth} levels deep, the limit is {SQL_DEPTH_LIMIT}"
        ))
        .with_hint("write `x IN (..)` for many conditions, or do it in several steps"));
    }
    Ok(())
}

fn depth(tokens: &[Token]) -> usize {
    let mut levels = vec![Level::default()];
    let mut deepest = 0;
    for token in tokens {
        match token {
            Token::LParen | Token::LBracket => levels.push(Level::default()),
            Token::RParen | Token::RBracket if levels.len() > 1 => {
                levels.pop();
            }
            _ => {}
        }
        let Some(level) = levels.last_mut() else { continue };
        match token {
            Token::Comma => level.chain = 0,
            Token::Word(word) => match word.keyword {
                Keyword::SELECT
                | Keyword::FROM
                | Keyword::WHERE
                | Keyword::GROUP
                | Keyword::HAVING
                | Keyword::ORDER => level.chain = 0,
                Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::JOIN => {
                    level.joined += 1
                }
                Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::CASE
                | Keyword::IS
                | Keyword::LIKE => {
                    level.chain += 1;
                }
                _ => {}
            },
            Token::Plus
            | Token::Minus
            | Token::Mul
            | Token::Div
            | Token::Mod
            | Token::StringConcat
            | Token::Eq
            | Token::Neq
            | Token::Lt
            | Token::Gt
            | Token::LtEq
            | Token::GtEq
            | Token::DoubleColon
            | Token::Ampersand
            | Token::Pipe
            | Token::Caret
            | Token::Tilde => level.chain += 1,
            _ => {}
        }
        deepest = deepest.max(levels.iter().map(|level| 1 + level.chain + level.joined).sum());
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_and_flat_is_not_deep() {
        let list = (0..20_000).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
        assert!(check_depth(&format!("SELECT * FROM data WHERE id IN ({list})")).is_ok());
        let columns = (0..2_000).map(|n| format!("a + {n} AS c{n}")).collect::<Vec<_>>().join(", ");
        assert!(check_depth(&format!("SELECT {columns} FROM data")).is_ok());
    }

    #[test]
    fn chains_and_parentheses_are_deep() {
        for sql in [
            format!("SELECT id{} FROM data", "+id".repeat(3_000)),
            format!("SELECT 1 FROM data WHERE x = 0{}", " OR x = 1".repeat(3_000)),
            format!("SELECT {}1{} FROM data", "(".repeat(3_000), ")".repeat(3_000)),
            format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(3_000)),
        ] {
            assert!(check_depth(&sql).unwrap_err().to_string().contains("levels deep"));
        }
    }
}
