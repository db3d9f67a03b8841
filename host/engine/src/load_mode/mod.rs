//! Load modes that join the rows of a run with those that its relation has in the target. The rows were read into
//! the run's scratch folder; here they become the relation's new parts. Only files that change are written again.

mod arrivals;
mod bounds;
mod changes;
mod existing;
mod folder_objects;
mod join;
mod key;
mod mapped;
mod merge;
mod output;
mod parquet_table;
mod resolve;
mod scd2;
mod session;
mod snapshot;
mod sole_rows;
mod stage;
mod version_columns;
mod versions;

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use chrono::{DateTime, Utc};
use longshore_model::config::load::{Duplicates, Load, Merge, REMOVES};
use longshore_model::error::{Error, Result, ResultExt};

use crate::transform::{Rows, TABLE, condition};
use key::Key;
use version_columns::VersionColumns;

pub use merge::merge;
pub use scd2::scd2;
pub use snapshot::snapshot;
pub use stage::{LoadResult, LoadStage, RowChanges};

/// The columns that a relation has whose rows have these columns. Refuses what they cannot be loaded by.
pub fn columns(load: &Load, schema: &SchemaRef) -> Result<SchemaRef> {
    match load {
        Load::Merge(merge) => check_merge(merge, schema)?,
        Load::Snapshot(by) => snapshot::arrival(by, schema).map(drop)?,
        Load::Scd2(how) => {
            let columns = VersionColumns::of(how, schema, Utc::now())?;
            columns.key.converter(&columns.schema)?;
            return Ok(columns.schema);
        }
    }
    Ok(schema.clone())
}

/// Rows for a sink that merges: a column tells which of them remove the rows with their keys; `now` is what `now()` is in
/// the condition.
pub(crate) async fn marked(rows: Rows, load: &Load, now: DateTime<Utc>) -> Result<Rows> {
    if rows.schema()?.field_with_name(REMOVES).is_ok() {
        return Err(Error::config(format!(
            "a column is called `{REMOVES}`, as one of Longshore's own"
        ))
        .with_hint("give it another name in an `sql` step"));
    }
    let Load::Merge(Merge { deleted: Some(condition), .. }) = load else { return Ok(rows) };
    rows.sql(&format!("SELECT *, ({condition}) IS TRUE AS \"{REMOVES}\" FROM {TABLE}"), now).await
}

/// The columns that the relation has in a sink: those that are written, but for that mark.
pub(crate) fn without_mark(written: &SchemaRef) -> SchemaRef {
    let own = written.fields().iter().filter(|field| field.name() != REMOVES).cloned();
    Arc::new(Schema::new(own.collect::<Vec<_>>()))
}

fn check_merge(merge: &Merge, schema: &SchemaRef) -> Result<()> {
    Key::of("merge.key", &merge.key, schema)?.converter(schema)?;
    if let Duplicates::Latest(Some(column)) = &merge.duplicates {
        Key::of("merge.order_by", std::slice::from_ref(column), schema)?.converter(schema)?;
    }
    if let Some(sql) = &merge.deleted {
        condition(sql, schema).context("`merge.deleted`")?;
    }
    Ok(())
}
