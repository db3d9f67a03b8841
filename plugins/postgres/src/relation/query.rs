//! What the server says of a query.

use longshore_postgres_client::quote_ident;
use longshore_sdk::sql::{self, Lexis};
use longshore_sdk::{Error, Result};
use longshore_values::unique_names;

use super::{Catalog, Form, Table};
use crate::column::{Column, ColumnInfo};

impl Catalog<'_> {
    /// Looks a query up: the server describes it without running it.
    pub(super) fn query(&mut self, query: &str) -> Result<Table> {
        // If it is not a single statement, the server refuses it and says why.
        let query = sql::statement(query, Lexis::POSTGRESQL).unwrap_or(query);
        let statement = self.session.describe(query)?;
        if statement.is_empty() {
            return Err(Error::data("the query gives no columns").with_hint("make it a SELECT"));
        }
        let written: Vec<String> = statement
            .iter()
            .map(|c| format!("format_type({}, {})", c.type_oid, c.type_modifier))
            .collect();
        let names = self.session.query(&format!("SELECT unnest(ARRAY[{}])", written.join(", ")))?;
        let described: Vec<ColumnInfo<'_>> = statement
            .iter()
            .zip(&names)
            .map(|(column, type_name)| ColumnInfo {
                name: &column.name,
                type_oid: column.type_oid,
                type_modifier: column.type_modifier,
                dimensions: 0,
                source_type: type_name.first().and_then(Option::as_deref).unwrap_or("?"),
                nullable: true,
                // A query's columns do not say which collation they have.
                deterministic: false,
            })
            .collect();
        let types = self.types_of(&described)?;
        let column = |described| Column::new(described, &types, self.policy);
        let mut columns = described.iter().map(column).collect::<Result<Vec<_>>>()?;
        rename_twins(&mut columns);
        let names: Vec<String> = columns.iter().map(|column| quote_ident(&column.name)).collect();
        Ok(Table {
            // The line's end ends a comment in the query too.
            from: format!("({query}\n) AS q({})", names.join(", ")),
            columns,
            rows: None,
            bytes: None,
            form: Form::Query { columns: statement },
        })
    }
}

/// Columns of the same name get numbers: `a`, `a_2`.
fn rename_twins(columns: &mut [Column]) {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let unique = unique_names(&names);
    for (column, name) in columns.iter_mut().zip(unique) {
        if column.name != name {
            column.rename(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;

    #[test]
    fn columns_of_the_same_name_get_numbers() {
        let mut columns = ["a", "b", "a", "a_2", "a"].map(|name| Column::of_kind(name, Kind::Int4));
        rename_twins(&mut columns);
        let names = columns.each_ref().map(|column| column.name.as_str());
        assert_eq!(names, ["a", "b", "a_3", "a_2", "a_4"]);
    }
}
