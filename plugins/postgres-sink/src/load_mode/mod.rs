//! Load modes: staged rows are joined with those of the table that is there, in the transaction of the commit.
//!
//! | file | what |
//! |---|---|
//! | `table` | the staged rows, the table, and their columns |
//! | `key` | which rows have the same key, and one row for each |
//! | `merge`, `snapshot`, `partitions`, `versions` | the modes |

mod key;
mod merge;
mod partitions;
mod snapshot;
mod table;
mod versions;

use longshore_postgres_client::Client;
use longshore_sdk::host::{self, Level};
use longshore_sdk::load_modes::{Duplicates, LoadMode, Merge, Scd2};
use longshore_sdk::schema::SchemaRef;
use longshore_sdk::{Error, Load, Result, ResultExt};

use crate::fit::{self, TableColumn, columns};
use crate::names::Names;
use crate::staging;
use table::{LoadTable, listed};

/// How columns of our own begin.
const OWN: &str = "longshore ";

/// What became of the rows of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    inserted: u64,
    updated: u64,
    deleted: u64,
}

/// Whether it matters which row was read first.
pub(crate) fn needs_order(mode: &LoadMode) -> bool {
    match mode {
        LoadMode::Merge(Merge { duplicates, .. }) | LoadMode::Scd2(Scd2 { duplicates, .. }) => {
            *duplicates != Duplicates::Fail
        }
        LoadMode::Snapshot(_) | LoadMode::ReplacePartitions(_) => false,
    }
}

/// The columns of a staging table that its rows bring, as COPY lists them.
pub(crate) fn copied_columns(client: &mut Client, staging: &str) -> Result<String> {
    let columns = columns(client, staging)?;
    let brought = columns.iter().map(|column| &column.name).filter(|name| *name != staging::ORDER);
    Ok(format!("({})", listed(brought)))
}

/// Has the server say, before anything is read, what it would say of the load at the end.
pub(crate) fn check(
    client: &mut Client,
    names: &Names,
    load: &Load,
    mode: &LoadMode,
) -> Result<()> {
    let (staging, target) = (names.staging(load), names.table(&load.relation));
    if !staging::exists(client, &target)? {
        return Ok(());
    }
    let mut table = LoadTable::open(client, &staging, &target, mode)?;
    let explained = explain(&mut table, mode).map_err(fit::with_next_step);
    explained.context(format!("loading into {}", load.relation))
}

/// Refuses columns that are called as one of ours in the statements of loads.
pub(crate) fn check_names(schema: &SchemaRef, mode: &LoadMode) -> Result<()> {
    let removes = table::removes(mode);
    let mut names = schema.fields().iter().map(|field| field.name().as_str());
    match names.find(|name| name.starts_with(OWN) && Some(*name) != removes) {
        None => Ok(()),
        Some(name) => {
            Err(Error::config(format!("a column is called `{name}`, as Longshore's own are"))
                .with_hint("give it another name in an `sql` step"))
        }
    }
}

fn explain(table: &mut LoadTable<'_>, mode: &LoadMode) -> Result<()> {
    let compared = match mode {
        LoadMode::Merge(how) => &how.key[..],
        LoadMode::Scd2(how) => &how.key[..],
        LoadMode::Snapshot(by) => std::slice::from_ref(&by.arrival),
        LoadMode::ReplacePartitions(by) => &by.partition_by[..],
    };
    table.refuse_hidden_rows()?;
    table.refuse_loose_texts(compared)?;
    match mode {
        LoadMode::Scd2(how) => versions::check(table, how)?,
        _ => table.explain_insert()?,
    }
    table.explain_comparison(compared)?;
    match mode {
        LoadMode::Merge(_) | LoadMode::Scd2(_) => table.explain_changes(),
        LoadMode::Snapshot(_) | LoadMode::ReplacePartitions(_) => table.explain_delete(),
    }
}

/// Loads what is staged, and removes the staging table.
pub(crate) fn load(client: &mut Client, names: &Names, load: &Load, mode: &LoadMode) -> Result<()> {
    let (staging, target) = (names.staging(load), names.table(&load.relation));
    client.query(&format!("ANALYZE {staging}"))?;
    if !staging::exists(client, &target)? {
        create(client, &staging, &target, mode)?;
    }
    // Nobody else may add a row with a key that is looked for.
    client.query(&format!("LOCK TABLE {target} IN SHARE ROW EXCLUSIVE MODE"))?;
    let mut table = LoadTable::open(client, &staging, &target, mode)?;
    table.refuse_hidden_rows()?;
    fit::refuse_changes(table.client, &staging, &table.columns, &table.there)?;
    table.order = needs_order(mode).then(|| names.run(&load.run));
    let counts = match mode {
        LoadMode::Merge(how) => merge::merge(&mut table, how)?,
        LoadMode::Snapshot(by) => snapshot::snapshot(&mut table, by)?,
        LoadMode::ReplacePartitions(by) => partitions::replace(&mut table, by)?,
        LoadMode::Scd2(how) => versions::keep(&mut table, how, &began(names, load))?,
    };
    client.query(&format!("DROP TABLE {staging}"))?;
    let Counts { inserted, updated, deleted } = counts;
    let relation = &load.relation;
    host::log(
        Level::Info,
        &format!("{relation}: rows: {inserted} inserted, {updated} updated, {deleted} deleted"),
    );
    Ok(())
}

/// The first load makes the table.
fn create(client: &mut Client, staging: &str, target: &str, mode: &LoadMode) -> Result<()> {
    let own = table::loaded_columns(columns(client, staging)?, mode);
    let columns = match mode {
        LoadMode::Scd2(how) => versions::columns(&own, how)?,
        _ => own,
    };
    let columns: Vec<String> = columns.iter().map(TableColumn::definition).collect();
    client.query(&format!("CREATE TABLE {target} ({})", columns.join(", "))).map(drop)
}

/// When the load began, as an expression.
fn began(names: &Names, load: &Load) -> String {
    let relation = longshore_postgres_client::quote_literal(&load.relation);
    format!(
        "(SELECT began FROM {} WHERE relation = {relation} AND chunk = {})",
        names.run(&load.run),
        staging::LOAD
    )
}
