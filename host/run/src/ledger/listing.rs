//! Lists of runs, a page at a time: filtered, newest first. A cursor names the last run of a page.

use longshore_model::error::{Error, Result};
use rusqlite::{Params, params_from_iter};
use schemars::JsonSchema;
use serde::Serialize;

use super::Ledger;
use super::history::{INTERRUPTED, RunRecord};
use crate::phase::Phase;

/// The state of a run that some process works on.
const RUNNING: &str = "running";

/// A filter for a list of runs.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Only runs of the job of this name.
    pub job: Option<String>,
    /// Only runs in this state.
    pub state: Option<String>,
    /// Only runs whose id or job's name holds this text.
    pub search: Option<String>,
    /// Only runs that began at this moment or later.
    pub since: Option<String>,
    /// Only runs that began before this moment.
    pub until: Option<String>,
    /// Only runs after this cursor, which an earlier page gave.
    pub cursor: Option<String>,
    /// The most runs of a page.
    pub limit: usize,
}

/// A page of runs, newest first.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RunPage {
    /// The runs.
    pub runs: Vec<RunRecord>,
    /// The cursor of the next page; none where this is the last.
    pub next: Option<String>,
}

/// The runs that ended since a moment, by how they ended.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
pub struct OutcomeCounts {
    /// Published everything.
    pub succeeded: u64,
    /// Failed.
    pub failed: u64,
    /// Were cancelled.
    pub cancelled: u64,
    /// Have not ended, and no process works on them.
    pub interrupted: u64,
}

impl Ledger {
    /// A page of the runs that a filter has.
    pub fn page(&self, filter: &RunFilter) -> Result<RunPage> {
        let mut filter = filter.clone();
        let mut page = RunPage::default();
        loop {
            let (keys, wanted) = (self.page_keys(&filter)?, filter.limit + 1);
            let is_last = keys.len() < wanted;
            filter.cursor = keys.last().cloned();
            for key in keys {
                let Some(run) = self.listed(&key)? else { continue };
                // Whether a process works on it is not in the table.
                if filter.state.as_deref().is_some_and(|state| state != run.state) {
                    continue;
                }
                if page.runs.len() == filter.limit {
                    page.next = page.runs.last().map(cursor);
                    return Ok(page);
                }
                page.runs.push(run);
            }
            if is_last {
                return Ok(page);
            }
        }
    }

    /// The runs that have not ended, and that some process works on, oldest first.
    pub fn active(&self) -> Result<Vec<RunRecord>> {
        let mut runs = self.unfinished_runs()?;
        runs.retain(|run| run.state != INTERRUPTED);
        Ok(runs)
    }

    /// How the runs ended that ended since a moment.
    pub fn outcomes(&self, since: &str) -> Result<OutcomeCounts> {
        let mut counts = self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT sum(phase = 'succeeded'), sum(phase = 'failed'), sum(phase = 'cancelled')
                 FROM runs WHERE finished >= ?1",
            )?;
            Ok(statement.query_row([since], |row| {
                let count = |column: usize| {
                    row.get::<_, Option<u64>>(column).map(Option::unwrap_or_default)
                };
                Ok(OutcomeCounts {
                    succeeded: count(0)?,
                    failed: count(1)?,
                    cancelled: count(2)?,
                    interrupted: 0,
                })
            })?)
        })?;
        let open = self.unfinished_runs()?;
        counts.interrupted = open.iter().filter(|run| run.state == INTERRUPTED).count() as u64;
        Ok(counts)
    }

    fn unfinished_runs(&self) -> Result<Vec<RunRecord>> {
        let ids: Vec<String> = self.keys(
            "SELECT id FROM runs WHERE finished IS NULL ORDER BY created, id",
            params_from_iter(&[] as &[String]),
        )?;
        let runs = ids.iter().filter_map(|id| self.record(id).transpose());
        runs.collect()
    }

    fn listed(&self, cursor: &str) -> Result<Option<RunRecord>> {
        let (_, id) = moment_and_id(cursor)?;
        self.record(id)
    }

    /// The cursors of up to a page of runs, and one more.
    fn page_keys(&self, filter: &RunFilter) -> Result<Vec<String>> {
        let (conditions, values) = conditions(filter)?;
        let limit = filter.limit + 1;
        self.keys(
            &format!(
                "SELECT created || '_' || id FROM runs WHERE {conditions}
                 ORDER BY created DESC, id DESC LIMIT {limit}"
            ),
            params_from_iter(&values),
        )
    }

    fn keys(&self, query: &str, values: impl Params) -> Result<Vec<String>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(query)?;
            let keys = statement.query_map(values, |row| row.get(0))?;
            Ok(keys.collect::<rusqlite::Result<_>>()?)
        })
    }
}

/// The conditions of a query, and the values that they name.
fn conditions(filter: &RunFilter) -> Result<(String, Vec<String>)> {
    let (mut conditions, mut values) = (vec!["1".to_owned()], Vec::new());
    let mut add = |condition: &str, value: &str| {
        values.push(value.to_owned());
        conditions.push(condition.replace('#', &format!("?{}", values.len())));
    };
    if let Some(job) = &filter.job {
        add("job IN (SELECT id FROM jobs WHERE name = #)", job);
    }
    if let Some(search) = &filter.search {
        add(
            "(instr(id, lower(#)) OR instr(lower(id), lower(#))
              OR job IN (SELECT id FROM jobs WHERE instr(lower(name), lower(#))))",
            search,
        );
    }
    if let Some(since) = &filter.since {
        add("created >= #", since);
    }
    if let Some(until) = &filter.until {
        add("created < #", until);
    }
    if let Some(cursor) = &filter.cursor {
        let (created, id) = moment_and_id(cursor)?;
        add("created <= #", created);
        let created = format!("?{}", values.len());
        values.push(id.to_owned());
        conditions.push(format!("(created < {created} OR id < ?{})", values.len()));
    }
    conditions.extend(filter.state.as_deref().map(phases));
    Ok((conditions.join(" AND "), values))
}

/// The condition that runs in a state fulfil, and perhaps others. An unknown state has no runs.
fn phases(state: &str) -> String {
    if [RUNNING, INTERRUPTED].contains(&state) {
        return "finished IS NULL".to_owned();
    }
    match Phase::from_name(state) {
        Some(phase) => format!("phase = '{phase}'"),
        None => "0".to_owned(),
    }
}

fn cursor(run: &RunRecord) -> String {
    format!("{}_{}", run.created, run.run)
}

fn moment_and_id(cursor: &str) -> Result<(&str, &str)> {
    cursor.split_once('_').ok_or_else(|| {
        Error::config(format!("`{cursor}` is no cursor"))
            .with_hint("give what an earlier page has as `next`")
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use longshore_model::config::ParameterRecord;

    use super::*;
    use crate::ledger::{NewRun, Owner};
    use crate::phase::Outcome;

    /// A ledger of a folder, as the locks of runs tell which are interrupted.
    fn with_runs(folder: &Path, runs: &[(&str, &str, Option<Outcome>)]) -> Ledger {
        let ledger = Ledger::open(folder).unwrap();
        for (id, job, outcome) in runs {
            let new = NewRun {
                id,
                job,
                digest: "d",
                file: Path::new("/in/job.yaml"),
                parameters: &ParameterRecord::default(),
                owner: Owner::Daemon,
            };
            ledger.begin(&new).unwrap();
            if let Some(outcome) = outcome {
                let outcome = *outcome;
                if outcome == Outcome::Succeeded {
                    ledger
                        .change(|change| {
                            change.execute(
                                "UPDATE runs SET phase = 'committing' WHERE id = ?1",
                                [id],
                            )?;
                            Ok(())
                        })
                        .unwrap();
                }
                ledger.finish(id, outcome, &"report").unwrap();
            }
        }
        ledger
    }

    fn ids(ledger: &Ledger, filter: &RunFilter) -> Vec<String> {
        let mut filter = RunFilter { limit: 2, ..filter.clone() };
        let mut ids = Vec::new();
        loop {
            let page = ledger.page(&filter).unwrap();
            assert!(page.runs.len() <= 2);
            ids.extend(page.runs.into_iter().map(|run| run.run));
            match page.next {
                Some(next) => filter.cursor = Some(next),
                None => return ids,
            }
        }
    }

    #[test]
    fn pages_hold_each_run_once_and_filters_hold_across_them() {
        let folder = tempfile::tempdir().unwrap();
        let done = Some(Outcome::Succeeded);
        let runs = [
            ("r1", "shop", done),
            ("r2", "lake", Some(Outcome::Failed)),
            ("r3", "shop", None),
            ("r4", "shop", None),
            ("r5", "Shop-2", done),
        ];
        let ledger = with_runs(folder.path(), &runs);
        let _lock = ledger.lock_run("r3").unwrap().unwrap();
        let filtered = |filter: RunFilter| ids(&ledger, &filter);
        let all = RunFilter::default();
        let of_state = |state: &str| RunFilter { state: Some(state.into()), ..all.clone() };
        assert_eq!(filtered(all.clone()), ["r5", "r4", "r3", "r2", "r1"]);
        assert_eq!(filtered(of_state("succeeded")), ["r5", "r1"]);
        assert_eq!(filtered(of_state("running")), ["r3"]);
        assert_eq!(filtered(of_state("interrupted")), ["r4"]);
        assert_eq!(filtered(of_state("x' OR 1 --")), [""; 0]);
        assert_eq!(filtered(RunFilter { job: Some("shop".into()), ..all.clone() }).len(), 3);
        assert_eq!(filtered(RunFilter { search: Some("SHOP".into()), ..all.clone() }).len(), 4);
        assert_eq!(filtered(RunFilter { search: Some("R2".into()), ..all.clone() }), ["r2"]);
        assert!(ledger.page(&RunFilter { cursor: Some("x".into()), limit: 2, ..all }).is_err());
        let active: Vec<String> = ledger.active().unwrap().into_iter().map(|run| run.run).collect();
        assert_eq!(active, ["r3"]);
        let counts = ledger.outcomes("2000-01-01T00:00:00Z").unwrap();
        assert_eq!((counts.succeeded, counts.failed, counts.interrupted), (2, 1, 1));
    }
}
