//! One snapshot for a whole run: a leader exports it, and the transactions of the readers adopt it
//! (see [`Session::begin`]). The leader holds nothing else: no locks.

use longshore_sdk::{ErrorClass, Result, Snapshot, SnapshotResult};

use crate::session::Session;

/// Opens the leader's transaction and exports its snapshot. Lives as long as the session.
pub(crate) fn export(session: &mut Session) -> Result<SnapshotResult> {
    if session.server().is_greenplum {
        return Ok(SnapshotResult::Unavailable("Greenplum exports none".into()));
    }
    session.begin(None);
    let exported = session.query("SELECT pg_export_snapshot()");
    let reason = match exported.map(|rows| rows.into_iter().flatten().flatten().next()) {
        Ok(Some(token)) => {
            let label = session.server().product.clone();
            return Ok(SnapshotResult::Opened(Snapshot { token, label }));
        }
        Ok(None) => "the server exported none".to_owned(),
        // The transaction may not have begun: there is nothing to say of snapshots.
        Err(error) if is_transient(error.class()) => return Err(error),
        Err(error) => error.message().to_owned(),
    };
    session.query("ROLLBACK")?;
    Ok(SnapshotResult::Unavailable(reason))
}

fn is_transient(class: ErrorClass) -> bool {
    matches!(
        class,
        ErrorClass::Connection | ErrorClass::Timeout | ErrorClass::Throttled | ErrorClass::Resource
    )
}
