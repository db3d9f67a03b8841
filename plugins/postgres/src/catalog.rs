//! What the server says of relations and their columns, and the COPY that reads them.

use std::sync::Arc;

use longshore_sdk::schema::{Schema, SchemaRef};
use longshore_sdk::{Error, Relation, Result};

use crate::chunks::Pages;
use crate::fault;
use crate::session::Session;
use crate::types::{Column, Described, UnknownTypes};

/// A relation, looked up.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// What stands after FROM.
    from: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Option<u64>,
    /// What it takes on disk; none for what has no pages.
    pub(crate) size: Option<Size>,
}

/// A relation's pages.
#[derive(Clone, Debug)]
pub(crate) struct Size {
    pub(crate) pages: u64,
    pub(crate) page_bytes: u64,
}

impl Size {
    pub(crate) fn bytes(&self) -> u64 {
        self.pages * self.page_bytes
    }
}

impl Table {
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(Column::field).collect::<Vec<_>>()))
    }

    #[cfg(test)]
    pub(crate) fn of_size(size: Size) -> Self {
        Self { from: "t".into(), columns: Vec::new(), rows: None, size: Some(size) }
    }

    /// The named columns, in that order.
    pub(crate) fn project(&self, names: Option<&[String]>) -> Result<Vec<Column>> {
        let Some(names) = names else { return Ok(self.columns.clone()) };
        let find = |name: &String| {
            let column = self.columns.iter().find(|column| column.name == *name);
            column.cloned().ok_or_else(|| Error::not_found(format!("no column `{name}`")))
        };
        names.iter().map(find).collect()
    }

    /// The COPY that reads some columns of some pages.
    pub(crate) fn copy_sql(
        &self,
        columns: &[Column],
        pages: &Pages,
        filter: Option<&str>,
        limit: Option<u64>,
    ) -> String {
        let column = |column: &Column| {
            let cast = if column.cast_to_text { "::text" } else { "" };
            format!("{}{cast}", quote_ident(&column.name))
        };
        let list: Vec<String> = columns.iter().map(column).collect();
        let conditions: Vec<String> = pages
            .condition()
            .into_iter()
            .chain(filter.map(|filter| format!("({filter})")))
            .collect();
        let condition = match conditions.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", conditions.join(" AND ")),
        };
        let limit = limit.map(|limit| format!(" LIMIT {limit}")).unwrap_or_default();
        format!(
            "COPY (SELECT {} FROM {}{condition}{limit}) TO STDOUT (FORMAT binary)",
            list.join(", "),
            self.from
        )
    }
}

/// Looks a table or query up.
pub(crate) fn look_up(
    session: &mut Session,
    relation: &Relation,
    unknown: UnknownTypes,
) -> Result<Table> {
    match relation {
        Relation::Table(name) => look_up_table(session, name, unknown),
        Relation::Query(query) => look_up_query(session, query, unknown),
    }
}

/// All that can be read, ours to name again.
pub(crate) fn list(session: &mut Session) -> Result<Vec<String>> {
    let rows = session.query(
        "SELECT format('%I.%I', n.nspname, c.relname) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition \
           AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)' \
           AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') \
         ORDER BY 1",
    )?;
    Ok(rows.into_iter().filter_map(|row| row.into_iter().next()?).collect())
}

fn look_up_table(session: &mut Session, name: &str, unknown: UnknownTypes) -> Result<Table> {
    let oid = find_table(session, name)?;
    // A partitioned table has no pages of its own: its largest leaf stands for it.
    let rows = session.query(&format!(
        "SELECT format('%I.%I', n.nspname, c.relname), c.relkind, current_setting('block_size'), \
           CASE c.relkind \
             WHEN 'p' THEN (SELECT max(pg_relation_size(relid)) FROM pg_partition_tree(c.oid) WHERE isleaf) \
             ELSE pg_relation_size(c.oid) END, \
           CASE c.relkind \
             WHEN 'p' THEN (SELECT sum(greatest(l.reltuples, 0))::bigint FROM pg_partition_tree(c.oid) t \
                            JOIN pg_class l ON l.oid = t.relid WHERE t.isleaf) \
             ELSE c.reltuples::bigint END \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = {oid}"
    ))?;
    let [Some(from), Some(kind), Some(page_bytes), bytes, estimate] = rows
        .first()
        .map(Vec::as_slice)
        .ok_or_else(|| Error::not_found(format!("table `{name}` is gone")))?
    else {
        return Err(fault::protocol("a relation without a name"));
    };
    let number = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<u64>().ok());
    let page_bytes = page_bytes.parse().unwrap_or(8192_u64).max(1);
    let size = match kind.as_str() {
        "r" | "p" | "m" => {
            number(bytes).map(|bytes| Size { pages: bytes.div_ceil(page_bytes), page_bytes })
        }
        _ => None,
    };
    Ok(Table {
        from: from.clone(),
        columns: table_columns(session, oid, unknown)?,
        // Below zero: never analysed.
        rows: number(estimate),
        size,
    })
}

/// The table by a name that LOCK TABLE takes; none for what it does not lock.
pub(crate) fn lockable(session: &mut Session, name: &str) -> Result<Option<String>> {
    let rows = session.query(&format!(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.oid = to_regclass({}) AND c.relkind IN ('r', 'p')",
        quote_literal(name)
    ))?;
    Ok(rows.into_iter().flatten().flatten().next())
}

fn find_table(session: &mut Session, name: &str) -> Result<u32> {
    let oid = |rows: Vec<Vec<Option<String>>>| rows.first()?.first()?.as_ref()?.parse().ok();
    let as_written = session.query(&format!("SELECT to_regclass({})::oid", quote_literal(name)))?;
    if let Some(oid) = oid(as_written) {
        return Ok(oid);
    }
    let missing = Error::not_found(format!("no table `{name}`")).with_code("42P01");
    // `Orders` without quotes means `orders`; help whoever forgot them.
    let exact = session.query(&format!(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE lower(c.relname) = lower({0}) OR lower(n.nspname || '.' || c.relname) = lower({0}) LIMIT 1",
        quote_literal(name)
    ))?;
    Err(match exact.into_iter().flatten().flatten().next() {
        Some(other) => {
            missing.with_hint(format!("there is `{other}`: write it so, quotes included"))
        }
        None => missing.with_hint(
            "check the name and the schema; `longshore test-connection` lists what can be read",
        ),
    })
}

fn table_columns(session: &mut Session, table: u32, unknown: UnknownTypes) -> Result<Vec<Column>> {
    let rows = session.query(&format!(
        "SELECT a.attname, a.atttypid, a.atttypmod, format_type(a.atttypid, a.atttypmod), \
           NOT a.attnotnull, coalesce(l.collisdeterministic, true) \
         FROM pg_attribute a LEFT JOIN pg_collation l ON l.oid = a.attcollation \
         WHERE a.attrelid = {table} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
    ))?;
    rows.iter()
        .map(|row| match row.as_slice() {
            [
                Some(name),
                Some(oid),
                Some(modifier),
                Some(source_type),
                Some(nullable),
                Some(deterministic),
            ] => {
                let described = Described {
                    name,
                    type_oid: oid.parse().map_err(|_| fault::protocol("a type without an oid"))?,
                    type_modifier: modifier.parse().unwrap_or(-1),
                    source_type,
                    nullable: nullable == "t",
                    deterministic: deterministic == "t",
                };
                Column::new(&described, unknown)
            }
            _ => Err(fault::protocol("a column without a name")),
        })
        .collect()
}

fn look_up_query(session: &mut Session, query: &str, unknown: UnknownTypes) -> Result<Table> {
    let query = query.trim().trim_end_matches(';');
    let described = session.describe(query)?;
    if described.is_empty() {
        return Err(Error::data("the query gives no columns").with_hint("make it a SELECT"));
    }
    let types: Vec<String> = described
        .iter()
        .map(|c| format!("format_type({}, {})", c.type_oid, c.type_modifier))
        .collect();
    let names = session.query(&format!("SELECT unnest(ARRAY[{}])", types.join(", ")))?;
    let mut columns: Vec<Column> = Vec::new();
    for (column, type_name) in described.iter().zip(names) {
        if columns.iter().any(|other| other.name == column.name) {
            return Err(Error::data(format!("the query gives two columns `{}`", column.name))
                .with_hint("give one of them another name with AS"));
        }
        let described = Described {
            name: &column.name,
            type_oid: column.type_oid,
            type_modifier: column.type_modifier,
            source_type: type_name.first().and_then(Option::as_deref).unwrap_or("?"),
            nullable: true,
            // A query's columns do not say which collation they have.
            deterministic: false,
        };
        columns.push(Column::new(&described, unknown)?);
    }
    // The line's end ends a comment in the query too.
    Ok(Table { from: format!("({query}\n) AS q"), columns, rows: None, size: None })
}

/// A name, whatever is in it.
fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text, whatever is in it.
pub(crate) fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    match quoted.contains('\\') {
        true => format!("E'{}'", quoted.replace('\\', "\\\\")),
        false => format!("'{quoted}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Decode;

    #[test]
    fn names_and_texts_are_quoted_whatever_is_in_them() {
        assert_eq!(quote_ident(r#"a"b"#), r#""a""b""#);
        assert_eq!(quote_literal(r"it's a \ test"), r"E'it''s a \\ test'");
    }

    #[test]
    fn a_copy_asks_for_no_more_than_is_wanted() {
        let column = |name: &str, cast_to_text| Column {
            name: name.into(),
            source_type: "integer".into(),
            decode: Decode::Int4,
            nullable: true,
            cast_to_text,
            comparable: longshore_sdk::Comparable::Order,
        };
        let table = Table { from: "public.t".into(), columns: Vec::new(), rows: None, size: None };
        let pages = Pages::parse(b"8-16").unwrap();
        assert_eq!(
            table.copy_sql(
                &[column("a", false), column("B", true)],
                &pages,
                Some("\"a\" > 3"),
                Some(5)
            ),
            "COPY (SELECT \"a\", \"B\"::text FROM public.t WHERE ctid >= '(8,0)'::tid AND ctid < '(16,0)'::tid \
             AND (\"a\" > 3) LIMIT 5) TO STDOUT (FORMAT binary)"
        );
    }
}
