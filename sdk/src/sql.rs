//! A database's SQL, token by token: where a statement ends, what it reads, and whether it gives the same
//! rows each time it is asked. No parser: what a database adds to the language does not matter here.

use longshore_sql::Unclosed;
pub use longshore_sql::{Kind, Lexis, Token};

use crate::{Error, Result};

/// All tokens; an error where a quote or a comment has no end.
pub fn tokens(sql: &str, lexis: Lexis) -> Result<Vec<Token<'_>>> {
    longshore_sql::tokens(sql, lexis).map_err(|Unclosed(at)| {
        Error::config(format!("the query: the quote or comment at byte {at} has no end"))
            .with_hint("close it, or double quotes within a text")
    })
}

/// One statement, as it can stand within parentheses: without what ends it, and the comments behind that.
pub fn statement(sql: &str, lexis: Lexis) -> Result<&str> {
    let sql = sql.trim_start_matches('\u{feff}');
    let (mut end, mut is_ended, mut depth) = (0, false, 0_i32);
    for token in tokens(sql, lexis)? {
        if matches!(token.kind, Kind::Blank | Kind::Comment) {
            continue;
        }
        if token.is_sign(";") {
            is_ended |= end > 0;
            continue;
        }
        if is_ended {
            return Err(Error::config("the query is more than one statement")
                .with_hint("make a relation of each of them"));
        }
        depth += i32::from(token.is_sign("(")) - i32::from(token.is_sign(")"));
        if depth < 0 {
            return Err(Error::config("the query: a `)` has no `(` before it")
                .with_hint("remove it, or add the other"));
        }
        end = token.end;
    }
    match end {
        0 => Err(Error::config("the query is empty").with_hint("write a SELECT")),
        _ => Ok(&sql[..end]),
    }
}

/// Words that make a query's rows others each time, or say that not all of them are wanted.
const CHANGING_WORDS: &[&str] = &[
    "LIMIT",
    "OFFSET",
    "FETCH",
    "TOP",
    "ROWNUM",
    "OVER",
    "QUALIFY",
    "TABLESAMPLE",
    "SAMPLE",
    "CONNECT",
    "MATCH_RECOGNIZE",
    "FOR",
    "INTO",
    "LOCK",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "SYSDATE",
    "SYSTIMESTAMP",
    "GETDATE",
    "NEXTVAL",
    "LATERAL",
    "UNNEST",
];

/// Words that may stand before a parenthesis and call nothing.
const PLAIN_WORDS: &[&str] = &[
    "IN",
    "AND",
    "OR",
    "NOT",
    "EXISTS",
    "AS",
    "ON",
    "USING",
    "VALUES",
    "WHEN",
    "THEN",
    "ELSE",
    "CASE",
    "ANY",
    "ALL",
    "SOME",
    "FROM",
    "JOIN",
    "SELECT",
    "WHERE",
    "HAVING",
    "BY",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "DISTINCT",
    "BETWEEN",
    "LIKE",
    "IS",
    "WITH",
    "DECIMAL",
    "NUMERIC",
    "VARCHAR",
    "CHAR",
    "VARCHAR2",
    "NVARCHAR",
    "NUMBER",
    "TIMESTAMP",
    "TIME",
    "BINARY",
    "VARBINARY",
    "FLOAT",
    "INTERVAL",
];

/// Functions whose result depends on nothing but their arguments.
const STEADY_FUNCTIONS: &[&str] = &[
    "COUNT",
    "SUM",
    "MIN",
    "MAX",
    "AVG",
    "COALESCE",
    "NULLIF",
    "NVL",
    "IFNULL",
    "ISNULL",
    "ABS",
    "ROUND",
    "FLOOR",
    "CEIL",
    "CEILING",
    "TRUNC",
    "TRUNCATE",
    "MOD",
    "SIGN",
    "SQRT",
    "POWER",
    "EXP",
    "LN",
    "LOG",
    "LOG10",
    "GREATEST",
    "LEAST",
    "UPPER",
    "LOWER",
    "TRIM",
    "LTRIM",
    "RTRIM",
    "SUBSTR",
    "SUBSTRING",
    "LEFT",
    "RIGHT",
    "LENGTH",
    "CHAR_LENGTH",
    "OCTET_LENGTH",
    "LEN",
    "REPLACE",
    "CONCAT",
    "CONCAT_WS",
    "LPAD",
    "RPAD",
    "REVERSE",
    "REPEAT",
    "INSTR",
    "LOCATE",
    "POSITION",
    "ASCII",
    "CHR",
    "CAST",
    "CONVERT",
    "TRY_CAST",
    "EXTRACT",
    "YEAR",
    "MONTH",
    "DAY",
    "HOUR",
    "MINUTE",
    "SECOND",
    "DATE_TRUNC",
    "DATE_PART",
    "DATEDIFF",
    "DATEADD",
    "DATE_ADD",
    "DATE_SUB",
    "ADD_MONTHS",
    "LAST_DAY",
    "HEX",
    "UNHEX",
    "MD5",
    "SHA1",
    "SHA2",
    "CRC32",
    "IF",
    "IIF",
    "DECODE",
    "PRINTF",
    "QUOTE",
    "TYPEOF",
    "UNICODE",
];

/// The relations that a query reads, if it is known to give the same rows each time; else why not. What is
/// not known to be so is not: a function that is not known, for one.
pub fn reads_alike(sql: &str, lexis: Lexis) -> Result<std::result::Result<Vec<String>, String>> {
    let tokens: Vec<Token<'_>> = tokens(sql, lexis)?
        .into_iter()
        .filter(|token| !matches!(token.kind, Kind::Blank | Kind::Comment))
        .collect();
    if !tokens.first().is_some_and(|first| first.is("SELECT") || first.is("WITH")) {
        return Ok(Err("it is no SELECT".into()));
    }
    let is_with =
        |name: &str| common_tables(&tokens).iter().any(|with| with.eq_ignore_ascii_case(name));
    for (at, token) in tokens.iter().enumerate() {
        if CHANGING_WORDS.iter().any(|word| token.is(word)) {
            return Ok(Err(format!("with {} it may be other rows each time", token.text)));
        }
        if token.kind == Kind::Sign
            && (matches!(token.text, "@" | "?" | "{") || token.text.starts_with("/*"))
        {
            return Ok(Err(format!("`{}` is not known to be the same each time", token.text)));
        }
        let calls = tokens.get(at + 1).is_some_and(|next| next.is_sign("("));
        let is_known = [PLAIN_WORDS, STEADY_FUNCTIONS]
            .iter()
            .any(|words| words.iter().any(|word| token.is(word)));
        if calls
            && matches!(token.kind, Kind::Word | Kind::Name)
            && !is_known
            && !is_with(token.text)
        {
            return Ok(Err(format!("`{}` is not known to be the same each time", token.text)));
        }
        let is_distinct_on =
            token.is("DISTINCT") && tokens.get(at + 1).is_some_and(|next| next.is("ON"));
        if is_distinct_on {
            return Ok(Err("with DISTINCT ON it may be other rows each time".into()));
        }
    }
    let mut relations = relations(&tokens);
    relations.retain(|name| !is_with(name));
    Ok(Ok(relations))
}

/// The names that WITH gives.
fn common_tables<'a>(tokens: &[Token<'a>]) -> Vec<&'a str> {
    let mut names = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let follows_as = tokens.get(at + 1).is_some_and(|next| next.is("AS"))
            && tokens.get(at + 2).is_some_and(|next| next.is_sign("("));
        let begins = at > 0
            && (tokens[at - 1].is("WITH")
                || tokens[at - 1].is("RECURSIVE")
                || tokens[at - 1].is_sign(","));
        if follows_as && begins && matches!(token.kind, Kind::Word | Kind::Name) {
            names.push(token.text);
        }
    }
    names
}

/// The names behind FROM, JOIN, and the commas between tables.
fn relations(tokens: &[Token<'_>]) -> Vec<String> {
    let mut found = Vec::new();
    // Whether a level of parentheses is within the tables of a FROM.
    let mut levels = vec![false];
    let mut at = 0;
    while at < tokens.len() {
        let token = &tokens[at];
        let Some(in_from) = levels.last_mut() else { break };
        if token.is_sign("(") {
            levels.push(false);
        } else if token.is_sign(")") {
            levels.pop();
            if levels.is_empty() {
                break;
            }
        } else if ["WHERE", "GROUP", "HAVING", "ORDER", "UNION", "EXCEPT", "INTERSECT", "SELECT"]
            .iter()
            .any(|w| token.is(w))
        {
            *in_from = false;
        }
        let names_follow = match token {
            token if token.is("FROM") => {
                let is_comparison = at > 0 && tokens[at - 1].is("DISTINCT");
                !is_comparison
            }
            token if token.is("JOIN") => true,
            token => token.is_sign(",") && levels.last() == Some(&true),
        };
        at += 1;
        if !names_follow {
            continue;
        }
        if let Some(in_from) = levels.last_mut() {
            *in_from = true;
        }
        let begin = at;
        while at < tokens.len() && (matches!(tokens[at].kind, Kind::Word | Kind::Name)) {
            at += 1;
            if !tokens.get(at).is_some_and(|next| next.is_sign(".")) {
                break;
            }
            at += 1;
        }
        if at > begin {
            found.push(tokens[begin..at].iter().map(|token| token.text).collect());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_statement_ends_where_the_database_says() {
        for (sql, lexis, expected) in [
            ("SELECT 1 AS a; -- done", Lexis::POSTGRESQL, "SELECT 1 AS a"),
            ("SELECT 1 ; ; -- x", Lexis::POSTGRESQL, "SELECT 1"),
            ("\u{feff}SELECT 1\r\n;\r\n", Lexis::POSTGRESQL, "SELECT 1"),
            ("SELECT 1 /* a /* b */ ; */", Lexis::POSTGRESQL, "SELECT 1"),
            (
                "SELECT ';--', $a$ ; $$ '$a$, E'\\';' ;",
                Lexis::POSTGRESQL,
                "SELECT ';--', $a$ ; $$ '$a$, E'\\';'",
            ),
            ("SELECT \";\" # x", Lexis::MYSQL, "SELECT \";\""),
            ("SELECT 1--1;", Lexis::MYSQL, "SELECT 1--1"),
            ("SELECT '\\';' ;", Lexis::MYSQL, "SELECT '\\';'"),
            ("SELECT [a;b] FROM t -- note", Lexis::SQLITE, "SELECT [a;b] FROM t"),
            ("SELECT q'[it's; ]' FROM dual;", Lexis::ORACLE, "SELECT q'[it's; ]' FROM dual"),
            ("/* hint */ SELECT 1", Lexis::STANDARD, "/* hint */ SELECT 1"),
        ] {
            assert_eq!(statement(sql, lexis).unwrap(), expected, "{sql}");
        }
        for sql in ["SELECT 1; SELECT 2", "", ";", "-- x", "SELECT 'a", "SELECT 1) UNION (SELECT 2"]
        {
            assert!(statement(sql, Lexis::POSTGRESQL).is_err(), "{sql}");
        }
    }

    #[test]
    fn what_may_be_other_rows_each_time_is_told() {
        let why = |sql: &str| reads_alike(sql, Lexis::STANDARD).unwrap();
        for sql in [
            "SELECT * FROM big LIMIT 10",
            "SELECT * FROM (SELECT * FROM big OFFSET 3) q",
            "WITH w AS (SELECT * FROM big FETCH FIRST 5 ROWS ONLY) SELECT * FROM w",
            "SELECT row_number() OVER () FROM t",
            "SELECT random() FROM t",
            "SELECT my_function(a) FROM t",
            "SELECT * FROM t WHERE d < CURRENT_DATE",
            "SELECT DISTINCT ON (a) * FROM t",
            "DELETE FROM t RETURNING *",
        ] {
            assert!(why(sql).is_err(), "{sql}");
        }
        assert_eq!(
            why("SELECT count(*), upper(a) FROM s.t, \"U\" u JOIN v ON (v.a = u.a)").unwrap(),
            ["s.t", "\"U\"", "v"]
        );
        assert_eq!(
            why("WITH w AS (SELECT a FROM t) SELECT a FROM w WHERE a IN (SELECT b FROM x)")
                .unwrap(),
            ["t", "x"]
        );
        assert_eq!(why("SELECT 'LIMIT', \"over\" FROM t -- LIMIT").unwrap(), ["t"]);
    }

    proptest! {
        #[test]
        fn what_ends_a_statement_never_belongs_to_it(
            sql in "[a-z'\"$;/*()\n -]{0,24}",
            tail in prop::sample::select(vec!["", ";", " ;\n", "; -- x", ";/* y */;"]),
        ) {
            for lexis in [Lexis::POSTGRESQL, Lexis::MYSQL, Lexis::SQLITE, Lexis::ORACLE] {
                let with = format!("{sql}\n{tail}");
                if let (Ok(bare), Ok(ended)) = (statement(&sql, lexis), statement(&with, lexis)) {
                    prop_assert_eq!(bare, ended);
                }
            }
        }
    }
}
