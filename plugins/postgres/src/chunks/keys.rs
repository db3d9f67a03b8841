//! Ranges of a column's values, cut where the optimiser's statistics say that the rows are. Nothing
//! is read for them but the statistics.

use longshore_sdk::ranges::{KeyRange, ranges};
use longshore_sdk::sql::{self, Lexis};
use longshore_sdk::{ChunkHints, Error, Result};

use super::ChunkPlan;
use super::slice::Slice;
use crate::relation::{Form, Table};
use crate::session::Session;
use longshore_postgres_client::fault;
use longshore_postgres_client::{quote_ident, quote_literal};

/// Views over views are followed so far.
const VIEW_DEPTH_LIMIT: usize = 8;

/// A column that the server has statistics of.
pub(super) struct Key {
    name: String,
    /// Where its statistics are.
    table: u32,
    attribute: i16,
    nullable: bool,
}

/// The key that a job names.
pub(super) fn named(session: &mut Session, table: &Table, name: &str) -> Result<Key> {
    let column = table.column(name).map_err(|error| error.with_context("`chunk_by`"))?;
    let found = match &table.form {
        Form::Table { oid, .. } | Form::View { oid } => attribute(session, *oid, name)?,
        Form::Query { columns } => {
            let at = table.columns.iter().position(|column| column.name == name);
            at.and_then(|at| columns.get(at)).map(|column| (column.table_oid, column.attribute))
        }
    };
    let mut origin = found;
    for _ in 0..VIEW_DEPTH_LIMIT {
        let Some((oid, attribute)) = origin.filter(|(oid, _)| *oid > 0) else { break };
        match behind_view(session, oid, attribute)? {
            Behind::Table => {
                let nullable = column.nullable;
                return Ok(Key { name: name.into(), table: oid, attribute, nullable });
            }
            Behind::Column(next) => origin = next,
        }
    }
    Err(Error::config(format!("`chunk_by`: `{name}` is not a plain column of a table"))
        .with_hint("name a column that the query takes from a table as it is"))
}

/// The first column of the table's primary key, or of another index.
pub(super) fn indexed(session: &mut Session, table: &Table) -> Result<Option<Key>> {
    let Form::Table { oid, .. } = table.form else { return Ok(None) };
    let rows = session.query(&format!(
        "SELECT a.attname, a.attnum, NOT a.attnotnull FROM pg_catalog.pg_index i \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] \
         WHERE i.indrelid = {oid} AND i.indisvalid AND i.indpred IS NULL \
         ORDER BY i.indisprimary DESC, i.indisunique DESC, i.indexrelid LIMIT 1"
    ))?;
    let Some([Some(name), Some(attribute), Some(nullable)]) = rows.first().map(Vec::as_slice)
    else {
        return Ok(None);
    };
    Ok(Some(Key {
        name: name.clone(),
        table: oid,
        attribute: attribute.parse().map_err(|_| fault::protocol("a column without a number"))?,
        nullable: nullable == "t",
    }))
}

fn attribute(session: &mut Session, table: u32, name: &str) -> Result<Option<(u32, i16)>> {
    let number = session.number(&format!(
        "SELECT attnum FROM pg_catalog.pg_attribute WHERE attrelid = {table} AND attname = {} AND NOT attisdropped",
        quote_literal(name)
    ))?;
    Ok(i16::try_from(number).ok().filter(|number| *number > 0).map(|number| (table, number)))
}

enum Behind {
    /// It is a table's own column.
    Table,
    /// It is a view's, and comes from there.
    Column(Option<(u32, i16)>),
}

fn behind_view(session: &mut Session, oid: u32, attribute: i16) -> Result<Behind> {
    let rows = session.query(&format!(
        "SELECT pg_get_viewdef(oid) FROM pg_catalog.pg_class WHERE oid = {oid} AND relkind = 'v'"
    ))?;
    let Some(Some(view)) = rows.first().and_then(|row| row.first()) else {
        return Ok(Behind::Table);
    };
    let columns = session.describe(sql::statement(view, Lexis::POSTGRESQL)?)?;
    // A view's columns are never dropped: their numbers are their places.
    let column = columns.get(usize::try_from(attribute - 1).unwrap_or(usize::MAX));
    Ok(Behind::Column(column.map(|column| (column.table_oid, column.attribute))))
}

impl Key {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Cuts the whole by the key. None where the server has no statistics.
    pub(super) fn ranges(
        &self,
        session: &mut Session,
        whole: &ChunkPlan,
        hints: &ChunkHints,
    ) -> Result<Option<Vec<ChunkPlan>>> {
        let Some((type_name, values)) = self.values(session)? else { return Ok(None) };
        let wanted = match (hints.rows, whole.rows, whole.bytes) {
            (Some(wanted), Some(rows), _) => rows.div_ceil(wanted),
            (None, _, Some(bytes)) => bytes.div_ceil(hints.bytes),
            // Of unknown size: as if it were large.
            _ => u64::from(hints.parallel) * CHUNKS_PER_SLOT,
        };
        let wanted = wanted.clamp(1, u64::from(hints.max_chunks)) as usize;
        let bounds = bounds(&values, wanted);
        let literals: Vec<String> =
            bounds.iter().map(|value| format!("{}::{type_name}", quote_literal(value))).collect();
        let share = |whole: Option<u64>| whole.map(|whole| whole / (literals.len() as u64 + 1));
        let cut = |condition: String| ChunkPlan {
            slice: Slice { condition: Some(condition), ..whole.slice.clone() },
            rows: share(whole.rows),
            bytes: share(whole.bytes),
        };
        let key = quote_ident(&self.name);
        let ranges = ranges(&literals);
        // What has no bound is everything.
        let condition = |range: &KeyRange<String>| {
            range.condition(&key, self.nullable).unwrap_or("true".into())
        };
        Ok(Some(ranges.iter().map(condition).map(cut).collect()))
    }

    /// The column's type, and values of it in the column's own order, each with the share of the
    /// rows that lie from it to the next.
    fn values(&self, session: &mut Session) -> Result<Option<(String, Vec<WeightedValue>)>> {
        let (table, attribute) = (self.table, self.attribute);
        let rows = session.query(&format!(
            "SELECT format_type(a.atttypid, -1), \
               CASE WHEN l.oid IS NOT NULL AND l.collname <> 'default' THEN format('COLLATE %I.%I', m.nspname, l.collname) ELSE '' END, \
               n.nspname, c.relname, a.attname \
             FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation \
             LEFT JOIN pg_catalog.pg_namespace m ON m.oid = l.collnamespace \
             WHERE a.attrelid = {table} AND a.attnum = {attribute}"
        ))?;
        let Some([Some(type_name), Some(collate), Some(schema), Some(relation), Some(column)]) =
            rows.first().map(Vec::as_slice)
        else {
            return Ok(None);
        };
        // The server sorts: only it knows the order.
        let rows = session.query(&format!(
            "WITH s AS (SELECT most_common_vals::text::{type_name}[] AS common, most_common_freqs AS shares, \
                histogram_bounds::text::{type_name}[] AS bounds, null_frac FROM pg_catalog.pg_stats \
                WHERE schemaname = {} AND tablename = {} AND attname = {} ORDER BY inherited DESC LIMIT 1), \
             rest AS (SELECT (1 - null_frac - coalesce((SELECT sum(f) FROM unnest(shares) f), 0)) \
                / greatest(coalesce(array_length(bounds, 1), 1) - 1, 1) AS share FROM s), \
             v AS (SELECT unnest(bounds) AS value, (SELECT share FROM rest) AS share FROM s \
                UNION ALL SELECT unnest(common), unnest(shares) FROM s) \
             SELECT value::text, share FROM v WHERE value IS NOT NULL ORDER BY v.value {collate}",
            quote_literal(schema),
            quote_literal(relation),
            quote_literal(column)
        ))?;
        let value = |row: Vec<Option<String>>| {
            let mut row = row.into_iter();
            Some((row.next()??, row.next()??.parse().ok()?))
        };
        let values: Vec<WeightedValue> = rows.into_iter().filter_map(value).collect();
        Ok((!values.is_empty()).then(|| (type_name.clone(), values)))
    }
}

/// A value of the key, and the share of the rows that lie from it to the next one.
type WeightedValue = (String, f64);

/// As the host counts where it knows the size.
const CHUNKS_PER_SLOT: u64 = 4;

/// The values to cut at, for about so many ranges of equal weight.
fn bounds(values: &[WeightedValue], wanted: usize) -> Vec<&str> {
    let target = values.iter().map(|(_, share)| share).sum::<f64>() / wanted as f64;
    let mut bounds: Vec<&str> = Vec::new();
    let mut share_since = 0.0;
    for (index, (value, share)) in values.iter().enumerate() {
        // Before a value that is a chunk by itself, too.
        let due = share_since >= target || (*share >= target && share_since > 0.0);
        let room = bounds.len() + 1 < wanted && index > 0;
        if due && room && bounds.last() != Some(&value.as_str()) {
            bounds.push(value);
            share_since = 0.0;
        }
        share_since += share;
    }
    bounds
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_value_lies_in_exactly_one_range(
            shares in proptest::collection::vec(0.0_f64..1.0, 1..200),
            wanted in 1_usize..50,
        ) {
            let values: Vec<WeightedValue> =
                shares.iter().enumerate().map(|(n, share)| (format!("{n:04}"), *share)).collect();
            let bounds = bounds(&values, wanted);
            prop_assert!(bounds.len() < wanted.max(1) || bounds.is_empty());
            prop_assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", bounds);
        }
    }

    #[test]
    fn a_value_that_half_the_rows_have_gets_a_range_of_its_own() {
        let values: Vec<WeightedValue> =
            [("a", 0.1), ("b", 0.1), ("c", 0.6), ("d", 0.1), ("e", 0.1)]
                .map(|(value, share)| (value.to_string(), share))
                .into();
        assert_eq!(bounds(&values, 4), ["c", "d"]);
    }
}
