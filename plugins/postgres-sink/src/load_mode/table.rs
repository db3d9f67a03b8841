//! The two tables of a load: the staged rows, and the table that they are loaded into.

use longshore_postgres_client::{Client, quote_ident, quote_literal};
use longshore_sdk::load_modes::{LoadMode, Merge};
use longshore_sdk::{Error, Result};

use crate::staging::ORDER;

/// A column, as the server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableColumn {
    pub(super) name: String,
    pub(super) sql_type: String,
    pub(super) is_not_null: bool,
}

impl TableColumn {
    /// As CREATE TABLE takes it.
    pub(super) fn definition(&self) -> String {
        let not_null = if self.is_not_null { " NOT NULL" } else { "" };
        format!("{} {}{not_null}", quote_ident(&self.name), self.sql_type)
    }
}

/// The columns of a table.
pub(super) fn columns(client: &mut Client, table: &str) -> Result<Vec<TableColumn>> {
    let rows = client.query(&format!(
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_catalog.pg_attribute \
         WHERE attrelid = {}::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        quote_literal(table)
    ))?;
    let column = |row: Vec<Option<String>>| match <[_; 3]>::try_from(row) {
        Ok([Some(name), Some(sql_type), not_null]) => {
            Some(TableColumn { name, sql_type, is_not_null: not_null.as_deref() == Some("t") })
        }
        _ => None,
    };
    Ok(rows.into_iter().filter_map(column).collect())
}

/// Names, as SQL lists them.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| quote_ident(name)).collect::<Vec<_>>().join(", ")
}

/// Those of the staged columns that the relation has.
pub(super) fn loaded_columns(staged: Vec<TableColumn>, mode: &LoadMode) -> Vec<TableColumn> {
    let removes = match mode {
        LoadMode::Merge(Merge { deleted, .. }) => deleted.as_deref(),
        _ => None,
    };
    let is_own = |column: &TableColumn| column.name != ORDER && Some(&*column.name) != removes;
    staged.into_iter().filter(is_own).collect()
}

/// A load under way.
pub(super) struct LoadTable<'a> {
    pub(super) client: &'a mut Client,
    /// The staging table, as SQL names it.
    pub(super) staging: &'a str,
    /// The table that is loaded, as SQL names it.
    pub(super) target: &'a str,
    /// The staged columns that the relation has.
    pub(super) columns: Vec<TableColumn>,
    /// The columns of the table that is loaded; it may have others than the relation.
    pub(super) there: Vec<TableColumn>,
    /// The run's table, where it matters which row was read first.
    pub(super) order: Option<String>,
}

impl<'a> LoadTable<'a> {
    pub(super) fn open(
        client: &'a mut Client,
        staging: &'a str,
        target: &'a str,
        mode: &LoadMode,
    ) -> Result<Self> {
        let columns = loaded_columns(columns(client, staging)?, mode);
        let there = self::columns(client, target)?;
        Ok(Self { client, staging, target, columns, there, order: None })
    }

    /// Runs a statement that returns something for each row that it changes; gives how many these are.
    pub(super) fn change(&mut self, statement: &str) -> Result<u64> {
        self.count(&format!(
            "WITH changed AS ({statement} RETURNING 1) SELECT count(*) FROM changed"
        ))
    }

    /// The one number that a query gives.
    pub(super) fn count(&mut self, query: &str) -> Result<u64> {
        let rows = self.client.query(query)?;
        let count = rows.into_iter().flatten().flatten().next();
        count
            .and_then(|count| count.parse().ok())
            .ok_or_else(|| Error::internal("the server gave no count"))
    }

    /// Whether no row is staged.
    pub(super) fn is_empty(&mut self) -> Result<bool> {
        let found = self.client.query(&format!("SELECT 1 FROM {} LIMIT 1", self.staging))?;
        Ok(found.is_empty())
    }

    /// A column of the table, by its name.
    pub(super) fn there(&self, name: &str) -> Result<&TableColumn> {
        self.there.iter().find(|column| column.name == name).ok_or_else(|| {
            Error::config(format!("{} has no column `{name}`", self.target.replace('"', "")))
                .with_hint("add it to the table, or load into another one with `as:`")
        })
    }

    /// A staged column, in the type of the table's column of this name.
    pub(super) fn cast(&self, expression: &str, name: &str) -> Result<String> {
        Ok(format!("CAST({expression} AS {})", self.there(name)?.sql_type))
    }

    /// The statement that adds staged rows `s`, as far as a condition holds for them.
    pub(super) fn insert(&self, condition: &str) -> String {
        let columns = listed(self.columns.iter().map(|column| &column.name));
        format!(
            "INSERT INTO {} ({columns}) SELECT {columns} FROM {} s WHERE {condition}",
            self.target, self.staging
        )
    }

    pub(super) fn explain_insert(&mut self) -> Result<()> {
        let insert = self.insert("TRUE");
        self.explain(&insert)
    }

    pub(super) fn explain_delete(&mut self) -> Result<()> {
        let delete = format!("DELETE FROM {} WHERE FALSE", self.target);
        self.explain(&delete)
    }

    /// Whether rows can be removed and changed.
    pub(super) fn explain_changes(&mut self) -> Result<()> {
        self.explain_delete()?;
        let Some(first) = self.there.first() else { return Ok(()) };
        let column = quote_ident(&first.name);
        let update = format!("UPDATE {} SET {column} = {column} WHERE FALSE", self.target);
        self.explain(&update)
    }

    /// Whether staged values of these columns can be compared with those of the table.
    pub(super) fn explain_comparison(&mut self, columns: &[String]) -> Result<()> {
        let equal = columns.iter().map(|name| {
            let column = quote_ident(name);
            format!("t.{column} = s.{column}")
        });
        let equal: Vec<String> = equal.collect();
        let (target, staging) = (self.target, self.staging);
        let join = format!("SELECT FROM {target} t JOIN {staging} s ON {}", equal.join(" AND "));
        self.explain(&join).map_err(|error| {
            error.with_hint("cast the column to the type that the table has, in an `sql` step")
        })
    }

    pub(super) fn explain(&mut self, statement: &str) -> Result<()> {
        self.client.query(&format!("EXPLAIN {statement}")).map(drop)
    }
}
