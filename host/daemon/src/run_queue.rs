//! The runs that wait: to resume, or for their job files to be put away.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Instant;

use longshore_run::RESUME_WAIT;
use longshore_run::ledger::Ledger;
use serde_json::Value;

use super::inbox_job::{InboxJob, Outcome as JobOutcome, put_away};
use super::log_error::log_error;

/// The result of work on a run.
pub(super) struct WorkResult {
    pub(super) taken: InboxJob,
    pub(super) next: NextStep,
}

/// What the daemon does next with a run.
pub(super) enum NextStep {
    /// Resumes it.
    Resume,
    /// Resumes it after a wait.
    ResumeLater,
    /// Puts its job file away, with this report.
    PutAway(JobOutcome, Value),
}

/// The runs that wait: to resume, or for their job files to be put away.
#[derive(Default)]
pub(super) struct RunQueue {
    /// The ids of all runs whose job files are in `running`.
    pub(super) known: HashSet<String>,
    /// The names of the jobs under way, by run.
    active: BTreeMap<String, String>,
    /// Runs that resume at a moment.
    waiting: Vec<(Instant, InboxJob)>,
    /// Runs that have ended, whose job files must be put away.
    over: Vec<EndedRun>,
}

struct EndedRun {
    taken: InboxJob,
    outcome: JobOutcome,
    report: Value,
    /// When putting it away is tried, again if it failed.
    due: Instant,
    has_failed: bool,
}

impl RunQueue {
    /// Takes up to `room` runs that resume now.
    pub(super) fn due(&mut self, room: usize) -> Vec<InboxJob> {
        let now = Instant::now();
        let mut next = Vec::new();
        self.waiting.retain(|(at, taken)| {
            let is_due = *at <= now && next.len() < room;
            if is_due {
                next.push(taken.clone());
            }
            !is_due
        });
        next
    }

    /// Notes that a run is under way.
    pub(super) fn start(&mut self, taken: &InboxJob) {
        self.known.insert(taken.run.clone());
        self.active.insert(taken.run.clone(), taken.name.clone());
    }

    /// The names of the jobs under way, the earliest first.
    pub(super) fn active(&self) -> impl Iterator<Item = &str> {
        self.active.values().map(String::as_str)
    }

    /// Adds a run that begins as soon as there is room.
    pub(super) fn add(&mut self, taken: InboxJob) {
        self.record(WorkResult { taken, next: NextStep::Resume });
    }

    /// Notes the result of work on a run.
    pub(super) fn record(&mut self, WorkResult { taken, next }: WorkResult) {
        self.known.insert(taken.run.clone());
        self.active.remove(&taken.run);
        let now = Instant::now();
        match next {
            NextStep::Resume => self.waiting.push((now, taken)),
            NextStep::ResumeLater => {
                self.waiting.push((now + RESUME_WAIT, taken));
            }
            NextStep::PutAway(outcome, report) => {
                self.over.push(EndedRun { taken, outcome, report, due: now, has_failed: false });
            }
        }
    }

    /// Tries at once to put away what could not be: the inbox is whole again.
    pub(super) fn try_again_now(&mut self) {
        let now = Instant::now();
        self.over.iter_mut().for_each(|over| over.due = now);
    }

    /// Puts the job files of ended runs away. A failure is logged once, and tried again.
    pub(super) fn put_away(&mut self, ledger: &Ledger, inbox: &Path) {
        for mut over in std::mem::take(&mut self.over) {
            if over.due > Instant::now() {
                self.over.push(over);
                continue;
            }
            let (run, taken) = (over.taken.run.clone(), &over.taken);
            match put_away(inbox, taken, over.outcome, &over.report) {
                Ok(path) => {
                    self.known.remove(&run);
                    log_error(ledger.put_away(&run, &path));
                }
                Err(error) => {
                    if !over.has_failed {
                        tracing::error!("{error}: it is tried again each minute");
                    }
                    over.has_failed = true;
                    over.due = Instant::now() + RESUME_WAIT;
                    self.over.push(over);
                }
            }
        }
    }
}
