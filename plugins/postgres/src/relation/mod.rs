//! What the server says of relations: their columns, and what holds their rows.

mod files;
mod leaves;
mod query;
mod tables;

use std::sync::Arc;

use longshore_postgres_client::quote_ident;
use longshore_sdk::schema::{Schema, SchemaRef};
use longshore_sdk::{Error, Relation, Result};

use crate::column::{Column, ColumnInfo};
use crate::policy::Policy;
use crate::session::{Session, StatementColumn};
use crate::types::Types;
pub(crate) use files::{File, guard, of_places};
pub(crate) use leaves::Leaf;
pub(crate) use tables::list;

/// A relation, looked up.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// What stands after FROM.
    pub(crate) from: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) form: Form,
}

/// What a relation is.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// A table, with all that hold rows of it: itself, or its partitions and children.
    Table { oid: u32, leaves: Vec<Leaf> },
    /// A view or a foreign table.
    View { oid: u32 },
    /// A query, and where its columns come from.
    Query { columns: Vec<StatementColumn> },
}

impl Table {
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(Column::field).collect::<Vec<_>>()))
    }

    /// The files of a table's leaves.
    pub(crate) fn files(&self) -> Vec<File> {
        match &self.form {
            Form::Table { leaves, .. } => {
                let own = leaves.iter().filter(|leaf| !leaf.foreign);
                own.take(files::FILE_LIMIT).map(|leaf| leaf.file.clone()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The named columns, in that order.
    pub(crate) fn project(&self, names: Option<&[String]>) -> Result<Vec<Column>> {
        match names {
            None => Ok(self.columns.clone()),
            Some(names) => names.iter().map(|name| self.column(name).cloned()).collect(),
        }
    }

    pub(crate) fn column(&self, name: &str) -> Result<&Column> {
        let found = self.columns.iter().find(|column| column.name == *name);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
            Error::not_found(format!("no column `{name}`"))
                .with_hint(format!("its columns are {}", names.join(", ")))
        })
    }

    /// The SELECT of some columns under some conditions.
    pub(crate) fn select(
        columns: &[Column],
        from: &str,
        conditions: &[&str],
        limit: Option<u64>,
    ) -> String {
        let column = |column: &Column| format!("{}{}", quote_ident(&column.name), column.cast);
        let list: Vec<String> = columns.iter().map(column).collect();
        let conditions: Vec<String> = conditions.iter().map(|c| format!("({c})")).collect();
        let condition = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        let limit = limit.map(|limit| format!(" LIMIT {limit}")).unwrap_or_default();
        format!("SELECT {} FROM {from}{condition}{limit}", list.join(", "))
    }
}

/// Looks relations up.
pub(crate) struct Catalog<'a> {
    pub(crate) session: &'a mut Session,
    pub(crate) policy: Policy,
    /// The types that are known.
    pub(crate) types: &'a mut Types,
}

impl Catalog<'_> {
    /// Looks a table or query up.
    pub(crate) fn relation(&mut self, relation: &Relation) -> Result<Table> {
        match relation {
            Relation::Table(name) => self.table(name),
            Relation::Query(query) => self.query(query),
        }
    }

    /// The types of columns, and all that they are made of.
    fn types_of(&mut self, described: &[ColumnInfo<'_>]) -> Result<Types> {
        let mut oids: Vec<u32> = described.iter().map(|column| column.type_oid).collect();
        oids.sort_unstable();
        oids.dedup();
        self.types.look_up(self.session, &oids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;

    #[test]
    fn a_select_asks_for_no_more_than_is_wanted() {
        let mut text = Column::of_kind("B", Kind::Text);
        text.cast = "::text";
        let columns = [Column::of_kind("a", Kind::Int4), text];
        assert_eq!(
            Table::select(
                &columns,
                "ONLY public.t",
                &["ctid >= '(8,0)'::tid", "\"a\" > 3"],
                Some(5)
            ),
            "SELECT \"a\", \"B\"::text FROM ONLY public.t WHERE (ctid >= '(8,0)'::tid) AND (\"a\" > 3) LIMIT 5"
        );
    }
}
