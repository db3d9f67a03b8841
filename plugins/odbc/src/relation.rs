//! What is known of a table or a query, without reading its rows.

use longshore_sdk::host::odbc::{Catalog, TableName, Value};
use longshore_sdk::{Comparable, Relation, Result};

use crate::dialect::Folds;
use crate::types::{Known, known, value_bytes};
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

/// What is known of a relation.
pub struct Described {
    pub columns: Vec<Known>,
    pub rows: Option<u64>,
    pub bytes: Option<u64>,
}

/// What is read, as it stands behind FROM.
pub fn from(relation: &Relation) -> String {
    match relation {
        Relation::Table(name) => name.clone(),
        Relation::Query(sql) => format!("({}) q", sql.trim().trim_end_matches(';')),
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

fn plain_or_quoted(odbc: &Odbc, name: &str) -> String {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && folded(name, odbc.dialect.folds) == name;
    if is_plain { name.to_owned() } else { quoted(name, &odbc.quote) }
}

/// Looks a relation up.
pub fn describe(odbc: &mut Odbc, relation: &Relation) -> Result<Described> {
    let columns = columns(odbc, relation)?;
    let (rows, bytes) = match relation {
        Relation::Table(name) => size(odbc, &parts(name, odbc.dialect.folds))?,
        Relation::Query(_) => (None, None),
    };
    let row_bytes: u64 = columns.iter().map(|known| value_bytes(&known.data_type)).sum();
    let bytes = bytes.or(rows.map(|rows| rows * row_bytes));
    Ok(Described { columns, rows, bytes })
}

/// A relation's columns.
pub fn columns(odbc: &mut Odbc, relation: &Relation) -> Result<Vec<Known>> {
    let described = odbc.session.describe(&format!("SELECT * FROM {}", from(relation)))?;
    let words = match (relation, odbc.dialect.types) {
        (Relation::Table(name), Some(sql)) => {
            let name = match odbc.dialect.loose {
                true => parts(name, odbc.dialect.folds).name,
                false => name.clone(),
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
    Ok(described.iter().map(column).collect())
}

fn words_of<'a>(words: &'a [Vec<Option<String>>], name: &str) -> Option<&'a str> {
    words.iter().find_map(|row| match row.as_slice() {
        [Some(column), Some(words)] if column == name => Some(words.as_str()),
        _ => None,
    })
}

/// Estimated rows and bytes.
fn size(odbc: &mut Odbc, table: &TableName) -> Result<(Option<u64>, Option<u64>)> {
    let Some(sql) = odbc.dialect.size else {
        return Ok((odbc.dialect.loose.then(|| last_row(odbc, table)).flatten(), None));
    };
    let schema = table.schema.clone().or(table.catalog.clone()).unwrap_or_default();
    let names = [Value::Text(schema), Value::Text(table.name.clone())];
    let rows = odbc.session.query(sql, &names, FEW_ROWS)?;
    let number = |at: usize| rows.first()?.get(at)?.as_ref()?.parse::<f64>().ok();
    Ok((number(0).map(|rows| rows as u64), number(1).map(|bytes| bytes as u64)))
}

/// SQLite numbers its rows.
fn last_row(odbc: &mut Odbc, table: &TableName) -> Option<u64> {
    let sql = format!("SELECT MAX(rowid) FROM {}", quoted(&table.name, &odbc.quote));
    odbc.session.query(&sql, &[], 1).ok()?.first()?.first()?.as_ref()?.parse().ok()
}

/// A column by which a table can be cut.
#[derive(Clone, Debug)]
pub struct Key {
    pub column: String,
    pub known: Option<Known>,
}

/// The first column of a table's primary key, or of a unique index.
pub fn key(odbc: &mut Odbc, relation: &Relation, described: &Described) -> Option<Key> {
    let Relation::Table(name) = relation else { return None };
    let table = parts(name, odbc.dialect.folds);
    // What is known of the size came from the numbers of its rows.
    if odbc.dialect.loose && described.rows.is_some() {
        return Some(Key { column: "rowid".into(), known: None });
    }
    let primary = odbc.session.catalog(&Catalog::PrimaryKey(table.clone())).unwrap_or_default();
    let first = |rows: &[Vec<Option<String>>], column: usize, sequence: usize| {
        let is_first =
            |row: &&Vec<Option<String>>| row.get(sequence).and_then(Option::as_deref) == Some("1");
        rows.iter().find(is_first).and_then(|row| row.get(column)?.clone())
    };
    let column = first(&primary, 3, 4).or_else(|| {
        let mut indexes = odbc.session.catalog(&Catalog::Statistics(table)).unwrap_or_default();
        indexes.retain(|row| row.get(3).and_then(Option::as_deref) == Some("0"));
        first(&indexes, 8, 7)
    })?;
    let known = described.columns.iter().find(|known| known.name == column)?;
    Some(Key { column, known: Some(known.clone()) })
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
