//! Totals of the ledger, for metrics.

use chrono::{DateTime, Utc};
use longshore_model::error::Result;
use rusqlite::Row;

use super::Ledger;
use super::triggers::WAITING;
use crate::phase::{Outcome, Phase};

/// The last success of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct LastSuccess {
    /// The job's name.
    pub job: String,
    /// When its run ended.
    pub at: DateTime<Utc>,
}

/// Runs that were asked for and have not begun.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WaitingRuns {
    /// How many.
    pub runs: u64,
    /// When the oldest of them was asked for.
    pub since: Option<DateTime<Utc>>,
}

impl Ledger {
    /// The last success of each job, the newest first.
    pub fn last_successes(&self) -> Result<Vec<LastSuccess>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT name, max(finished) FROM runs JOIN jobs ON jobs.id = runs.job
                 WHERE phase = ?1 GROUP BY name ORDER BY 2 DESC",
            )?;
            let success = |row: &Row<'_>| Ok((row.get(0)?, moment(row, 1)?));
            let found = statement.query_map([Phase::Done(Outcome::Succeeded)], success)?;
            let found: Vec<(String, Option<DateTime<Utc>>)> =
                found.collect::<rusqlite::Result<_>>()?;
            Ok(found
                .into_iter()
                .filter_map(|(job, at)| Some(LastSuccess { job, at: at? }))
                .collect())
        })
    }

    /// The runs that were asked for and have not begun.
    pub fn waiting_runs(&self) -> Result<WaitingRuns> {
        self.with_connection(|connection| {
            let query = format!("SELECT count(*), min(requested) FROM triggers WHERE {WAITING}");
            let mut statement = connection.prepare_cached(&query)?;
            let waiting =
                |row: &Row<'_>| Ok(WaitingRuns { runs: row.get(0)?, since: moment(row, 1)? });
            Ok(statement.query_row([], waiting)?)
        })
    }
}

fn moment(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<DateTime<Utc>>> {
    let text: Option<String> = row.get(column)?;
    let at = text.and_then(|text| DateTime::parse_from_rfc3339(&text).ok());
    Ok(at.map(|at| at.to_utc()))
}
