//! The daemon's claims: the runs that it works on, and how often it crashed at each. A run that kills the
//! daemon again and again must not start for ever.

use longshore_model::error::Result;
use rusqlite::Transaction;

use super::Ledger;

impl Ledger {
    /// The daemon starts to work on a run. Gives how often it crashed at that since the run last made
    /// progress: was planned, had a chunk read, or started to commit.
    pub fn claim(&self, run: &str) -> Result<u32> {
        // What the run does first is on the disk before it acts, and then this is too.
        self.change(|change| {
            let mut claim = change.prepare_cached(
                "INSERT INTO claims (run) VALUES (?1)
                 ON CONFLICT DO UPDATE SET crashes = crashes + is_active, is_active = 1
                 RETURNING crashes",
            )?;
            Ok(claim.query_row([run], |row| row.get(0))?)
        })
    }

    /// The daemon stops working on a run, which resumes later.
    pub fn release_claim(&self, run: &str) -> Result<()> {
        self.with_connection(|connection| {
            connection.execute("UPDATE claims SET is_active = 0 WHERE run = ?1", [run])?;
            Ok(())
        })
    }

    /// The daemon has nothing more to do with a run.
    pub fn forget_claim(&self, run: &str) -> Result<()> {
        self.with_connection(|connection| {
            connection.execute("DELETE FROM claims WHERE run = ?1", [run])?;
            Ok(())
        })
    }
}

/// A run made progress: a crash from now on has another cause than those before.
pub(super) fn reset_crashes(change: &Transaction<'_>, run: &str) -> rusqlite::Result<()> {
    change
        .prepare_cached("UPDATE claims SET crashes = 0 WHERE run = ?1 AND crashes > 0")?
        .execute([run])?;
    Ok(())
}
