//! What lies out of sight: the run's own table, which says which chunks are in, and a staging table
//! for each load.
//!
//! The run's table has a row for each load, with the chunk -1, and one for each chunk that is in, with
//! the transaction that wrote it: the rows of a chunk are those that this transaction made.

use longshore_postgres_client::{Client, quote_ident, quote_literal};
use longshore_sdk::{Error, Load, Mode, Result, ResultExt};
use serde::{Deserialize, Serialize};

use crate::fit;
use crate::names::{self, Names};
use crate::types::Column;

/// Stands for the load itself among its chunks.
pub(crate) const LOAD: i64 = -1;

/// Whether the user may make tables there.
pub(crate) fn check_rights(client: &mut Client, names: &Names) -> Result<()> {
    let schema = quote_literal(&names.schema);
    let rows = client.query(&format!(
        "SELECT has_schema_privilege(oid, 'CREATE') FROM pg_catalog.pg_namespace WHERE nspname = {schema}"
    ))?;
    match rows.first().and_then(|row| row.first()).and_then(Option::as_deref) {
        Some("t") => Ok(()),
        Some(_) => Err(Error::auth(format!("no right to make tables in schema {}", names.schema))
            .with_hint("GRANT CREATE ON SCHEMA, or name another one with `schema`")),
        None => Err(Error::not_found(format!("there is no schema {}", names.schema))
            .with_hint("CREATE SCHEMA, or name another one with `schema`")),
    }
}

/// The column of a staging table that counts its rows, where their order matters.
pub(crate) const ORDER: &str = "longshore row";

/// Makes room for a load, whose rows are counted if their order matters; what is there of it stays.
pub(crate) fn begin(
    client: &mut Client,
    names: &Names,
    load: &Load,
    columns: &[Column],
    is_counted: bool,
) -> Result<()> {
    names::check("relation", &load.relation)?;
    let (run, staging) = (names.run(&load.run), names.staging(load));
    let relation = quote_literal(&load.relation);
    let mut columns_sql: Vec<String> = columns.iter().map(Column::definition).collect();
    if is_counted {
        columns_sql.push(format!("{} bigint GENERATED ALWAYS AS IDENTITY", quote_ident(ORDER)));
    }
    lock(client, &load.run)?;
    client.query(&format!(
        "CREATE TABLE IF NOT EXISTS {run} (relation text, chunk bigint, attempt int, xid text, \
         rows bigint, published_as text, began timestamptz DEFAULT now(), PRIMARY KEY (relation, chunk)); \
         CREATE TABLE IF NOT EXISTS {staging} ({}); \
         INSERT INTO {run} (relation, chunk) VALUES ({relation}, {LOAD}) ON CONFLICT DO NOTHING",
        columns_sql.join(", ")
    ))?;
    Ok(())
}

/// Has the server say now what it would say of the rows at the end.
pub(crate) fn check_target(client: &mut Client, names: &Names, load: &Load) -> Result<()> {
    let (staging, target) = (names.staging(load), names.table(&load.relation));
    match load.mode {
        Mode::Error if exists(client, &target)? => Err(already_there(&load.relation)),
        Mode::Append if exists(client, &target)? => {
            let (staged, there) = (fit::columns(client, &staging)?, fit::columns(client, &target)?);
            let insert = fit::append((&staging, &staged), (&target, &there));
            let explained = insert.and_then(|insert| client.query(&format!("EXPLAIN {insert}")));
            explained
                .map(drop)
                .map_err(fit::with_next_step)
                .context(format!("appending to {}", load.relation))
        }
        _ => Ok(()),
    }
}

pub(crate) fn already_there(relation: &str) -> Error {
    Error::config(format!("table {relation} is already there, and `mode` is error"))
        .with_hint("remove it, or give `mode: version`, `append` or `replace`")
}

pub(crate) fn exists(client: &mut Client, table: &str) -> Result<bool> {
    let is_there = format!("SELECT to_regclass({}) IS NOT NULL", quote_literal(table));
    Ok(client.value(&is_there)?.as_deref() == Some("t"))
}

/// One at a time works on what this word stands for, until the transaction's end.
pub(crate) fn lock(client: &mut Client, word: &str) -> Result<()> {
    let word = quote_literal(&format!("longshore {word}"));
    client.query(&format!("SELECT pg_advisory_xact_lock(hashtext({word}))")).map(drop)
}

/// A chunk on its way into the staging table.
pub(crate) struct Chunk {
    pub(crate) run_table: String,
    pub(crate) relation: String,
    pub(crate) chunk: u64,
    pub(crate) attempt: u32,
}

/// What tells that a chunk is in.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) chunk: u64,
    pub(crate) xid: String,
    pub(crate) rows: u64,
}

impl Receipt {
    pub(crate) fn parse(receipt: &[u8]) -> Result<Self> {
        serde_json::from_slice(receipt)
            .map_err(|error| Error::internal(format!("a receipt: {error}")))
    }
}

impl Chunk {
    fn place(&self) -> String {
        format!("relation = {} AND chunk = {}", quote_literal(&self.relation), self.chunk)
    }

    /// Removes what an earlier attempt brought in. An attempt that was given up, and goes on elsewhere, takes nothing
    /// away from a later one.
    pub(crate) fn replace(&self, client: &mut Client, staging: &str) -> Result<()> {
        let (run, place, attempt) = (&self.run_table, self.place(), self.attempt);
        let later = format!("SELECT 1 FROM {run} WHERE {place} AND attempt > {attempt}");
        if !client.query(&later)?.is_empty() {
            let chunk = self.chunk;
            return Err(Error::internal(format!("a later attempt has written chunk {chunk}")));
        }
        let found = client.query(&format!("DELETE FROM {run} WHERE {place} RETURNING xid"))?;
        for xid in found.into_iter().flatten().flatten() {
            remove(client, staging, &xid)?;
        }
        Ok(())
    }

    /// Writes down that the chunk is in, in the transaction that brought it in.
    pub(crate) fn write_down(&self, client: &mut Client, rows: u64) -> Result<Receipt> {
        let Self { run_table, relation, chunk, attempt } = self;
        let relation = quote_literal(relation);
        // `xmin` is the lower half of a transaction's number.
        let xid = client.value(&format!(
            "INSERT INTO {run_table} (relation, chunk, attempt, xid, rows) VALUES \
             ({relation}, {chunk}, {attempt}, (txid_current() & 4294967295)::text, {rows}) \
             ON CONFLICT DO NOTHING RETURNING xid"
        ))?;
        // One that was given up, and went on elsewhere. The next attempt takes its place.
        let xid = xid.ok_or_else(|| {
            Error::timeout(format!("another attempt has written chunk {chunk} meanwhile"))
        })?;
        Ok(Receipt { chunk: *chunk, xid, rows })
    }
}

/// Removes the rows that a transaction made.
pub(crate) fn remove(client: &mut Client, staging: &str, xid: &str) -> Result<()> {
    let xid = quote_literal(xid);
    client.query(&format!("DELETE FROM {staging} WHERE xmin::text = {xid}")).map(drop)
}

/// Whether a chunk is in.
pub(crate) fn is_intact(
    client: &mut Client,
    names: &Names,
    load: &Load,
    receipt: &Receipt,
) -> Result<bool> {
    let (run, relation) = (names.run(&load.run), quote_literal(&load.relation));
    if !exists(client, &run)? || !exists(client, &names.staging(load))? {
        return Ok(false);
    }
    let Receipt { chunk, xid, .. } = receipt;
    let found = client.query(&format!(
        "SELECT 1 FROM {run} WHERE relation = {relation} AND chunk = {chunk} AND xid = {}",
        quote_literal(xid)
    ))?;
    Ok(!found.is_empty())
}

/// Removes what a run has out of sight.
pub(crate) fn discard(client: &mut Client, names: &Names, run: &str) -> Result<()> {
    lock(client, run)?;
    let found = client.query(&format!(
        "SELECT c.relname FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = {} AND c.relkind = 'r' AND c.relname ~ {}",
        quote_literal(&names.schema),
        quote_literal(&names::pattern(run))
    ))?;
    for name in found.into_iter().flatten().flatten() {
        client.query(&format!("DROP TABLE {}", names.table(&name)))?;
    }
    Ok(())
}
