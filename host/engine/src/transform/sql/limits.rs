//! How deep SQL may be. A chain of operators becomes a tree as deep as it is long, and trees are walked on
//! the stacks of threads (apache/datafusion#22229).

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{ObjectName, Query, Statement, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use longshore_model::error::{Error, Result};

/// Operators in a row and levels of parentheses, together.
pub const SQL_DEPTH_LIMIT: usize = 400;

/// Expressions within each other of which the planner makes two each: BETWEEN, coalesce, nullif.
pub const SQL_DOUBLING_LIMIT: usize = 8;

/// Tables that a query reads, each as often as it does.
pub const SQL_SCANS_LIMIT: usize = 256;

/// The longest query.
pub const SQL_LIMIT_BYTES: usize = 1 << 20;

/// Functions that become a choice, with an argument twice in it.
const DOUBLING: [&str; 5] = ["coalesce", "nullif", "nvl", "ifnull", "nvl2"];

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
    if depth.levels > SQL_DEPTH_LIMIT {
        return Err(Error::config(format!(
            "a query {} levels deep, the limit is {SQL_DEPTH_LIMIT}",
            depth.levels
        ))
        .with_hint("write `x IN (..)` for many conditions, or do it in several steps"));
    }
    if depth.doublings > SQL_DOUBLING_LIMIT {
        return Err(Error::config(format!(
            "BETWEEN, coalesce or nullif {} times within each other, the limit is {SQL_DOUBLING_LIMIT}",
            depth.doublings
        ))
        .with_hint("do it in several steps"));
    }
    Ok(())
}

/// What the parser says of a query whose depth was not seen before.
pub(super) fn too_deep() -> Error {
    Error::config(format!("a query too deep to be read, the limit is {SQL_DEPTH_LIMIT} levels"))
        .with_hint("do it in several steps")
}

/// Refuses a query that reads more tables than can be planned, each as often as it is named.
pub(super) fn check_work(statement: &Statement) -> Result<()> {
    let mut scans = Scans::default();
    let _ = statement.visit(&mut scans);
    if scans.found > SQL_SCANS_LIMIT {
        return Err(Error::config(format!(
            "a query that reads {} tables, the limit is {SQL_SCANS_LIMIT}; a name of WITH counts as what it stands for",
            scans.found
        ))
        .with_hint("do it in several steps, each of which is read once"));
    }
    Ok(())
}

/// Counts the tables that a query reads. What WITH names is read as often as it is named.
#[derive(Default)]
struct Scans {
    found: usize,
    /// How many scans stand behind each name of WITH.
    named: HashMap<String, usize>,
    /// Queries that were counted already, by their places in memory.
    counted: HashMap<usize, usize>,
}

impl Scans {
    fn of(&mut self, query: &Query) -> usize {
        let place = std::ptr::from_ref(query) as usize;
        if let Some(found) = self.counted.get(&place) {
            return *found;
        }
        let before = std::mem::take(&mut self.found);
        let _ = query.visit(self);
        let found = std::mem::replace(&mut self.found, before);
        self.counted.insert(place, found);
        found
    }
}

impl Visitor for Scans {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for table in query.with.iter().flat_map(|with| &with.cte_tables) {
            let found = self.of(&table.query);
            self.named.insert(table.alias.name.value.to_lowercase(), found);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let name = relation.to_string().trim_matches('"').to_lowercase();
        let reads = self.named.get(&name).copied().unwrap_or(1);
        self.found = self.found.saturating_add(reads.max(1));
        ControlFlow::Continue(())
    }
}

/// How deep a query is.
#[derive(Clone, Copy, Debug, Default)]
struct Depth {
    levels: usize,
    doublings: usize,
}

/// What one level of parentheses, or of CASE, holds.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Operators since the last comma or clause.
    chain: usize,
    /// Queries and tables that are joined: never less.
    joined: usize,
    /// Doublings within each other, of what stands since the last comma, clause or condition.
    doublings: usize,
    /// The most of them.
    most_doublings: usize,
    /// It belongs to a function that doubles.
    doubles: bool,
    /// An AND that belongs to a BETWEEN is still to come.
    between: bool,
}

impl Level {
    /// What follows is beside what was there, not around it.
    fn restart(&mut self) {
        self.chain = 0;
        self.join_conditions();
    }

    fn join_conditions(&mut self) {
        self.most_doublings = self.most_doublings.max(self.doublings);
        self.doublings = 0;
    }

    fn take_in(&mut self, inner: Self) {
        let inner_doublings = inner.most_doublings.max(inner.doublings);
        self.doublings = self.doublings.max(inner_doublings + usize::from(inner.doubles));
    }
}

fn depth(tokens: &[Token]) -> Depth {
    let mut levels = vec![Level::default()];
    let mut deepest = Depth::default();
    let mut last_word = "";
    for token in tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))) {
        match token {
            Token::LParen | Token::LBracket => {
                let doubles = DOUBLING.iter().any(|name| name.eq_ignore_ascii_case(last_word));
                levels.push(Level { doubles, ..Level::default() });
            }
            token if is_word(token, Keyword::CASE) => levels.push(Level::default()),
            Token::RParen | Token::RBracket => close(&mut levels),
            token if is_word(token, Keyword::END) => close(&mut levels),
            _ => {}
        }
        if let Some(level) = levels.last_mut() {
            // `IS DISTINCT FROM` begins no clause.
            if last_word.eq_ignore_ascii_case("distinct") && is_word(token, Keyword::FROM) {
                level.chain += 1;
            } else {
                count(level, token);
            }
            deepest.doublings = deepest.doublings.max(level.doublings.max(level.most_doublings));
        }
        let levels = levels.iter().map(|level| 1 + level.chain + level.joined).sum();
        deepest.levels = deepest.levels.max(levels);
        last_word = match token {
            Token::Word(word) => &word.value,
            _ => "",
        };
    }
    deepest
}

fn is_word(token: &Token, keyword: Keyword) -> bool {
    matches!(token, Token::Word(word) if word.keyword == keyword)
}

fn close(levels: &mut Vec<Level>) {
    if levels.len() > 1
        && let Some(inner) = levels.pop()
        && let Some(level) = levels.last_mut()
    {
        level.take_in(inner);
    }
}

/// Counts a token in its level. What is not known to be flat is taken for an operator.
fn count(level: &mut Level, token: &Token) {
    match token {
        Token::Comma => level.restart(),
        Token::Word(word) => count_word(level, word.keyword),
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::Period
        | Token::SemiColon
        | Token::EOF
        | Token::LParen
        | Token::RParen
        | Token::LBracket
        | Token::RBracket => {}
        _ => level.chain += 1,
    }
}

fn count_word(level: &mut Level, word: Keyword) {
    match word {
        Keyword::SELECT
        | Keyword::FROM
        | Keyword::WHERE
        | Keyword::GROUP
        | Keyword::HAVING
        | Keyword::ORDER
        | Keyword::ON
        | Keyword::USING
        | Keyword::WITH
        | Keyword::WHEN
        | Keyword::THEN
        | Keyword::ELSE => level.restart(),
        Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::JOIN => {
            level.joined += 1;
            level.restart();
        }
        Keyword::BETWEEN => {
            level.chain += 1;
            level.doublings += 1;
            level.between = true;
        }
        Keyword::AND if level.between => level.between = false,
        Keyword::AND | Keyword::OR => {
            level.chain += 1;
            level.join_conditions();
        }
        Keyword::NOT
        | Keyword::XOR
        | Keyword::IS
        | Keyword::IN
        | Keyword::LIKE
        | Keyword::ILIKE
        | Keyword::RLIKE
        | Keyword::REGEXP
        | Keyword::SIMILAR
        | Keyword::AT
        | Keyword::COLLATE
        | Keyword::INTERVAL
        | Keyword::DIV
        | Keyword::OVERLAPS
        | Keyword::NOTNULL => level.chain += 1,
        _ => {}
    }
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

    #[test]
    fn what_doubles_within_itself_is_refused() {
        for sql in [
            format!("SELECT 1 FROM data WHERE a{}", " BETWEEN false AND true".repeat(12)),
            format!("SELECT {}a{} FROM data", "coalesce(".repeat(12), ", 1)".repeat(12)),
            format!(
                "SELECT 1 FROM data WHERE {}a{}",
                "(".repeat(12),
                " BETWEEN 1 AND 2)".repeat(12)
            ),
        ] {
            assert!(
                check_depth(&sql).unwrap_err().to_string().contains("within each other"),
                "{sql}"
            );
        }
        let beside = "a BETWEEN 1 AND 2 AND coalesce(b, 1) = 2 OR ".repeat(20);
        assert!(check_depth(&format!("SELECT 1 FROM data WHERE {beside} true")).is_ok());
    }

    #[test]
    fn a_name_of_with_counts_as_what_it_stands_for() {
        let scans = |sql: &str| {
            let parsed =
                datafusion::sql::sqlparser::parser::Parser::parse_sql(&GenericDialect {}, sql);
            let mut scans = Scans::default();
            let _ = parsed.unwrap()[0].visit(&mut scans);
            scans.found
        };
        assert_eq!(scans("SELECT * FROM data"), 1);
        let mut sql = "WITH t0 AS (SELECT * FROM data)".to_owned();
        for n in 1..30 {
            let last = n - 1;
            sql += &format!(", t{n} AS (SELECT * FROM t{last} UNION ALL SELECT * FROM t{last})");
        }
        assert!(scans(&format!("{sql} SELECT * FROM t29")) > 1 << 29);
    }
}
