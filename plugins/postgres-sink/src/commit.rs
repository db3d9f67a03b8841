//! The commit: in one transaction, staging tables become tables, and the run's table says under which
//! names. Done again, it finds that and changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use longshore_postgres_client::{Client, quote_ident, quote_literal};
use longshore_sdk::load_modes::{LoadMode, LoadModes};
use longshore_sdk::{Error, FinishedLoad, Load, Mode, Result, ResultExt};

use crate::fit;
use crate::load_mode;
use crate::names::{self, Names};
use crate::staging::{self, LOAD, Receipt};

pub(crate) fn commit(
    client: &mut Client,
    names: &Names,
    modes: &LoadModes,
    run: &str,
    loads: &[FinishedLoad],
) -> Result<Vec<String>> {
    staging::lock(client, run)?;
    if !staging::exists(client, &names.run(run))? {
        return Err(Error::internal(format!("nothing of run {run} is in schema {}", names.schema)));
    }
    let published = published(client, &names.run(run))?;
    if let Some(names) = loads.iter().map(|w| published.get(&w.load.relation).cloned()).collect() {
        return Ok(names);
    }
    // In one order, so that two runs never wait for each other.
    let relations: BTreeSet<&str> = loads.iter().map(|w| w.load.relation.as_str()).collect();
    for relation in relations {
        staging::lock(client, &names.table(relation))?;
    }
    let publish = |written: &FinishedLoad| {
        keep_only(client, names, written)
            .and_then(|()| publish(client, names, &written.load, modes.get(&written.load.relation)))
            .context(written.load.relation.clone())
    };
    loads.iter().map(publish).collect()
}

/// What was published before, and under which names.
fn published(client: &mut Client, run: &str) -> Result<BTreeMap<String, String>> {
    let rows = client.query(&format!(
        "SELECT relation, published_as FROM {run} WHERE chunk = {LOAD} AND published_as IS NOT NULL"
    ))?;
    let pair = |row: Vec<Option<String>>| match <[_; 2]>::try_from(row) {
        Ok([Some(relation), Some(name)]) => Some((relation, name)),
        _ => None,
    };
    Ok(rows.into_iter().filter_map(pair).collect())
}

/// Sees to it that staging holds the rows of the receipts, and no others.
fn keep_only(client: &mut Client, names: &Names, written: &FinishedLoad) -> Result<()> {
    let load = &written.load;
    let (run, relation) = (names.run(&load.run), quote_literal(&load.relation));
    let rows = client.query(&format!(
        "SELECT chunk, xid FROM {run} WHERE relation = {relation} AND chunk <> {LOAD}"
    ))?;
    let mut there: BTreeSet<(String, String)> = BTreeSet::new();
    for row in rows {
        if let Ok([Some(chunk), Some(xid)]) = <[_; 2]>::try_from(row) {
            there.insert((chunk, xid));
        }
    }
    for receipt in &written.receipts {
        let Receipt { chunk, xid, .. } = Receipt::parse(receipt)?;
        if !there.remove(&(chunk.to_string(), xid)) {
            return Err(Error::internal(format!("chunk {chunk} is not in its staging table")));
        }
    }
    for (_, xid) in there {
        staging::remove(client, &names.staging(load), &xid)?;
    }
    Ok(())
}

fn publish(
    client: &mut Client,
    names: &Names,
    load: &Load,
    mode: Option<&LoadMode>,
) -> Result<String> {
    let (staging, target) = (names.staging(load), names.table(&load.relation));
    if let Some(mode) = mode {
        load_mode::load(client, names, load, mode).map_err(fit::with_next_step)?;
        return write_down(client, names, load, load.relation.clone());
    }
    let is_there = staging::exists(client, &target)?;
    let name = match load.mode {
        Mode::Error if is_there => return Err(staging::already_there(&load.relation)),
        Mode::Append if is_there => {
            let (staged, there) = (fit::columns(client, &staging)?, fit::columns(client, &target)?);
            fit::refuse_changes(client, &staging, &staged, &there)?;
            let insert = fit::append((&staging, &staged), (&target, &there))?;
            client.query(&insert).map_err(fit::with_next_step)?;
            client.query(&format!("DROP TABLE {staging}"))?;
            load.relation.clone()
        }
        Mode::Replace if is_there => {
            client.query(&format!("DROP TABLE {target}")).map_err(|error| {
                error.with_hint("drop what depends on it, or give `mode: append` or `version`")
            })?;
            rename(client, &staging, &load.relation)?
        }
        Mode::Version if is_there => {
            let taken = tables(client, names)?;
            let name = names::version(&load.relation, |name| taken.contains(name));
            names::check("relation", &name)?;
            rename(client, &staging, &name)?
        }
        _ => rename(client, &staging, &load.relation)?,
    };
    write_down(client, names, load, name)
}

/// Writes down under which name a load is published.
fn write_down(client: &mut Client, names: &Names, load: &Load, name: String) -> Result<String> {
    let (run, relation) = (names.run(&load.run), quote_literal(&load.relation));
    client.query(&format!(
        "UPDATE {run} SET published_as = {} WHERE relation = {relation} AND chunk = {LOAD}",
        quote_literal(&name)
    ))?;
    Ok(name)
}

fn rename(client: &mut Client, staging: &str, name: &str) -> Result<String> {
    client.query(&format!("ALTER TABLE {staging} RENAME TO {}", quote_ident(name)))?;
    Ok(name.to_owned())
}

/// All names that a table cannot have any more.
fn tables(client: &mut Client, names: &Names) -> Result<BTreeSet<String>> {
    let rows = client.query(&format!(
        "SELECT c.relname FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {}",
        quote_literal(&names.schema)
    ))?;
    Ok(rows.into_iter().flatten().flatten().collect())
}
