//! What the daemon is working on. Who dies at a job again and again must not begin it for ever.

use longshore_model::error::Result;
use rusqlite::Transaction;

use super::Ledger;

impl Ledger {
    /// The daemon works on a run from here. Gives how often it died at that since the run last got on:
    /// was planned, had a chunk read, or began to commit.
    pub fn take_up(&self, run: &str) -> Result<u32> {
        self.change_for_good(|change| {
            Ok(change.query_row(
                "INSERT INTO takes (run) VALUES (?1)
                 ON CONFLICT DO UPDATE SET deaths = deaths + under_way, under_way = 1
                 RETURNING deaths",
                [run],
                |row| row.get(0),
            )?)
        })
    }

    /// The daemon let go of a run, which goes on later.
    pub fn put_down(&self, run: &str) -> Result<()> {
        self.with_connection(|connection| {
            connection.execute("UPDATE takes SET under_way = 0 WHERE run = ?1", [run])?;
            Ok(())
        })
    }

    /// The daemon has nothing more to do with a run.
    pub fn forget_take(&self, run: &str) -> Result<()> {
        self.with_connection(|connection| {
            connection.execute("DELETE FROM takes WHERE run = ?1", [run])?;
            Ok(())
        })
    }
}

/// A run got on: whatever the process died of, it was not this.
pub(super) fn got_on(change: &Transaction<'_>, run: &str) -> rusqlite::Result<()> {
    change
        .prepare_cached("UPDATE takes SET deaths = 0 WHERE run = ?1 AND deaths > 0")?
        .execute([run])?;
    Ok(())
}
