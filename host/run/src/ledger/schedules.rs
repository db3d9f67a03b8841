//! The schedules: how far each was considered, whether it is paused, and what was skipped. They are those of the
//! daemon that has the state folder.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use longshore_model::error::Result;
use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Row, Transaction, params};
use strum::IntoStaticStr;

use super::{Ledger, now};
use crate::phase::{Outcome, Phase};

/// How many events of a schedule are kept.
const EVENTS_KEPT: u64 = 100;

/// A schedule's entry in the ledger.
#[derive(Clone, Debug)]
pub struct ScheduleEntry {
    /// What the cursor belongs to; absent: the job has no schedule now.
    pub recurrence: Option<String>,
    /// Times up to this one were considered.
    pub cursor: DateTime<Utc>,
    /// Whether it is paused, and why.
    pub pause: Option<PauseRecord>,
    /// A chain's next trigger, which may not be submitted yet.
    pub link: Option<ChainLink>,
    resumed: i64,
}

/// The pause of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PauseRecord {
    /// Since when.
    pub since: String,
    /// Why.
    pub reason: String,
}

/// A trigger of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainLink {
    /// The key of the run.
    pub key: String,
    /// The latest of the scheduled times of the runs that it follows.
    pub scheduled: DateTime<Utc>,
}

/// The runs of a standing job: those with a trigger of this job file in this folder.
#[derive(Clone, Copy, Debug)]
pub struct StandingRuns<'a> {
    /// The name of the job file.
    pub job: &'a str,
    /// The folder of standing jobs.
    pub folder: &'a Path,
}

/// A run of a standing job.
#[derive(Clone, Debug)]
pub struct StandingRun {
    /// Its id.
    pub run: String,
    /// The kind of its trigger.
    pub kind: String,
    /// The time that it is for.
    pub scheduled: Option<String>,
    /// When it was asked for.
    pub requested: String,
    /// Its phase; absent: it has not begun.
    pub phase: Option<Phase>,
    /// When it ended.
    pub finished: Option<String>,
}

/// What happened to a schedule.
#[derive(Clone, Debug)]
pub struct ScheduleEvent {
    /// When.
    pub at: String,
    /// `skipped`, `paused` or `resumed`.
    pub kind: String,
    /// What.
    pub text: String,
}

#[derive(Clone, Copy, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
enum EventKind {
    Skipped,
    Paused,
    Resumed,
}

/// The failures in a row of a schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// The run that failed last.
    pub last: Option<String>,
}

impl Ledger {
    /// What changes whenever this ledger is changed, by this process or by another.
    pub fn change_count(&self) -> Result<(i64, u64)> {
        self.with_connection(|connection| {
            let others = connection.query_row("PRAGMA data_version", [], |row| row.get(0))?;
            Ok((others, connection.total_changes()))
        })
    }

    /// All schedules, by the names of their jobs.
    pub fn schedules(&self) -> Result<BTreeMap<String, ScheduleEntry>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT name, recurrence, cursor, paused, pause_reason, resumed, link_key, link_time
                 FROM schedules",
            )?;
            let entries = statement.query_map([], |row| Ok((row.get(0)?, entry(row)?)))?;
            Ok(entries.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// A schedule begins, or another one takes its place: times until `cursor` are not its own, nor are runs that
    /// other jobs have had. A pause stays.
    pub fn begin_schedule(
        &self,
        name: &str,
        recurrence: &str,
        cursor: DateTime<Utc>,
        after: &[StandingRuns<'_>],
    ) -> Result<()> {
        self.change(|change| Ok(begin(change, name, recurrence, cursor, after)?))
    }

    /// A job has no schedule any more. Its history and its pause stay.
    pub fn end_schedule(&self, name: &str) -> Result<()> {
        self.change(|change| {
            let end = "UPDATE schedules SET recurrence = NULL, link_key = NULL WHERE name = ?1";
            change.execute(end, [name])?;
            Ok(())
        })
    }

    /// Times up to `cursor` were considered; `skipped` says which were not run, and why.
    pub fn advance_schedule(
        &self,
        name: &str,
        cursor: DateTime<Utc>,
        skipped: Option<&str>,
    ) -> Result<()> {
        self.change(|change| {
            change
                .prepare_cached("UPDATE schedules SET cursor = ?2 WHERE name = ?1")?
                .execute(params![name, text(cursor)])?;
            if let Some(skipped) = skipped {
                event(change, name, EventKind::Skipped, skipped)?;
            }
            Ok(())
        })
    }

    /// Pauses a schedule. False: it is paused already, and stays so for the reason that it has.
    pub fn pause_schedule(&self, name: &str, reason: &str) -> Result<bool> {
        self.change_for_good(|change| {
            let paused = change.execute(
                "INSERT INTO schedules (name, cursor, paused, pause_reason) VALUES (?1, ?2, ?2, ?3)
                 ON CONFLICT DO UPDATE SET paused = excluded.paused, pause_reason = excluded.pause_reason
                 WHERE paused IS NULL",
                params![name, now(), reason],
            )?;
            if paused > 0 {
                event(change, name, EventKind::Paused, reason)?;
            }
            Ok(paused > 0)
        })
    }

    /// Resumes a schedule, which begins anew. False: it is not paused.
    pub fn resume_schedule(
        &self,
        name: &str,
        recurrence: &str,
        cursor: DateTime<Utc>,
        after: &[StandingRuns<'_>],
    ) -> Result<bool> {
        self.change_for_good(|change| {
            let resumed = change.execute(
                "UPDATE schedules SET paused = NULL, pause_reason = NULL,
                   resumed = (SELECT coalesce(max(rowid), 0) FROM triggers)
                 WHERE name = ?1 AND paused IS NOT NULL",
                [name],
            )?;
            if resumed > 0 {
                begin(change, name, recurrence, cursor, after)?;
                event(change, name, EventKind::Resumed, "resumed")?;
            }
            Ok(resumed > 0)
        })
    }

    /// The number of a new backfill.
    pub fn number_backfill(&self, name: &str) -> Result<u64> {
        self.change_for_good(|change| {
            let number = "INSERT INTO schedules (name, cursor, backfills) VALUES (?1, ?2, 1)
                 ON CONFLICT DO UPDATE SET backfills = backfills + 1 RETURNING backfills";
            Ok(change.query_row(number, params![name, now()], |row| row.get(0))?)
        })
    }

    /// The next trigger of a chain, if each of the jobs has succeeded since the last one. It is written down, and so
    /// is what it follows.
    pub fn link_chain(&self, name: &str, after: &[StandingRuns<'_>]) -> Result<Option<ChainLink>> {
        let has_news = self.with_connection(|connection| {
            let newest: Vec<_> = after
                .iter()
                .map(|job| newest_success(connection, name, *job))
                .collect::<rusqlite::Result<_>>()?;
            Ok(newest.iter().all(Option::is_some))
        })?;
        if !has_news {
            return Ok(None);
        }
        self.change_for_good(|change| {
            let mut latest: Option<ChainLink> = None;
            for job in after {
                let Some((run, scheduled)) = newest_success(change, name, *job)? else {
                    return Ok(None);
                };
                if latest.as_ref().is_none_or(|latest| latest.scheduled < scheduled) {
                    latest = Some(ChainLink { key: format!("chain/{name}/{run}"), scheduled });
                }
            }
            let Some(link) = latest else { return Ok(None) };
            follow(change, name, after)?;
            change.execute(
                "UPDATE schedules SET link_key = ?2, link_time = ?3, cursor = ?3 WHERE name = ?1",
                params![name, link.key, text(link.scheduled)],
            )?;
            Ok(Some(link))
        })
    }

    /// The trigger of a chain is submitted, or `skipped` says why it is not.
    pub fn finish_link(&self, name: &str, skipped: Option<&str>) -> Result<()> {
        self.change(|change| {
            let finish = "UPDATE schedules SET link_key = NULL, link_time = NULL WHERE name = ?1";
            change.prepare_cached(finish)?.execute([name])?;
            if let Some(skipped) = skipped {
                event(change, name, EventKind::Skipped, skipped)?;
            }
            Ok(())
        })
    }

    /// The ids of the runs of a standing job that are not over, oldest first; but for backfills, which overlap with
    /// nothing.
    pub fn open_runs(&self, job: StandingRuns<'_>) -> Result<Vec<String>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT run FROM triggers WHERE job = ?1 AND folder = ?2 AND state <> 'over'
                   AND kind <> 'backfill' ORDER BY rowid",
            )?;
            let runs = statement.query_map(params![job.job, folder(job)], |row| row.get(0))?;
            Ok(runs.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The newest runs of a standing job, newest first.
    pub fn standing_runs(&self, job: StandingRuns<'_>, limit: u64) -> Result<Vec<StandingRun>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT triggers.run, kind, scheduled, requested, phase, finished
                 FROM triggers LEFT JOIN runs ON runs.id = triggers.run
                 WHERE triggers.job = ?1 AND folder = ?2 ORDER BY triggers.rowid DESC LIMIT ?3",
            )?;
            let runs = statement.query_map(params![job.job, folder(job), limit], |row| {
                Ok(StandingRun {
                    run: row.get(0)?,
                    kind: row.get(1)?,
                    scheduled: row.get(2)?,
                    requested: row.get(3)?,
                    phase: row.get(4)?,
                    finished: row.get(5)?,
                })
            })?;
            Ok(runs.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// How often the schedule of a job failed in a row since it was resumed. Cancelled runs do not count.
    pub fn schedule_failures(
        &self,
        entry: &ScheduleEntry,
        job: StandingRuns<'_>,
    ) -> Result<Failures> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT runs.id, phase FROM triggers JOIN runs ON runs.id = triggers.run
                 WHERE triggers.job = ?1 AND folder = ?2 AND triggers.rowid > ?3
                   AND kind IN ('schedule', 'chain', 'retry') AND finished IS NOT NULL
                 ORDER BY triggers.rowid DESC",
            )?;
            let mut runs = statement.query(params![job.job, folder(job), entry.resumed])?;
            let mut failures = Failures::default();
            while let Some(row) = runs.next()? {
                match row.get(1)? {
                    Phase::Done(Outcome::Failed) => {
                        failures.count += 1;
                        failures.last = failures.last.or(row.get(0)?);
                    }
                    Phase::Done(Outcome::Cancelled) => {}
                    _ => break,
                }
            }
            Ok(failures)
        })
    }

    /// What happened to a schedule, newest first.
    pub fn schedule_events(&self, name: &str, limit: u64) -> Result<Vec<ScheduleEvent>> {
        self.with_connection(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT at, kind, text FROM schedule_events WHERE name = ?1 ORDER BY id DESC LIMIT ?2",
            )?;
            let events = statement.query_map(params![name, limit], |row| {
                Ok(ScheduleEvent { at: row.get(0)?, kind: row.get(1)?, text: row.get(2)? })
            })?;
            Ok(events.collect::<rusqlite::Result<_>>()?)
        })
    }
}

fn begin(
    change: &Transaction<'_>,
    name: &str,
    recurrence: &str,
    cursor: DateTime<Utc>,
    after: &[StandingRuns<'_>],
) -> rusqlite::Result<()> {
    change.execute(
        "INSERT INTO schedules (name, recurrence, cursor) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET recurrence = excluded.recurrence, cursor = excluded.cursor,
           link_key = NULL, link_time = NULL",
        params![name, recurrence, text(cursor)],
    )?;
    follow(change, name, after)
}

/// Takes note of all successes of these jobs: the chain waits for further ones.
fn follow(
    change: &Transaction<'_>,
    name: &str,
    after: &[StandingRuns<'_>],
) -> rusqlite::Result<()> {
    let mut statement = change.prepare_cached(
        "INSERT OR IGNORE INTO chain_runs (name, run)
         SELECT ?1, runs.id FROM triggers JOIN runs ON runs.id = triggers.run
         WHERE triggers.job = ?2 AND folder = ?3 AND phase = 'succeeded'",
    )?;
    for job in after {
        statement.execute(params![name, job.job, folder(*job)])?;
    }
    Ok(())
}

/// The newest success of a job that a chain has not followed, and the time that it was for.
fn newest_success(
    connection: &rusqlite::Connection,
    name: &str,
    job: StandingRuns<'_>,
) -> rusqlite::Result<Option<(String, DateTime<Utc>)>> {
    let mut statement = connection.prepare_cached(
        "SELECT runs.id, coalesce(scheduled, requested)
         FROM triggers JOIN runs ON runs.id = triggers.run
         WHERE triggers.job = ?2 AND folder = ?3 AND phase = 'succeeded'
           AND NOT EXISTS (SELECT 1 FROM chain_runs WHERE name = ?1 AND run = runs.id)
         ORDER BY triggers.rowid DESC LIMIT 1",
    )?;
    let found = statement
        .query_row(params![name, job.job, folder(job)], |row| Ok((row.get(0)?, moment(row, 1)?)));
    found.optional()
}

/// Records what happened, and forgets what happened long ago.
fn event(
    change: &Transaction<'_>,
    name: &str,
    kind: EventKind,
    text: &str,
) -> rusqlite::Result<()> {
    change
        .prepare_cached(
            "INSERT INTO schedule_events (name, at, kind, text) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![name, now(), <&str>::from(kind), text])?;
    change
        .prepare_cached(
            "DELETE FROM schedule_events WHERE name = ?1 AND id <=
               (SELECT id FROM schedule_events WHERE name = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![name, EVENTS_KEPT])?;
    Ok(())
}

fn entry(row: &Row<'_>) -> rusqlite::Result<ScheduleEntry> {
    let (since, reason): (Option<String>, Option<String>) = (row.get(3)?, row.get(4)?);
    let key: Option<String> = row.get(6)?;
    Ok(ScheduleEntry {
        recurrence: row.get(1)?,
        cursor: moment(row, 2)?,
        pause: since.map(|since| PauseRecord { since, reason: reason.unwrap_or_default() }),
        resumed: row.get(5)?,
        link: match key {
            Some(key) => Some(ChainLink { key, scheduled: moment(row, 7)? }),
            None => None,
        },
    })
}

fn folder(job: StandingRuns<'_>) -> String {
    job.folder.to_string_lossy().into_owned()
}

fn text(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn moment(row: &Row<'_>, column: usize) -> rusqlite::Result<DateTime<Utc>> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error: chrono::ParseError| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
    })
}

#[cfg(test)]
mod tests {
    use longshore_model::config::ParameterRecord;

    use super::*;
    use crate::ledger::{NewRun, NewTrigger, Owner};
    use crate::trigger::TriggerKind;

    const FOLDER: &str = "/jobs";

    /// A run of a standing job that has ended so.
    fn ended(ledger: &Ledger, job: &str, run: &str, phase: &str) {
        let scheduled = format!("2026-11-29T0{}:00:00Z", &run[1..]);
        let trigger = NewTrigger {
            run,
            key: run,
            job,
            folder: Path::new(FOLDER),
            digest: "d",
            kind: TriggerKind::Schedule,
            scheduled: Some(scheduled),
            requested_by: None,
            arguments: &BTreeMap::new(),
            is_exclusive: false,
            trace_parent: None,
        };
        ledger.record_trigger(&trigger).unwrap();
        let new = NewRun {
            id: run,
            job,
            digest: "d",
            file: Path::new("/in/job.yaml"),
            parameters: &ParameterRecord::default(),
            owner: Owner::Daemon,
        };
        ledger.begin(&new).unwrap();
        let end = "UPDATE runs SET phase = ?2, finished = created WHERE id = ?1";
        ledger.connection().execute(end, [run, phase]).unwrap();
    }

    fn of(job: &str) -> StandingRuns<'_> {
        StandingRuns { job, folder: Path::new(FOLDER) }
    }

    fn begin(ledger: &Ledger, after: &[StandingRuns<'_>]) {
        ledger.begin_schedule("c", "after", DateTime::UNIX_EPOCH, after).unwrap();
    }

    #[test]
    fn a_chain_follows_each_success_once_and_none_from_before_it_began() {
        let ledger = Ledger::in_memory().unwrap();
        let after = [of("a.yaml"), of("b.yaml")];
        ended(&ledger, "a.yaml", "r1", "succeeded");
        begin(&ledger, &after);
        let link = || ledger.link_chain("c", &after).unwrap();
        assert_eq!(link(), None);
        ended(&ledger, "b.yaml", "r2", "succeeded");
        assert_eq!(link(), None);
        ended(&ledger, "a.yaml", "r4", "failed");
        assert_eq!(link(), None);
        ended(&ledger, "a.yaml", "r3", "succeeded");
        let found = link().unwrap();
        assert_eq!(
            (found.key.as_str(), found.scheduled.to_rfc3339().as_str()),
            ("chain/c/r3", "2026-11-29T03:00:00+00:00")
        );
        // It is there until it is submitted, whatever succeeds meanwhile.
        ended(&ledger, "a.yaml", "r5", "succeeded");
        assert_eq!(link(), None);
        assert_eq!(ledger.schedules().unwrap()["c"].link, Some(found));
        ledger.finish_link("c", None).unwrap();
        assert_eq!(ledger.schedules().unwrap()["c"].link, None);
        ended(&ledger, "b.yaml", "r6", "succeeded");
        assert_eq!(link().unwrap().key, "chain/c/r6");
    }

    #[test]
    fn failures_count_in_a_row_since_the_schedule_was_resumed() {
        let ledger = Ledger::in_memory().unwrap();
        begin(&ledger, &[]);
        let failures = || {
            let entry = ledger.schedules().unwrap().remove("c").unwrap();
            ledger.schedule_failures(&entry, of("c.yaml")).unwrap().count
        };
        ended(&ledger, "c.yaml", "r1", "failed");
        ended(&ledger, "c.yaml", "r2", "succeeded");
        ended(&ledger, "c.yaml", "r3", "failed");
        ended(&ledger, "c.yaml", "r4", "cancelled");
        ended(&ledger, "c.yaml", "r5", "failed");
        assert_eq!(failures(), 2);
        assert!(ledger.pause_schedule("c", "two").unwrap());
        assert!(!ledger.pause_schedule("c", "again").unwrap());
        assert_eq!(ledger.schedules().unwrap()["c"].pause.as_ref().unwrap().reason, "two");
        let resume = || ledger.resume_schedule("c", "after", DateTime::UNIX_EPOCH, &[]).unwrap();
        assert_eq!((resume(), resume()), (true, false));
        assert_eq!(failures(), 0);
    }

    #[test]
    fn the_newest_events_are_kept() {
        let ledger = Ledger::in_memory().unwrap();
        begin(&ledger, &[]);
        for number in 0..EVENTS_KEPT + 5 {
            let text = number.to_string();
            ledger.advance_schedule("c", DateTime::UNIX_EPOCH, Some(&text)).unwrap();
        }
        let events = ledger.schedule_events("c", 1_000).unwrap();
        assert_eq!((events.len() as u64, events[0].text.as_str()), (EVENTS_KEPT, "104"));
    }
}
