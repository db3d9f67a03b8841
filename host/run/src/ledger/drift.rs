//! Schema drift: what runs expect their targets to hold, and the schemas that somebody has accepted.

use longshore_engine::drift::{ColumnRecord, Expectation};
use longshore_model::error::Result;
use longshore_model::part::RelationTarget;
use rusqlite::params;

use super::{Ledger, now};

/// The columns of a relation that somebody has accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedSchema {
    /// The relation's name in its job.
    pub relation: String,
    /// The digest of the columns.
    pub digest: String,
    /// The columns, as the source gives them.
    pub columns: Vec<ColumnRecord>,
}

impl Ledger {
    /// Records what a run expects of its relations, in the job's order. They are reserved already.
    pub fn expect(&self, run: &str, expected: &[Option<Expectation>]) -> Result<()> {
        self.change(|change| {
            for (position, expected) in expected.iter().enumerate() {
                let Some(expected) = expected else { continue };
                change.execute(
                    "UPDATE relations SET expected = ?3 WHERE run = ?1 AND position = ?2",
                    params![run, position, serde_json::to_string(expected)?],
                )?;
            }
            Ok(())
        })
    }

    /// Records other targets of a run that is planned.
    pub fn retarget(&self, run: &str, targets: &[RelationTarget]) -> Result<()> {
        self.change(|change| {
            for (position, target) in targets.iter().enumerate() {
                change.execute(
                    "UPDATE relations SET target = ?3 WHERE run = ?1 AND position = ?2",
                    params![run, position, serde_json::to_string(target)?],
                )?;
            }
            Ok(())
        })
    }

    /// What a run expects of its relations. Of what another version recorded in another way, nothing is known.
    pub fn expected(&self, run: &str) -> Result<Vec<Option<Expectation>>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT expected FROM relations WHERE run = ?1 ORDER BY position",
            )?;
            let texts = statement.query_map([run], |row| row.get::<_, Option<String>>(0))?;
            texts.map(|text| Ok(text?.and_then(|text| serde_json::from_str(&text).ok()))).collect()
        })
    }

    /// Records that a relation's columns are accepted, in the place of those that were before.
    pub fn accept_schema(&self, job: &str, accepted: &AcceptedSchema) -> Result<()> {
        let AcceptedSchema { relation, digest, columns } = accepted;
        self.change(|change| {
            change.execute(
                "INSERT OR REPLACE INTO accepted_schemas (job, relation, digest, columns, at)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![job, relation, digest, serde_json::to_string(columns)?, now()],
            )?;
            Ok(())
        })
    }

    /// The schemas of a job's relations that somebody has accepted.
    pub fn accepted_schemas(&self, job: &str) -> Result<Vec<AcceptedSchema>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT relation, digest, columns FROM accepted_schemas WHERE job = ?1",
            )?;
            let row =
                |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?));
            let accepted = statement.query_map([job], row)?;
            accepted
                .map(|row| {
                    let (relation, digest, columns) = row?;
                    Ok(AcceptedSchema {
                        relation,
                        digest,
                        columns: serde_json::from_str(&columns)?,
                    })
                })
                .collect()
        })
    }
}
