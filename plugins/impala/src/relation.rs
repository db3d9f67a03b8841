//! What the server says of a relation: its columns from a result without rows, its size and partitions
//! from the catalog.

use longshore_sdk::sql::{self, Lexis};
use longshore_sdk::{Relation, Result};

use crate::address::Product;
use crate::facts::Facts;
use crate::service::Column;
use crate::session::{Session, Table, quote};

/// What Hive calls the partition of rows whose key is null.
pub const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// What the statistics say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    pub rows: Option<u64>,
    pub bytes: Option<u64>,
}

/// A partition: its keys and values, a value of nothing for null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    pub keys: Vec<(String, Option<String>)>,
    pub size: Size,
    /// Where it is, if its files are Parquet; Hive does not say it of all at once.
    pub location: Option<String>,
}

/// What is read, as it stands behind FROM.
pub fn from(relation: &Relation) -> Result<String> {
    Ok(match relation {
        Relation::Table(name) => qualified(name),
        // The line's end ends a comment in the query too.
        Relation::Query(query) => format!("({}\n) q", sql::statement(query, Lexis::HIVE)?),
    })
}

/// Why a relation may give other rows when it is asked again; nothing if it cannot. Views are not looked
/// into.
pub fn why_changing(session: &mut Session, relation: &Relation) -> Result<Option<String>> {
    let read = match relation {
        Relation::Table(name) => vec![name.clone()],
        Relation::Query(query) => match sql::reads_alike(query, Lexis::HIVE)? {
            Ok(relations) => relations,
            Err(why) => return Ok(Some(why)),
        },
    };
    for name in read {
        let table = if name.contains('`') { name.clone() } else { qualified(&name) };
        match Facts::look_up(session, &table)? {
            Some(facts) if !facts.is_view() => {}
            _ => return Ok(Some(format!("{name} is not known to be a table"))),
        }
    }
    Ok(None)
}

/// `db.table`, `table`, or either within backticks as it is.
pub fn qualified(name: &str) -> String {
    if name.contains('`') {
        name.to_owned()
    } else {
        name.split('.').map(quote).collect::<Vec<_>>().join(".")
    }
}

pub fn columns(session: &mut Session, relation: &Relation) -> Result<Vec<Column>> {
    let mut columns = session.describe(&format!("SELECT * FROM {} LIMIT 0", from(relation)?))?;
    let own = match relation {
        Relation::Table(name) => name.rsplit('.').next().unwrap_or_default().replace('`', ""),
        Relation::Query(_) => "q".to_owned(),
    };
    for column in &mut columns {
        // Hive writes the table's name in front.
        if let Some((before, name)) = column.name.split_once('.')
            && before.eq_ignore_ascii_case(&own)
        {
            column.name = name.to_owned();
        }
    }
    Ok(columns)
}

/// Tables and views of the session's database.
pub fn list(session: &mut Session) -> Result<Vec<String>> {
    let tables = session.rows("SHOW TABLES")?;
    // Spark says the database first, and whether it is a temporary view.
    let column = tables.column("tablename").unwrap_or(0);
    Ok(tables.rows.into_iter().filter_map(|mut row| row.get_mut(column)?.take()).collect())
}

/// A table's size; nothing is known of a query's.
pub fn size(session: &mut Session, relation: &Relation) -> Result<Size> {
    let Relation::Table(name) = relation else { return Ok(Size::default()) };
    match session.address.product {
        Product::Impala => {
            // A view has none.
            let sql = format!("SHOW TABLE STATS {}", qualified(name));
            let Some(stats) = session.rows_if_any(&sql)? else { return Ok(Size::default()) };
            // With partitions the last row is their sum.
            Ok(stats.rows.last().map(|row| impala_size(&stats, row)).unwrap_or_default())
        }
        Product::Hive => {
            let described = session.rows(&format!("DESCRIBE FORMATTED {}", qualified(name)))?;
            Ok(hive_size(&described))
        }
    }
}

fn impala_size(stats: &Table, row: &[Option<String>]) -> Size {
    let value = |name: &str| stats.value(row, name);
    let rows = value("#rows").and_then(|rows| rows.parse::<i64>().ok());
    Size {
        rows: rows.and_then(|rows| u64::try_from(rows).ok()),
        bytes: value("size").and_then(human_bytes),
    }
}

/// Hive has `numRows` and `totalSize` among its parameters, Spark one line `Statistics`.
fn hive_size(described: &Table) -> Size {
    let mut size = Size::default();
    for row in &described.rows {
        let words: Vec<&str> = row.iter().flatten().map(|word| word.trim()).collect();
        for pair in words.windows(2) {
            let number = || pair[1].parse().ok().filter(|number| *number > 0);
            match pair[0] {
                "numRows" => size.rows = number().or(size.rows),
                "totalSize" => size.bytes = number().or(size.bytes),
                "Statistics" => {
                    let mut parts = pair[1].split(',').map(str::trim);
                    let amount = |part: &str| part.split(' ').next()?.parse().ok();
                    size.bytes = parts.next().and_then(amount).or(size.bytes);
                    size.rows = parts.next().and_then(amount).or(size.rows);
                }
                _ => {}
            }
        }
    }
    size
}

/// `1.23MB`, as Impala writes sizes.
fn human_bytes(text: &str) -> Option<u64> {
    let at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(at);
    let factor: f64 = match unit.trim() {
        "B" => 1.0,
        "KB" => 1024.0,
        "MB" => 1024.0 * 1024.0,
        "GB" => 1024.0 * 1024.0 * 1024.0,
        "TB" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some((number.trim().parse::<f64>().ok()? * factor) as u64)
}

/// A table's partitions; none where it has none, or is a view.
pub fn partitions(session: &mut Session, relation: &Relation) -> Result<Vec<Partition>> {
    let Relation::Table(name) = relation else { return Ok(Vec::new()) };
    let sql = format!("SHOW PARTITIONS {}", qualified(name));
    let Some(shown) = session.rows_if_any(&sql)? else { return Ok(Vec::new()) };
    Ok(match session.address.product {
        Product::Impala => impala_partitions(&shown),
        Product::Hive => {
            let names = shown.rows.iter().filter_map(|row| row.first()?.as_deref());
            names.filter_map(hive_partition).collect()
        }
    })
}

/// One row each; the keys are the columns before `#Rows`. The last row is the sum.
fn impala_partitions(shown: &Table) -> Vec<Partition> {
    let Some(keys) = shown.column("#rows") else { return Vec::new() };
    let partition = |row: &Vec<Option<String>>| Partition {
        keys: (0..keys)
            .map(|at| (shown.name(at).to_owned(), row[at].clone().filter(|value| value != "NULL")))
            .collect(),
        size: impala_size(shown, row),
        location: match shown.value(row, "format") {
            Some(format) if format.eq_ignore_ascii_case("parquet") => {
                shown.value(row, "location").map(str::to_owned)
            }
            _ => None,
        },
    };
    let is_sum =
        |row: &Vec<Option<String>>| row.first().is_some_and(|key| key.as_deref() == Some("Total"));
    shown.rows.iter().filter(|row| keys > 0 && !is_sum(row)).map(partition).collect()
}

/// `day=2013-01-01/origin=JFK`, bytes that a path cannot hold as `%3A`.
fn hive_partition(name: &str) -> Option<Partition> {
    let key = |part: &str| {
        let (key, value) = part.split_once('=')?;
        let value = percent_encoding::percent_decode_str(value).decode_utf8().ok()?.into_owned();
        Some((key.to_owned(), Some(value).filter(|value| value != NULL_PARTITION)))
    };
    let keys = name.split('/').map(key).collect::<Option<Vec<_>>>()?;
    Some(Partition { keys, size: Size::default(), location: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_part_by_part() {
        let named = |name: &str| from(&Relation::Table(name.into())).unwrap();
        assert_eq!(named("sales.orders"), "`sales`.`orders`");
        assert_eq!(named("`a.b`.c"), "`a.b`.c");
        assert_eq!(from(&Relation::Query("SELECT 1; ".into())).unwrap(), "(SELECT 1\n) q");
    }

    #[test]
    fn a_partitions_name_is_taken_apart() {
        let partition =
            hive_partition("at=2013-01-01 05%3A00/of=__HIVE_DEFAULT_PARTITION__").unwrap();
        let keys =
            [("at".to_owned(), Some("2013-01-01 05:00".to_owned())), ("of".to_owned(), None)];
        assert_eq!(partition.keys, keys);
        assert_eq!(hive_partition("no partition"), None);
    }

    #[test]
    fn sizes_are_read_as_people_see_them() {
        assert_eq!(human_bytes("1.50KB"), Some(1_536));
        assert_eq!(human_bytes("0B"), Some(0));
        assert_eq!(human_bytes("much"), None);
    }
}
