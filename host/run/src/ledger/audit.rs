//! The audit log: who changed what, and what was refused. It is bounded.

use longshore_model::error::Result;
use rusqlite::{Row, params};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Ledger, now};

/// The most entries of the audit log. The oldest are forgotten.
pub const AUDIT_LIMIT: u64 = 100_000;

/// The longest path or name of an entry.
const TEXT_LIMIT_BYTES: usize = 300;

/// An entry that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAuditEntry {
    /// A token's name; empty for who has none.
    pub who: String,
    /// Where it came from: an address, `socket` or `command`.
    pub origin: String,
    /// The method of the request, or the command.
    pub method: String,
    /// The path of the request, or what the command names.
    pub path: String,
    /// The status of the answer.
    pub outcome: u16,
}

/// An entry of the audit log.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct AuditEntry {
    /// Its id: later entries have larger ones.
    pub id: i64,
    /// When.
    pub at: String,
    /// The name of who did it; empty for who has no token.
    pub who: String,
    /// Where it came from: an address, `socket` or `command`.
    pub origin: String,
    /// The method of the request, or the command.
    pub method: String,
    /// The path of the request, or what the command names.
    pub path: String,
    /// The status of the answer.
    pub outcome: u16,
}

impl Ledger {
    /// Writes entries into the audit log, all together.
    pub fn audit(&self, entries: &[NewAuditEntry]) -> Result<()> {
        self.change(|change| {
            for entry in entries {
                change
                    .prepare_cached(
                        "INSERT INTO audit (at, who, origin, method, path, outcome)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    )?
                    .execute(params![
                        now(),
                        short(&entry.who),
                        short(&entry.origin),
                        short(&entry.method),
                        short(&entry.path),
                        entry.outcome
                    ])?;
            }
            let oldest = change.last_insert_rowid() - AUDIT_LIMIT as i64;
            change.prepare_cached("DELETE FROM audit WHERE id <= ?1")?.execute([oldest])?;
            Ok(())
        })
    }

    /// The entries before this id, newest first.
    pub fn audit_log(&self, before: Option<i64>, limit: usize) -> Result<Vec<AuditEntry>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, at, who, origin, method, path, outcome FROM audit
                 WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
            )?;
            let entry = |row: &Row<'_>| {
                Ok(AuditEntry {
                    id: row.get(0)?,
                    at: row.get(1)?,
                    who: row.get(2)?,
                    origin: row.get(3)?,
                    method: row.get(4)?,
                    path: row.get(5)?,
                    outcome: row.get(6)?,
                })
            };
            let entries = statement.query_map(params![before.unwrap_or(i64::MAX), limit], entry)?;
            Ok(entries.collect::<rusqlite::Result<_>>()?)
        })
    }
}

fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_LIMIT_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_come_first_and_a_page_goes_on_before_its_last() {
        let ledger = Ledger::in_memory().unwrap();
        let entry = |path: &str| NewAuditEntry {
            who: "ci".into(),
            origin: "127.0.0.1".into(),
            method: "POST".into(),
            path: path.into(),
            outcome: 201,
        };
        ledger.audit(&["a", "b", "c"].map(entry)).unwrap();
        let page = ledger.audit_log(None, 2).unwrap();
        assert_eq!(page.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(), ["c", "b"]);
        let rest = ledger.audit_log(Some(page[1].id), 2).unwrap();
        assert_eq!(rest.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(), ["a"]);
    }
}
