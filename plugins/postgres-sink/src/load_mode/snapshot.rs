//! `snapshot`: rows that are no older than the oldest row that comes give way to those that come.

use longshore_postgres_client::quote_ident;
use longshore_sdk::Result;
use longshore_sdk::load_modes::Snapshot;

use super::Counts;
use super::table::LoadTable;

pub(super) fn snapshot(table: &mut LoadTable<'_>, by: &Snapshot) -> Result<Counts> {
    table.refuse_nulls(&by.arrival)?;
    let (staging, target, column) = (table.staging, table.target, quote_ident(&by.arrival));
    let deleted = table.change(&format!(
        "DELETE FROM {target} WHERE {column} >= (SELECT min({column}) FROM {staging})"
    ))?;
    let insert = table.insert("TRUE")?;
    Ok(Counts { inserted: table.change(&insert)?, deleted, updated: 0 })
}
