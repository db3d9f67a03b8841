//! The files that tables are in: a snapshot does not protect from a table that is rewritten.

use std::collections::BTreeSet;

use longshore_postgres_client::{fault, quote_literal};
use longshore_sdk::{Error, ErrorClass, Result};
use serde::{Deserialize, Serialize};

use crate::session::Session;

/// So many tables of one chunk are watched for being rewritten.
pub(super) const FILE_LIMIT: usize = 200;

/// A table, and the file that its rows were in when it was looked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct File {
    /// Its name, quoted where it must be.
    pub(crate) name: String,
    pub(crate) oid: u32,
    /// Changes when the table is rewritten or truncated.
    pub(crate) node: u32,
}

/// The files of the tables of a statement, by their schemas and names, as far as the user may read
/// them.
pub(crate) fn of_places(
    session: &mut Session,
    places: &BTreeSet<(String, String)>,
) -> Result<Vec<File>> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let place = |(schema, name): &(String, String)| {
        format!("({}, {})", quote_literal(schema), quote_literal(name))
    };
    let rows = session.query(&format!(
        "SELECT format('%I.%I', n.nspname, c.relname), c.oid, coalesce(pg_relation_filenode(c.oid), 0) \
         FROM (VALUES {}) AS v(schema, name) JOIN pg_catalog.pg_namespace n ON n.nspname = v.schema \
         JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = v.name \
         WHERE has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT') AND c.relkind IN ('r', 'p', 'm') ORDER BY c.oid LIMIT {FILE_LIMIT}",
        places.iter().map(place).collect::<Vec<_>>().join(", ")
    ))?;
    let file = |row: &Vec<Option<String>>| {
        let [Some(name), Some(oid), Some(node)] = row.as_slice() else { return None };
        Some(File { name: name.clone(), oid: oid.parse().ok()?, node: node.parse().ok()? })
    };
    let files: Option<Vec<File>> = rows.iter().map(file).collect();
    files.ok_or_else(|| fault::protocol("a table that cannot be read"))
}

/// Makes sure that tables still are in the files that they were planned for, also when seen from
/// the run's snapshot, and that they stay there until the transaction ends: a snapshot does not
/// protect from a table that is truncated, rewritten or replaced.
pub(crate) fn guard(session: &mut Session, files: &[File]) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let locks: String =
        files.iter().map(|file| format!("SELECT 1 FROM ONLY {} LIMIT 0; ", file.name)).collect();
    let names: Vec<String> =
        files.iter().map(|file| format!("({}::regclass)", quote_literal(&file.name))).collect();
    // Functions see the catalog as it is now, a query sees it as the snapshot does.
    let found = session.query(&format!(
        "{locks}SELECT v.r::oid, coalesce(pg_relation_filenode(v.r), 0), \
           CASE c.relfilenode WHEN 0 THEN coalesce(pg_relation_filenode(c.oid), 0) ELSE c.relfilenode END \
         FROM (VALUES {}) AS v(r) LEFT JOIN pg_catalog.pg_class c ON c.oid = v.r",
        names.join(", ")
    ));
    let found = match found {
        Ok(rows) => rows,
        Err(error) if error.class() == ErrorClass::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let unchanged = |file: &File| {
        let (oid, node) = (Some(file.oid.to_string()), Some(file.node.to_string()));
        found.contains(&vec![oid, node.clone(), node])
    };
    match files.iter().find(|file| !unchanged(file)) {
        None => Ok(()),
        Some(file) => Err(Error::stale(format!("table {} was rewritten or replaced", file.name))
            .with_hint("run the job when no VACUUM FULL, CLUSTER, TRUNCATE or ALTER TABLE runs")),
    }
}
