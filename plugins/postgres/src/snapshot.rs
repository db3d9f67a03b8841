//! One snapshot for a whole run: a leader exports it, readers adopt it.
//!
//! The leader also locks the tables as a reader does (`ACCESS SHARE`), as pg_dump does: a table
//! that is rewritten or truncated between two chunks would move or lose rows under the snapshot.

use longshore_sdk::{Hold, Relation, Result, ResultExt, Snapshot};

use crate::catalog;
use crate::session::Session;

/// How long the leader waits for a table that somebody is changing.
const LOCK_TIMEOUT_SECS: u32 = 60;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// Opens the leader's transaction and exports its snapshot. Lives as long as the session.
pub(crate) fn export(session: &mut Session, relations: &[Relation]) -> Result<Hold> {
    let product = session.query("SELECT version()")?.into_iter().flatten().flatten().next();
    let product = product.unwrap_or_default();
    if product.contains("Greenplum") {
        return Ok(Hold::Unavailable("Greenplum exports none".into()));
    }
    session.query(&format!("{BEGIN}; SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECS}s'"))?;
    for relation in relations {
        let Relation::Table(name) = relation else { continue };
        // What is not there is told when it is looked up, with a hint.
        if let Some(table) = catalog::lockable(session, name)? {
            let lock = format!("LOCK TABLE {table} IN ACCESS SHARE MODE");
            session.query(&lock).context(format!("locking `{name}` against being rewritten"))?;
        }
    }
    // After the locks: what was rewritten before is seen as it is now.
    let exported = session.query("SELECT pg_export_snapshot()");
    let reason = match exported.map(|rows| rows.into_iter().flatten().flatten().next()) {
        Ok(Some(token)) => {
            let label = product.split(" on ").next().unwrap_or_default().to_owned();
            return Ok(Hold::Held(Snapshot { token, label }));
        }
        Ok(None) => "the server exported none".to_owned(),
        Err(error) => error.message().to_owned(),
    };
    session.query("ROLLBACK")?;
    Ok(Hold::Unavailable(reason))
}

/// Makes the session see what the leader saw, from now on.
pub(crate) fn adopt(session: &mut Session, token: &str) -> Result<()> {
    let token = catalog::quote_literal(token);
    session
        .query(&format!("{BEGIN}; SET TRANSACTION SNAPSHOT {token}"))
        .context("adopting the run's snapshot")?;
    Ok(())
}
