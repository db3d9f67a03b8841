//! Whether staged rows fit a table that is there: no value may change on its way into another type.

use longshore_postgres_client::{Client, quote_ident, quote_literal};
use longshore_sdk::{Error, Result};

/// A column, as the server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableColumn {
    pub(crate) name: String,
    pub(crate) sql_type: String,
    pub(crate) is_not_null: bool,
}

impl TableColumn {
    /// As CREATE TABLE takes it.
    pub(crate) fn definition(&self) -> String {
        let not_null = if self.is_not_null { " NOT NULL" } else { "" };
        format!("{} {}{not_null}", quote_ident(&self.name), self.sql_type)
    }
}

/// The columns of a table.
pub(crate) fn columns(client: &mut Client, table: &str) -> Result<Vec<TableColumn>> {
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

/// A column of a table, by its name.
pub(crate) fn find<'a>(
    columns: &'a [TableColumn],
    table: &str,
    name: &str,
) -> Result<&'a TableColumn> {
    columns.iter().find(|column| column.name == name).ok_or_else(|| {
        Error::config(format!("{} has no column `{name}`", table.replace('"', "")))
            .with_hint("add it to the table, or load into another one with `as:`")
    })
}

/// The statement that adds all staged rows, each value in the type of the table's column.
pub(crate) fn append(
    (staging, staged): (&str, &[TableColumn]),
    (target, there): (&str, &[TableColumn]),
) -> Result<String> {
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for column in staged {
        let name = quote_ident(&column.name);
        let sql_type = &find(there, target, &column.name)?.sql_type;
        values.push(format!("CAST({name} AS {sql_type})"));
        names.push(name);
    }
    if names.is_empty() {
        return Ok(format!("INSERT INTO {target} SELECT FROM {staging}"));
    }
    let (names, values) = (names.join(", "), values.join(", "));
    Ok(format!("INSERT INTO {target} ({names}) SELECT {values} FROM {staging}"))
}

/// Refuses staged values that would be others in the table: rounded, cut off, or without a part. The server says
/// itself what does not fit at all. The rows are read once for all columns, and not at all if the types keep all values.
pub(crate) fn refuse_changes(
    client: &mut Client,
    staging: &str,
    staged: &[TableColumn],
    there: &[TableColumn],
) -> Result<()> {
    let pairs = staged.iter().filter_map(|from| {
        let to = there.iter().find(|to| to.name == from.name)?;
        (!keeps_values(&from.sql_type, &to.sql_type)).then_some((from, to))
    });
    let pairs: Vec<(&TableColumn, &TableColumn)> = pairs.collect();
    if pairs.is_empty() {
        return Ok(());
    }
    let (mut changed, mut places, mut values) = (Vec::new(), String::new(), String::new());
    for (place, (from, to)) in pairs.iter().enumerate() {
        let column = quote_ident(&from.name);
        let changes = changes(&column, &from.sql_type, &to.sql_type);
        places += &format!(" WHEN {changes} THEN {place}");
        values += &format!(" WHEN {changes} THEN {column}::text");
        changed.push(changes);
    }
    let found = client.query(&format!(
        "SELECT CASE{places} END, CASE{values} END FROM {staging} WHERE {} LIMIT 1",
        changed.join(" OR ")
    ))?;
    let Some(Ok([Some(place), Some(value)])) = found.into_iter().next().map(<[_; 2]>::try_from)
    else {
        return Ok(());
    };
    let pair = place.parse::<usize>().ok().and_then(|place| pairs.get(place));
    let (from, to) = pair.ok_or_else(|| Error::internal("the server gave no column's place"))?;
    Err(Error::data(format!(
        "column `{}`: {value} would be another value in the table's {}",
        from.name, to.sql_type
    ))
    .with_hint(
        "cast it in an `sql` step to what is wanted, or change the type of the table's column",
    ))
}

/// That a value is another one in the type of the table's column. A number in a text is the same number, however it
/// is written.
fn changes(column: &str, from: &str, to: &str) -> String {
    const NUMBERS: [&str; 6] =
        ["smallint", "integer", "bigint", "real", "double precision", "numeric"];
    if from == "text" && NUMBERS.iter().any(|number| to.starts_with(number)) && !to.ends_with("[]")
    {
        return format!(
            "CAST({column} AS numeric) IS DISTINCT FROM CAST(CAST(CAST({column} AS {to}) AS text) AS numeric)"
        );
    }
    format!("CAST(CAST({column} AS {to}) AS {from}) IS DISTINCT FROM {column}")
}

/// Whether each value of a type is the same in another one, or refused by the server.
fn keeps_values(from: &str, to: &str) -> bool {
    const WHOLE: [&str; 3] = ["smallint", "integer", "bigint"];
    let is_whole = WHOLE.contains(&from);
    from == to
        // JSON means the same, however it is written.
        || (from == "json" && to == "jsonb")
        || (from == "text" && to == "character varying")
        || (from == "real" && to == "double precision")
        || (is_whole && (WHOLE.contains(&to) || to.starts_with("numeric")))
        || keeps_digits(from, to)
}

/// Whether a decimal has as many digits behind the point; the server refuses too many before it.
fn keeps_digits(from: &str, to: &str) -> bool {
    match (scale(from), scale(to)) {
        (Some(_), Some(None)) => true,
        (Some(Some(from)), Some(Some(to))) => from <= to,
        _ => false,
    }
}

/// The scale of a `numeric`: none if it is not limited.
fn scale(sql_type: &str) -> Option<Option<u32>> {
    let limits = sql_type.strip_prefix("numeric")?;
    let Some(limits) = limits.strip_prefix('(') else { return Some(None) };
    let scale = limits.trim_end_matches(')').split(',').nth(1)?;
    Some(scale.trim().parse().ok())
}

/// An error of the server's, with a next step that a job or the table can take.
pub(crate) fn with_next_step(error: Error) -> Error {
    let code = error.code().unwrap_or_default();
    let step = match (code, code.get(..2).unwrap_or_default()) {
        ("42501", _) => "grant the user SELECT, INSERT, UPDATE and DELETE on the table",
        ("42804" | "42883" | "42846", _) => {
            "cast the column in an `sql` step to the type that the table has"
        }
        ("428C9", _) => "leave the column out in an `sql` step: the table makes its values",
        ("0A000" | "42809", _) => "load into a plain table",
        ("23505", _) => {
            "a key of the table has several rows of the run: merge by that key, or correct the rows"
        }
        (_, "23") => "correct the rows in the query or an `sql` step, or the table's constraint",
        (_, "22") => {
            "correct the value in the query or an `sql` step, or change the table's column"
        }
        _ => return error,
    };
    error.with_hint(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_types_with_room_for_all_values_keep_them() {
        for (from, to) in [
            ("text", "text"),
            ("text", "character varying"),
            ("bigint", "integer"),
            ("integer", "numeric(6,2)"),
            ("numeric(15,2)", "numeric"),
            ("numeric(15,2)", "numeric(9,4)"),
            ("json", "jsonb"),
        ] {
            assert!(keeps_values(from, to), "{from} {to}");
        }
        for (from, to) in [
            ("text", "character varying(5)"),
            ("double precision", "real"),
            ("double precision", "integer"),
            ("numeric(15,2)", "numeric(15,1)"),
            ("numeric(15,2)", "bigint"),
            ("bigint", "double precision"),
            ("timestamp without time zone", "date"),
            ("timestamp without time zone", "timestamp(0) without time zone"),
        ] {
            assert!(!keeps_values(from, to), "{from} {to}");
        }
    }
}
