//! Keys: which rows have the same one, with NULL equal to NULL, and one row for each.
//!
//! `IS NOT DISTINCT FROM` can use neither an index nor a hash. So the rows are joined once for each set of columns
//! that are NULL together in a staged key: by `=` on the others.

use longshore_postgres_client::quote_ident;
use longshore_sdk::load_modes::Duplicates;
use longshore_sdk::{Error, Result};

use super::table::{LoadTable, listed};
use crate::fit::TableColumn;
use crate::staging::ORDER;

/// How many keys an error names.
const NAMED_KEYS: usize = 3;

/// How much of a value an error shows.
const SHOWN_CHARS: usize = 40;

/// Staged keys in which the same columns are NULL.
pub(super) struct NullPattern {
    /// The columns of the key, quoted, and whether they are NULL.
    columns: Vec<(String, bool)>,
}

impl NullPattern {
    /// That rows `t` and `s` have the same key, which is one of these.
    pub(super) fn is_same(&self) -> String {
        let same = |(column, is_null): &(String, bool)| {
            if *is_null {
                format!("t.{column} IS NULL AND s.{column} IS NULL")
            } else {
                format!("t.{column} = s.{column}")
            }
        };
        self.columns.iter().map(same).collect::<Vec<_>>().join(" AND ")
    }

    /// That the key of row `s` is one of these.
    pub(super) fn fits(&self) -> String {
        let fits = |(column, is_null): &(String, bool)| {
            let not = if *is_null { "" } else { "NOT " };
            format!("s.{column} IS {not}NULL")
        };
        self.columns.iter().map(fits).collect::<Vec<_>>().join(" AND ")
    }
}

impl LoadTable<'_> {
    /// The sets of columns that are NULL together in the staged keys.
    pub(super) fn null_patterns(&mut self, key: &[String]) -> Result<Vec<NullPattern>> {
        let columns: Vec<String> = key.iter().map(|name| quote_ident(name)).collect();
        let are_null: Vec<String> =
            columns.iter().map(|column| format!("{column} IS NULL")).collect();
        let patterns = self.client.query(&format!(
            "SELECT DISTINCT {} FROM {}",
            are_null.join(", "),
            self.staging
        ))?;
        let pattern = |row: Vec<Option<String>>| {
            let are_null = row.into_iter().map(|is_null| is_null.as_deref() == Some("t"));
            NullPattern { columns: columns.iter().cloned().zip(are_null).collect() }
        };
        Ok(patterns.into_iter().map(pattern).collect())
    }

    /// Leaves one staged row of each key, or refuses keys with several.
    pub(super) fn keep_sole_rows(&mut self, key: &[String], duplicates: &Duplicates) -> Result<()> {
        let twice = self.keys_of_several_rows(key)?;
        match duplicates {
            _ if twice.is_empty() => Ok(()),
            Duplicates::Fail => Err(refusal(&twice)),
            Duplicates::Latest(by) => self.keep_last(key, by.as_ref()),
        }
    }

    /// Some of the keys that have several rows, as people read them.
    fn keys_of_several_rows(&mut self, key: &[String]) -> Result<Vec<String>> {
        let each = |of: &dyn Fn(&str) -> String| {
            let columns = key.iter().map(|name| of(&quote_ident(name)));
            columns.collect::<Vec<_>>().join(", ")
        };
        let rows = self.client.query(&format!(
            "SELECT {} FROM {} s GROUP BY {} HAVING count(*) > 1 ORDER BY {} LIMIT {}",
            each(&|column| format!("s.{column}::text")),
            self.staging,
            each(&|column| format!("s.{column}")),
            each(&|column| format!("s.{column} NULLS FIRST")),
            NAMED_KEYS + 1
        ))?;
        Ok(rows.into_iter().map(|row| shown_key(key, row)).collect())
    }

    /// Removes all staged rows but the last of each key.
    fn keep_last(&mut self, key: &[String], by: Option<&String>) -> Result<()> {
        let (staging, keys) = (self.staging, listed(key.iter()));
        let run = self.order.as_ref().ok_or_else(|| Error::internal("rows without an order"))?;
        // Texts in the order of their bytes, whatever the database's order is.
        let collate = |name: &String| {
            let is_text =
                |column: &&TableColumn| column.name == *name && column.sql_type.starts_with("text");
            self.columns.iter().find(is_text).map_or("", |_| " COLLATE \"C\"")
        };
        let by = by
            .map(|name| format!("staged.{}{} DESC NULLS LAST, ", quote_ident(name), collate(name)));
        // A chunk's rows are those of its transaction.
        self.client.query(&format!(
            "DELETE FROM {staging} s USING (\
               SELECT staged.ctid AS place, row_number() OVER (PARTITION BY {keys} \
                 ORDER BY {}r.chunk DESC, staged.{} DESC) AS number \
               FROM {staging} staged JOIN (SELECT DISTINCT xid, chunk FROM {run}) r \
                 ON r.xid = staged.xmin::text) ranked \
             WHERE s.ctid = ranked.place AND ranked.number > 1",
            by.unwrap_or_default(),
            quote_ident(ORDER)
        ))?;
        Ok(())
    }

    /// Refuses staged rows without a value in a column.
    pub(super) fn refuse_nulls(&mut self, column: &str) -> Result<()> {
        let (staging, quoted) = (self.staging, quote_ident(column));
        let count =
            self.count(&format!("SELECT count(*) FROM {staging} WHERE {quoted} IS NULL"))?;
        if count == 0 {
            return Ok(());
        }
        let rows = if count == 1 { "1 row".to_owned() } else { format!("{count} rows") };
        Err(Error::data(format!("the source has {rows} whose `{column}` is NULL"))
            .with_hint("leave them out, or give them a value, in the query or an `sql` step"))
    }
}

fn shown_key(key: &[String], row: Vec<Option<String>>) -> String {
    let shown = |(name, value): (&String, Option<String>)| match value {
        None => format!("{name}=NULL"),
        Some(value) => {
            let value: String = value.chars().take(SHOWN_CHARS).collect();
            format!("{name}={value}")
        }
    };
    let values: Vec<String> = key.iter().zip(row).map(shown).collect();
    format!("({})", values.join(", "))
}

fn refusal(twice: &[String]) -> Error {
    let more = if twice.len() > NAMED_KEYS { ", and others" } else { "" };
    let named: Vec<&str> = twice.iter().take(NAMED_KEYS).map(String::as_str).collect();
    Error::data(format!("the source has several rows of {}{more}", named.join(", ")))
        .with_hint("name all columns of the key, or take the last of them: `duplicates: latest`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_in_a_key_is_joined_with_null() {
        let columns = vec![("\"a\"".to_owned(), false), ("\"b\"".to_owned(), true)];
        let pattern = NullPattern { columns };
        assert_eq!(pattern.is_same(), r#"t."a" = s."a" AND t."b" IS NULL AND s."b" IS NULL"#);
        assert_eq!(pattern.fits(), r#"s."a" IS NOT NULL AND s."b" IS NULL"#);
    }

    #[test]
    fn three_keys_with_several_rows_are_named() {
        let key = ["id".to_owned(), "day".to_owned()];
        let shown = shown_key(&key, vec![Some("1".into()), None]);
        assert_eq!(shown, "(id=1, day=NULL)");
        let four = vec![shown; 4];
        assert!(refusal(&four).message().ends_with("(id=1, day=NULL), and others"));
    }
}
