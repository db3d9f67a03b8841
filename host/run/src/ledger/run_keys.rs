//! Run keys: a key continues its run for as long as that run can go on. Workflow schedulers give one to
//! each task, so that a task that is tried again resumes.

use std::collections::BTreeMap;

use longshore_model::config::ParameterRecord;
use longshore_model::error::{Error, Result};
use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Ledger, fault};
use crate::phase::{Outcome, Phase};

/// What somebody asks for under a run key.
pub struct KeyedJob<'a> {
    /// The key.
    pub key: &'a str,
    /// The job's name.
    pub job: &'a str,
    /// SHA-256 of the job file.
    pub digest: &'a str,
    /// The values of parameters that are given.
    pub arguments: &'a BTreeMap<String, Value>,
    /// The values of all parameters.
    pub parameters: &'a ParameterRecord,
}

/// The run of a key.
#[derive(Debug, PartialEq)]
pub enum KeyedRun {
    /// It is to be carried out, or carried on, with these values of its parameters.
    Open {
        /// Its id.
        run: String,
        /// The values that the key was first used with.
        parameters: ParameterRecord,
    },
    /// It has succeeded, with this report.
    Succeeded(Value),
}

/// A run key, as the ledger knows it.
struct KnownKey {
    job: String,
    digest: String,
    arguments: BTreeMap<String, Value>,
    parameters: ParameterRecord,
    run: String,
    /// Absent: the run has not begun, and its process has ended or is about to begin it.
    phase: Option<Phase>,
    report: Option<Value>,
}

impl Ledger {
    /// The run of a key. A key that is new, or whose run has failed for good or was cancelled, gets `new_run`.
    pub fn keyed_run(&self, asked: &KeyedJob<'_>, new_run: &str) -> Result<KeyedRun> {
        self.change_for_good(|change| {
            let known = known(change, asked.key)?;
            let Some(known) = known else {
                give(change, asked, asked.parameters, new_run)?;
                return Ok(KeyedRun::Open {
                    run: new_run.to_owned(),
                    parameters: asked.parameters.clone(),
                });
            };
            asked.check(&known)?;
            let (run, parameters) = match known.phase {
                Some(Phase::Done(Outcome::Succeeded)) => {
                    return Ok(KeyedRun::Succeeded(known.report.unwrap_or_default()));
                }
                Some(Phase::Done(_)) => {
                    give(change, asked, &known.parameters, new_run)?;
                    (new_run.to_owned(), known.parameters)
                }
                _ => (known.run, known.parameters),
            };
            Ok(KeyedRun::Open { run, parameters })
        })
    }
}

impl KeyedJob<'_> {
    /// Whether a key stands for the same work as before. The job file may have been corrected since its run
    /// failed for good.
    fn check(&self, known: &KnownKey) -> Result<()> {
        let failed =
            [Outcome::Failed, Outcome::Cancelled].map(|outcome| Some(Phase::Done(outcome)));
        let what = if self.job != known.job {
            format!("stands for the job `{}`", known.job)
        } else if self.digest != known.digest && !failed.contains(&known.phase) {
            format!("stands for another version of the job `{}`", known.job)
        } else if *self.arguments != known.arguments {
            "stands for other values of the job's parameters".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::config(format!("the run key `{}` {what}: run {}", self.key, known.run))
            .with_hint("give each job, and each set of values, a key of its own"))
    }
}

fn known(change: &Transaction<'_>, key: &str) -> rusqlite::Result<Option<KnownKey>> {
    let mut statement = change.prepare_cached(
        "SELECT job, digest, arguments, run_keys.parameters, run,
                (SELECT phase FROM runs WHERE id = run), (SELECT report FROM runs WHERE id = run)
         FROM run_keys WHERE key = ?1",
    )?;
    let known = |row: &Row<'_>| {
        Ok(KnownKey {
            job: row.get(0)?,
            digest: row.get(1)?,
            arguments: json(row, 2)?.unwrap_or_default(),
            parameters: json(row, 3)?.unwrap_or_default(),
            run: row.get(4)?,
            phase: row.get(5)?,
            report: json(row, 6)?,
        })
    };
    statement.query_row([key], known).optional()
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    let Some(text) = row.get::<_, Option<String>>(column)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
    })
}

/// Gives a key another run.
fn give(
    change: &Transaction<'_>,
    asked: &KeyedJob<'_>,
    parameters: &ParameterRecord,
    run: &str,
) -> fault::Result<()> {
    change.execute(
        "INSERT OR REPLACE INTO run_keys (key, job, digest, arguments, parameters, run)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            asked.key,
            asked.job,
            asked.digest,
            serde_json::to_string(asked.arguments)?,
            serde_json::to_string(parameters)?,
            run
        ],
    )?;
    Ok(())
}
