//! What the server's catalog says of tables. Several are looked up with as many queries as one.

use std::collections::BTreeMap;

use longshore_postgres_client::{Rows, Server, fault, quote_literal};
use longshore_sdk::{Error, ErrorClass, Result};

use super::leaves::{self, Leaf, whole_or_parts};
use super::{Catalog, Form, Table};
use crate::column::{Column, ColumnInfo};
use crate::policy::Policy;
use crate::session::Session;
use crate::types::Types;

/// The first version with declared partitions.
const PARTITIONS_SINCE: u32 = 100_000;

/// The first version whose collations may be non-deterministic.
const DETERMINISM_SINCE: u32 = 120_000;

/// All that can be read, ours to name again. Partitions are read with their table.
pub(crate) fn list(session: &mut Session) -> Result<Vec<String>> {
    let whole =
        if session.server().version >= PARTITIONS_SINCE { "NOT c.relispartition" } else { "true" };
    let rows = session.query(&format!(
        "SELECT format('%I.%I', n.nspname, c.relname) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {whole} \
           AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)' \
           AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') \
         ORDER BY 1"
    ))?;
    Ok(rows.into_iter().filter_map(|row| row.into_iter().next()?).collect())
}

/// A table's row of `pg_class`.
struct TableRow {
    oid: u32,
    /// Its whole name, quoted.
    from: String,
    kind: String,
    /// Whether other tables may hold rows of it.
    has_children: bool,
}

impl TableRow {
    fn holds_rows(&self) -> bool {
        matches!(self.kind.as_str(), "r" | "p" | "m")
    }
}

impl Catalog<'_> {
    /// Looks a table up.
    pub(super) fn table(&mut self, name: &str) -> Result<Table> {
        let table = self.tables(&[name])?.pop();
        match table.ok_or_else(|| fault::protocol("no answer for a table"))? {
            Err(missing) if missing.class() == ErrorClass::NotFound => {
                Err(with_likely_name(self.session, name, missing))
            }
            looked_up => looked_up,
        }
    }

    /// Looks tables up, each for itself.
    pub(crate) fn tables(&mut self, names: &[&str]) -> Result<Vec<Result<Table>>> {
        let found = find(self.session, names)?;
        let there: Vec<&TableRow> = found.iter().flatten().collect();
        let rows = if there.is_empty() { None } else { Some(self.rows(&there)?) };
        let table = |found: Result<TableRow>| {
            let found = found?;
            let rows = rows.as_ref().ok_or_else(|| fault::protocol("no rows of a table"))?;
            rows.table(found, self.policy)
        };
        Ok(found.into_iter().map(table).collect())
    }

    /// Asks for the columns of tables, and for what holds their rows.
    fn rows(&mut self, tables: &[&TableRow]) -> Result<CatalogRows> {
        let oids: Vec<u32> = tables.iter().map(|found| found.oid).collect();
        let with_rows: Vec<&&TableRow> = tables.iter().filter(|found| found.holds_rows()).collect();
        let asked = columns_query(self.session.server(), &oids);
        let (columns, leaves) = if with_rows.is_empty() {
            (self.session.query(&asked)?, Rows::new())
        } else {
            let oids: Vec<u32> = with_rows.iter().map(|found| found.oid).collect();
            let have_children = with_rows.iter().any(|found| found.has_children);
            let leaves = leaves::query(self.session.server(), &oids, have_children);
            self.session.query_both(&asked, &leaves)?
        };
        let columns = by_table(columns)?;
        let described: Vec<ColumnInfo<'_>> =
            columns.values().flatten().map(|row| described(row)).collect::<Result<_>>()?;
        let types = self.types_of(&described)?;
        Ok(CatalogRows { columns, leaves: by_table(leaves)?, types })
    }
}

/// The rows of the catalog that tell of tables, by the tables' oids.
struct CatalogRows {
    columns: BTreeMap<u32, Rows>,
    leaves: BTreeMap<u32, Rows>,
    types: Types,
}

impl CatalogRows {
    fn table(&self, found: TableRow, policy: Policy) -> Result<Table> {
        let columns = rows_of(&self.columns, found.oid)
            .map(|row| Column::new(&described(row)?, &self.types, policy))
            .collect::<Result<Vec<_>>>()?;
        if columns.is_empty() {
            return Err(Error::data("a table with no columns cannot be a file"));
        }
        let (holds_rows, TableRow { oid, from, .. }) = (found.holds_rows(), found);
        if !holds_rows {
            let form = Form::View { oid };
            return Ok(Table { from, columns, rows: None, bytes: None, form });
        }
        let leaves =
            rows_of(&self.leaves, oid).map(leaves::parse).collect::<Result<Vec<Leaf>>>()?;
        let rows: Option<Vec<u64>> = leaves.iter().map(|leaf| leaf.rows).collect();
        Ok(Table {
            columns,
            rows: rows.map(|rows| rows.iter().sum()),
            bytes: Some(leaves.iter().map(|leaf| leaf.bytes).sum()),
            form: Form::Table { oid, leaves: whole_or_parts(oid, &from, leaves) },
            from,
        })
    }
}

/// Rows whose first column is a table's oid, by that.
fn by_table(rows: Rows) -> Result<BTreeMap<u32, Rows>> {
    let mut tables: BTreeMap<u32, Rows> = BTreeMap::new();
    for mut row in rows {
        let oid = (!row.is_empty()).then(|| row.remove(0)).flatten();
        let oid = oid.and_then(|oid| oid.parse().ok());
        let oid = oid.ok_or_else(|| fault::protocol("an oid that cannot be read"))?;
        tables.entry(oid).or_default().push(row);
    }
    Ok(tables)
}

fn rows_of(tables: &BTreeMap<u32, Rows>, oid: u32) -> impl Iterator<Item = &[Option<String>]> {
    tables.get(&oid).into_iter().flatten().map(Vec::as_slice)
}

/// Finds tables by their names.
fn find(session: &mut Session, names: &[&str]) -> Result<Vec<Result<TableRow>>> {
    let asked: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(number, name)| format!("({number}, to_regclass({})::oid)", quote_literal(name)))
        .collect();
    let rows = session.query(&format!(
        "SELECT t.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relkind, c.relhassubclass \
         FROM (VALUES {}) AS t(number, oid) LEFT JOIN (pg_catalog.pg_class c \
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace) ON c.oid = t.oid ORDER BY t.number",
        asked.join(", ")
    ))?;
    if rows.len() != names.len() {
        return Err(fault::protocol("not an answer for each table"));
    }
    Ok(names.iter().zip(&rows).map(|(name, row)| found(name, row)).collect())
}

fn found(name: &str, row: &[Option<String>]) -> Result<TableRow> {
    match row {
        [Some(oid), Some(from), Some(kind), Some(has)] => Ok(TableRow {
            oid: oid.parse().map_err(|_| fault::protocol("an oid that cannot be read"))?,
            from: from.clone(),
            kind: kind.clone(),
            has_children: has == "t",
        }),
        // Functions see the catalog as it is now, a query sees it as the snapshot does.
        [Some(_), ..] => {
            Err(Error::stale(format!("table `{name}` was replaced since the snapshot")))
        }
        _ => Err(Error::not_found(format!("no table `{name}`")).with_code("42P01")),
    }
}

/// `Orders` without quotes means `orders`: helps whoever forgot them.
fn with_likely_name(session: &mut Session, name: &str, missing: Error) -> Error {
    let likely = session.query(&format!(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE lower(c.relname) = lower({0}) OR lower(n.nspname || '.' || c.relname) = lower({0}) LIMIT 1",
        quote_literal(name)
    ));
    let likely = match likely {
        Ok(rows) => rows.into_iter().flatten().flatten().next(),
        Err(error) => return error,
    };
    match likely {
        Some(other) => {
            missing.with_hint(format!("there is `{other}`: write it so, quotes included"))
        }
        None => missing.with_hint(
            "check the name and the schema; `longshore test-connection` lists what can be read",
        ),
    }
}

/// Asks for the columns of tables. The first column is the table's oid.
fn columns_query(server: &Server, tables: &[u32]) -> String {
    let deterministic = if server.version >= DETERMINISM_SINCE {
        "coalesce(l.collisdeterministic, true)"
    } else {
        "true"
    };
    let oids: Vec<String> = tables.iter().map(u32::to_string).collect();
    format!(
        "SELECT a.attrelid, a.attname, a.atttypid, a.atttypmod, a.attndims, \
           format_type(a.atttypid, a.atttypmod), NOT a.attnotnull, {deterministic} \
         FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation \
         WHERE a.attrelid IN ({}) AND a.attnum > 0 AND NOT a.attisdropped \
         ORDER BY a.attrelid, a.attnum",
        oids.join(", ")
    )
}

/// A column from its row, without the table's oid.
fn described(row: &[Option<String>]) -> Result<ColumnInfo<'_>> {
    let text = |at: usize| row.get(at)?.as_deref();
    let parsed = || {
        Some(ColumnInfo {
            name: text(0)?,
            type_oid: text(1)?.parse().ok()?,
            type_modifier: text(2)?.parse().ok()?,
            dimensions: text(3)?.parse().ok()?,
            source_type: text(4)?,
            nullable: text(5)? == "t",
            deterministic: text(6)? == "t",
        })
    };
    parsed().ok_or_else(|| fault::protocol("a column that cannot be read"))
}
