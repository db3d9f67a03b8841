//! What is known of a table or a query, without reading its rows.

use longshore_sdk::host::odbc::{Catalog, TableName, Value};
use longshore_sdk::sql::{self, Kind, Lexis};
use longshore_sdk::{Comparable, Error, ErrorClass, Relation, Result};
use longshore_values::unique_names;

use crate::dialect::Folds;
use crate::types::{KnownColumn, known, value_bytes};
use crate::{Encoding, Odbc, quoted};

/// Schemas of the databases' own.
const OWN_SCHEMAS: &[&str] = &[
    "information_schema",
    "pg_catalog",
    "sys",
    "mysql",
    "performance_schema",
    "v_catalog",
    "v_monitor",
];

/// Rows of a small answer.
const FEW_ROWS: u32 = 10_000;

/// The least bytes that a row takes in a file of SQLite's, about.
const LEAST_ROW_BYTES: u64 = 8;

/// What is known of a relation.
pub struct RelationFacts {
    pub columns: Vec<KnownColumn>,
    pub rows: Option<u64>,
    pub bytes: Option<u64>,
    pub source: Source,
}

/// What is read, as statements have it.
#[derive(Clone, Debug)]
pub struct Source {
    /// What stands before SELECT: the query, where it gives two columns of one name and others have to be
    /// given to them.
    pub with: String,
    /// What stands behind FROM.
    pub from: String,
}

impl Source {
    fn of(from: String) -> Self {
        Self { with: String::new(), from }
    }

    fn of_query(odbc: &Odbc, query: &str, names: &[&str]) -> Self {
        let unique = unique_names(names);
        if unique == names {
            // The line's end ends a comment in the query too.
            return Self::of(format!("({query}\n) q"));
        }
        let names: Vec<String> = unique.iter().map(|name| quoted(name, &odbc.quote)).collect();
        Self { with: format!("WITH q ({}) AS ({query}\n) ", names.join(", ")), from: "q".into() }
    }
}

/// A query without its comments: SQLite's driver takes a `;` in one for the end of a statement.
fn without_comments(query: &str, lexis: Lexis) -> Result<String> {
    let text = |token: &sql::Token<'_>| match token.kind {
        Kind::Comment => " ".to_owned(),
        _ => token.text.to_owned(),
    };
    Ok(sql::tokens(query, lexis)?.iter().map(text).collect())
}

/// A table's name, if it is one and no other SQL.
fn check_name(odbc: &Odbc, name: &str) -> Result<()> {
    let tokens = sql::tokens(name, odbc.dialect.lexis)?;
    let is_name = tokens.iter().all(|token| match token.kind {
        Kind::Word | Kind::Name => true,
        Kind::Sign => matches!(token.text, "." | "-" | "#" | "@" | "$"),
        Kind::Text | Kind::Comment | Kind::Blank => false,
    });
    if is_name {
        Ok(())
    } else {
        Err(Error::config(format!("`{name}` is not a table's name"))
            .with_hint("put quotes around a name with blanks; write a `query` for anything else"))
    }
}

/// Tables and views, as a job can name them.
pub fn list(odbc: &mut Odbc) -> Result<Vec<String>> {
    let rows = odbc.session.catalog(&Catalog::Tables)?;
    let mut tables = Vec::new();
    for row in rows {
        let [catalog, schema, Some(name), ..] = row.as_slice() else { continue };
        let outer = schema.as_ref().or(catalog.as_ref()).filter(|outer| !outer.is_empty());
        if outer.is_some_and(|outer| OWN_SCHEMAS.contains(&outer.to_ascii_lowercase().as_str())) {
            continue;
        }
        let parts = outer.into_iter().chain([name]);
        let named: Vec<String> = parts.map(|part| plain_or_quoted(odbc, part)).collect();
        tables.push(named.join("."));
    }
    tables.sort();
    Ok(tables)
}

/// The error for a table that the catalog does not list. Some drivers have no code of their own for it.
fn missing(odbc: &mut Odbc, name: &str) -> Option<Error> {
    let table = parts(name, odbc.dialect.folds).name;
    let catalog = odbc.session.catalog(&Catalog::Tables).ok()?;
    let is_it = |row: &Vec<Option<String>>| {
        let listed = row.get(2).and_then(Option::as_deref);
        listed.is_some_and(|listed| listed.eq_ignore_ascii_case(&table))
    };
    if catalog.is_empty() || catalog.iter().any(is_it) {
        return None;
    }
    Some(
        Error::not_found(format!("there is no table `{name}`"))
            .with_hint("check its name, and the rights of the user that logs in"),
    )
}

fn plain_or_quoted(odbc: &Odbc, name: &str) -> String {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && folded(name, odbc.dialect.folds) == name;
    if is_plain { name.to_owned() } else { quoted(name, &odbc.quote) }
}

/// Looks a relation up.
pub fn describe(odbc: &mut Odbc, relation: &Relation) -> Result<RelationFacts> {
    let (source, columns) = columns(odbc, relation)?;
    let row_bytes: u64 = columns.iter().map(|known| value_bytes(&known.data_type)).sum();
    let (rows, bytes) = match relation {
        Relation::Table(name) => {
            let table = parts(name, odbc.dialect.folds);
            if odbc.dialect.loose {
                (loose_rows(odbc, &table, &columns, row_bytes), None)
            } else {
                size(odbc, &table)?
            }
        }
        Relation::Query(_) => (None, None),
    };
    let bytes = bytes.or(rows.map(|rows| rows * row_bytes));
    Ok(RelationFacts { columns, rows, bytes, source })
}

/// What a relation is read from, and its columns.
fn columns(odbc: &mut Odbc, relation: &Relation) -> Result<(Source, Vec<KnownColumn>)> {
    let (source, mut described) = match relation {
        Relation::Table(name) => {
            check_name(odbc, name)?;
            let described = odbc.session.describe(&format!("SELECT * FROM {name}"));
            let described = described.map_err(|error| match error.class() {
                ErrorClass::Data => missing(odbc, name).unwrap_or(error),
                _ => error,
            })?;
            (Source::of(name.clone()), described)
        }
        Relation::Query(query) => {
            let mut query = sql::statement(query, odbc.dialect.lexis)?;
            let plain;
            if odbc.dialect.loose {
                plain = without_comments(query, odbc.dialect.lexis)?;
                query = &plain;
            }
            let described = odbc.session.describe(query)?;
            let names: Vec<&str> = described.iter().map(|column| column.name.as_str()).collect();
            (Source::of_query(odbc, query, &names), described)
        }
    };
    let names: Vec<&str> = described.iter().map(|column| column.name.as_str()).collect();
    for (name, column) in unique_names(&names).into_iter().zip(&mut described) {
        column.name = name;
    }
    let words = match (relation, odbc.dialect.types) {
        (Relation::Table(name), Some(sql)) => {
            let name = if odbc.dialect.loose {
                parts(name, odbc.dialect.folds).name
            } else {
                name.clone()
            };
            odbc.session.query(sql, &[Value::Text(name)], FEW_ROWS)?
        }
        _ => Vec::new(),
    };
    let wide = odbc.config.encoding == Encoding::Utf16;
    let column = |column| {
        let mut known = known(column, words_of(&words, &column.name), odbc.dialect, wide);
        // Statements of the job's own are not written in this connector's way.
        if matches!(relation, Relation::Query(_)) && !odbc.dialect.own_setup.is_empty() {
            known.comparable = Comparable::No;
        }
        known
    };
    Ok((source, described.iter().map(column).collect()))
}

/// Why a relation may give other rows when it is asked again; nothing if it cannot. Views are not looked
/// into.
pub fn why_changing(odbc: &mut Odbc, relation: &Relation) -> Result<Option<String>> {
    let read = match relation {
        Relation::Table(name) => vec![name.clone()],
        Relation::Query(query) => match sql::reads_alike(query, odbc.dialect.lexis)? {
            Ok(relations) => relations,
            Err(why) => return Ok(Some(why)),
        },
    };
    let catalog = odbc.session.catalog(&Catalog::Tables)?;
    for name in read {
        let table = parts(&name, odbc.dialect.folds);
        let is_it = |row: &&Vec<Option<String>>| {
            let [catalog, schema, Some(other), ..] = row.as_slice() else { return false };
            let outer = [schema.as_deref(), catalog.as_deref()];
            let is_there =
                |part: &str| outer.iter().flatten().any(|o| o.eq_ignore_ascii_case(part));
            other.eq_ignore_ascii_case(&table.name) && table.schema.as_deref().is_none_or(is_there)
        };
        let mut kinds =
            catalog.iter().filter(is_it).map(|row| row.get(3).cloned().flatten()).peekable();
        let is_table = |kind: Option<String>| {
            kind.is_some_and(|kind| kind.to_ascii_uppercase().ends_with("TABLE"))
        };
        if kinds.peek().is_none() || !kinds.all(is_table) {
            return Ok(Some(format!("{name} is not known to be a table")));
        }
    }
    Ok(None)
}

fn words_of<'a>(words: &'a [Vec<Option<String>>], name: &str) -> Option<&'a str> {
    words.iter().find_map(|row| match row.as_slice() {
        [Some(column), Some(words)] if column == name => Some(words.as_str()),
        _ => None,
    })
}

/// Estimated rows and bytes.
fn size(odbc: &mut Odbc, table: &TableName) -> Result<(Option<u64>, Option<u64>)> {
    let Some(sql) = odbc.dialect.size else { return Ok((None, None)) };
    let schema = table.schema.clone().or(table.catalog.clone()).unwrap_or_default();
    let names = [Value::Text(schema), Value::Text(table.name.clone())];
    let rows = odbc.session.query(sql, &names, FEW_ROWS)?;
    let number = |at: usize| rows.first()?.get(at)?.as_ref()?.parse::<f64>().ok();
    Ok((number(0).map(|rows| rows as u64), number(1).map(|bytes| bytes as u64)))
}

/// SQLite numbers its rows, under three names, which columns may have, too.
fn row_number(columns: &[KnownColumn]) -> Option<&'static str> {
    let is_free = |name: &&str| !columns.iter().any(|known| known.name.eq_ignore_ascii_case(name));
    ["rowid", "_rowid_", "oid"].into_iter().find(is_free)
}

/// SQLite's rows: counted where they are few; else no more than their numbers and the file have room for.
fn loose_rows(
    odbc: &mut Odbc,
    table: &TableName,
    columns: &[KnownColumn],
    row_bytes: u64,
) -> Option<u64> {
    let name = quoted(&table.name, &odbc.quote);
    let mut number = |sql: &str| -> Option<u64> {
        odbc.session.query(sql, &[], 1).ok()?.first()?.first()?.as_ref()?.parse().ok()
    };
    let few = u64::from(FEW_ROWS);
    let counted =
        number(&format!("SELECT COUNT(*) FROM (SELECT 1 FROM {name} LIMIT {})", few + 1))?;
    if counted <= few {
        return Some(counted);
    }
    let row = row_number(columns)?;
    let span = number(&format!("SELECT MAX({row}) - MIN({row}) + 1 FROM {name}"));
    let file = number("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")?;
    let room = file / row_bytes.clamp(1, LEAST_ROW_BYTES);
    Some(span.unwrap_or(u64::MAX).min(room).max(counted))
}

/// A column by which a table can be cut.
#[derive(Clone, Debug)]
pub struct Key {
    pub column: String,
    pub known: Option<KnownColumn>,
}

/// The first column of a table's primary key, or of a unique index.
pub fn key(odbc: &mut Odbc, relation: &Relation, described: &RelationFacts) -> Option<Key> {
    let Relation::Table(name) = relation else { return None };
    let table = parts(name, odbc.dialect.folds);
    if odbc.dialect.loose
        && let Some(row) = row_number(&described.columns)
        && has_row_numbers(odbc, &table, row)
    {
        return Some(Key { column: row.into(), known: None });
    }
    // Where databases are catalogs, as in MySQL, `shop.goods` names a catalog.
    let as_catalog = match &table {
        TableName { catalog: None, schema: Some(schema), name } => {
            Some(TableName { catalog: Some(schema.clone()), schema: None, name: name.clone() })
        }
        _ => None,
    };
    let names = std::iter::once(table).chain(as_catalog);
    let column = names.into_iter().find_map(|name| key_column(odbc, name))?;
    let known = described.columns.iter().find(|known| known.name == column)?;
    Some(Key { column, known: Some(known.clone()) })
}

fn key_column(odbc: &mut Odbc, table: TableName) -> Option<String> {
    let primary = odbc.session.catalog(&Catalog::PrimaryKey(table.clone())).unwrap_or_default();
    let first = |rows: &[Vec<Option<String>>], column: usize, sequence: usize| {
        let is_first =
            |row: &&Vec<Option<String>>| row.get(sequence).and_then(Option::as_deref) == Some("1");
        rows.iter().find(is_first).and_then(|row| row.get(column)?.clone())
    };
    first(&primary, 3, 4).or_else(|| {
        let mut indexes = odbc.session.catalog(&Catalog::Statistics(table)).unwrap_or_default();
        indexes.retain(|row| row.get(3).and_then(Option::as_deref) == Some("0"));
        first(&indexes, 8, 7)
    })
}

/// Views and some tables have none.
fn has_row_numbers(odbc: &mut Odbc, table: &TableName, row: &str) -> bool {
    let sql = format!("SELECT MAX({row}) FROM {}", quoted(&table.name, &odbc.quote));
    let rows = odbc.session.query(&sql, &[], 1);
    rows.is_ok_and(|rows| rows.first().and_then(|row| row.first()).is_some_and(Option::is_some))
}

/// A name's parts, as the catalog has them: `db.schema."Table"`.
pub fn parts(name: &str, folds: Folds) -> TableName {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = name.trim();
    loop {
        let (part, after) = match rest.chars().next() {
            Some(open @ ('"' | '`' | '[')) => {
                let close = if open == '[' { ']' } else { open };
                let inner = &rest[1..];
                match inner.split_once(close) {
                    Some((part, after)) => (part.to_owned(), after),
                    None => (inner.to_owned(), ""),
                }
            }
            _ => {
                let end = rest.find('.').unwrap_or(rest.len());
                (folded(&rest[..end], folds), &rest[end..])
            }
        };
        parts.push(part);
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None => break,
        }
    }
    let name = parts.pop().unwrap_or_default();
    let schema = parts.pop();
    TableName { catalog: parts.pop(), schema, name }
}

fn folded(name: &str, folds: Folds) -> String {
    match folds {
        Folds::Lower => name.to_ascii_lowercase(),
        Folds::Upper => name.to_ascii_uppercase(),
        Folds::Not => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_and_folded() {
        let read = |name: &str, folds| {
            let TableName { catalog, schema, name } = parts(name, folds);
            [catalog, schema, Some(name)].into_iter().flatten().collect::<Vec<_>>().join("|")
        };
        assert_eq!(read("Public.\"My.Table\"", Folds::Lower), "public|My.Table");
        assert_eq!(read("orders", Folds::Upper), "ORDERS");
        assert_eq!(read("[db].dbo.[Order Items]", Folds::Not), "db|dbo|Order Items");
        assert_eq!(read("`a`.b", Folds::Not), "a|b");
    }
}
