//! The two tables of a load: the staged rows, and the table that they are loaded into.

use longshore_postgres_client::{Client, quote_ident, quote_literal};
use longshore_sdk::load_modes::{LoadMode, Merge};
use longshore_sdk::{Error, Result};

use crate::fit::{self, TableColumn};
use crate::staging::ORDER;

/// Names, as SQL lists them.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| quote_ident(name)).collect::<Vec<_>>().join(", ")
}

/// The column that tells which rows remove others, if one does.
pub(super) fn removes(mode: &LoadMode) -> Option<&str> {
    match mode {
        LoadMode::Merge(Merge { deleted, .. }) => deleted.as_deref(),
        _ => None,
    }
}

/// Those of the staged columns that the relation has.
pub(super) fn loaded_columns(staged: Vec<TableColumn>, mode: &LoadMode) -> Vec<TableColumn> {
    let removes = removes(mode);
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
        let columns = loaded_columns(fit::columns(client, staging)?, mode);
        let there = fit::columns(client, target)?;
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
        let count = self.client.value(query)?;
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
        fit::find(&self.there, self.target, name)
    }

    /// A staged column, in the type of the table's column of this name.
    pub(super) fn cast(&self, expression: &str, name: &str) -> Result<String> {
        Ok(format!("CAST({expression} AS {})", self.there(name)?.sql_type))
    }

    /// The staged values of a row `s`, each in the type of the table's column.
    pub(super) fn values(&self) -> Result<Vec<String>> {
        let names = self.columns.iter().map(|column| &column.name);
        names.map(|name| self.cast(&format!("s.{}", quote_ident(name)), name)).collect()
    }

    /// The statement that adds staged rows `s`, as far as a condition holds for them.
    pub(super) fn insert(&self, condition: &str) -> Result<String> {
        let columns = listed(self.columns.iter().map(|column| &column.name));
        Ok(format!(
            "INSERT INTO {} ({columns}) SELECT {} FROM {} s WHERE {condition}",
            self.target,
            self.values()?.join(", "),
            self.staging
        ))
    }

    pub(super) fn explain_insert(&mut self) -> Result<()> {
        let insert = self.insert("TRUE")?;
        self.explain(&insert)
    }

    /// Refuses a table of which the user does not see all rows: those would come a second time.
    pub(super) fn refuse_hidden_rows(&mut self) -> Result<()> {
        let target = quote_literal(self.target);
        let is_active = format!("SELECT row_security_active({target}::regclass)");
        if self.client.value(&is_active)?.as_deref() != Some("t") {
            return Ok(());
        }
        Err(Error::config("a policy of row security can hide rows of the table from the user")
            .with_hint("load as a user with BYPASSRLS, or as the table's owner"))
    }

    /// Refuses columns in which other texts are equal: a key could have several rows, and none would be wrong.
    pub(super) fn refuse_loose_texts(&mut self, columns: &[String]) -> Result<()> {
        let names: Vec<String> = columns.iter().map(|name| quote_literal(name)).collect();
        let found = self.client.value(&format!(
            "SELECT a.attname FROM pg_catalog.pg_attribute a \
             LEFT JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation \
             WHERE a.attrelid = {}::regclass AND a.attname IN ({}) \
               AND (NOT c.collisdeterministic OR format_type(a.atttypid, NULL) LIKE '%citext')",
            quote_literal(self.target),
            names.join(", ")
        ))?;
        let Some(name) = found else { return Ok(()) };
        Err(Error::config(format!(
            "column `{name}`: texts that differ are equal there, so they are no key"
        ))
        .with_hint("give the table's column a collation that is deterministic, such as \"C\""))
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
