//! What happens to a run, as a stream.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use longshore_model::error::{Class, Result};
use longshore_run::ledger::{AttemptRecord, Ledger, RunEvent};
use longshore_run::{Pace, Progress as Counters, RelationProgress as RelationCounters};
use tokio::sync::{mpsc, watch};
use tokio::time::interval;

use crate::threads::threads;

/// How often progress is told, if there is any.
const LOOK_MILLIS: u64 = 100;

/// Events that wait for a reader. Beyond them, progress in between is left out.
const WAITING_EVENTS: usize = 64;

/// Events of the ledger that are read at a time.
const EVENTS_AT_ONCE: u64 = 100;

/// What happens to a run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// It enters a phase: `planning`, `reading`, `committing`, `succeeded`, `failed` or `cancelled`.
    Phase {
        /// The run's id.
        run: String,
        /// The phase.
        phase: String,
    },
    /// It got on.
    Progress(Progress),
    /// An attempt at a chunk failed. It is tried again if its error passes and retries are left.
    AttemptFailed(FailedAttempt),
    /// Something else that people may want to know: what is tried again and why, a restart, checks that did not
    /// pass, columns that have changed.
    Note(String),
}

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// Rows read.
    pub rows: u64,
    /// Bytes read, as they are in memory.
    pub bytes: u64,
    /// The fraction that is read, from 0 to 1.
    pub fraction: f64,
    /// Rows per second, of late.
    pub rows_per_second: u64,
    /// Bytes per second, of late.
    pub bytes_per_second: u64,
    /// How long it takes from now, if that can be told.
    pub left: Option<Duration>,
    /// The relations, in the job's order.
    pub relations: Vec<RelationProgress>,
}

/// How far a relation is.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RelationProgress {
    /// Its name in the job.
    pub name: String,
    /// Its chunks.
    pub chunks: u64,
    /// Chunks done.
    pub chunks_done: u64,
    /// Rows read.
    pub rows: u64,
    /// Bytes read, as they are in memory.
    pub bytes: u64,
    /// Its estimated rows at the source.
    pub estimated_rows: Option<u64>,
    /// The fraction that is read, from 0 to 1.
    pub fraction: f64,
}

/// An attempt at a chunk that failed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FailedAttempt {
    /// The relation's name in the job.
    pub relation: String,
    /// The chunk.
    pub chunk: u64,
    /// The attempt's number, from 0.
    pub attempt: u32,
    /// Who must act.
    pub class: Class,
    /// What happened.
    pub message: String,
}

/// The events of a run.
pub struct Events(mpsc::Receiver<Event>);

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.poll_recv(context)
    }
}

/// Tells the events of a run, until it is over or nobody listens.
pub(crate) fn tell(
    recorded: watch::Receiver<Option<(Ledger, String)>>,
    progress: watch::Receiver<Option<Arc<Counters>>>,
) -> Events {
    let (sender, events) = mpsc::channel(WAITING_EVENTS);
    // Without threads there is no run, and nothing to tell.
    if let Ok(threads) = threads() {
        threads.io.spawn(Teller::new(recorded, progress).tell(sender));
    }
    Events(events)
}

/// What has been told of a run.
struct Teller {
    recorded: watch::Receiver<Option<(Ledger, String)>>,
    progress: watch::Receiver<Option<Arc<Counters>>>,
    /// The id of the last event of the ledger.
    last_event: i64,
    attempts: HashSet<(u32, String, u64, u32)>,
    pace: Option<(Arc<Counters>, Pace)>,
    last: Option<Vec<RelationProgress>>,
}

impl Teller {
    fn new(
        recorded: watch::Receiver<Option<(Ledger, String)>>,
        progress: watch::Receiver<Option<Arc<Counters>>>,
    ) -> Self {
        let attempts = HashSet::new();
        Self { recorded, progress, last_event: 0, attempts, pace: None, last: None }
    }

    async fn tell(mut self, sender: mpsc::Sender<Event>) {
        let mut looks = interval(Duration::from_millis(LOOK_MILLIS));
        let mut over = self.progress.clone();
        loop {
            let is_over = tokio::select! {
                _ = looks.tick() => false,
                // An error: the run is over, and its last progress is there.
                changed = over.changed() => changed.is_err(),
            };
            let news = self.news().unwrap_or_else(|error| {
                tracing::warn!("the events of a run: {error}");
                Vec::new()
            });
            for event in news {
                if sender.send(event).await.is_err() {
                    return;
                }
            }
            if is_over {
                return;
            }
        }
    }

    fn news(&mut self) -> Result<Vec<Event>> {
        let recorded = self.recorded.borrow().clone();
        let Some((ledger, run)) = recorded else { return Ok(Vec::new()) };
        let mut news = Vec::new();
        self.events(&ledger, &run, &mut news)?;
        for attempt in ledger.failed_attempts(&run)? {
            news.extend(self.attempt(attempt));
        }
        news.extend(self.progress().map(Event::Progress));
        Ok(news)
    }

    fn events(&mut self, ledger: &Ledger, run: &str, news: &mut Vec<Event>) -> Result<()> {
        loop {
            let events = ledger.events_after(self.last_event, Some(run), EVENTS_AT_ONCE)?;
            let Some(last) = events.last() else { return Ok(()) };
            self.last_event = last.event.id;
            news.extend(events.into_iter().map(event));
        }
    }

    /// An attempt that has not been told yet.
    fn attempt(&mut self, attempt: AttemptRecord) -> Option<Event> {
        let AttemptRecord { relation, chunk, attempt, restart, class, error, .. } = attempt;
        let is_new = self.attempts.insert((restart, relation.clone(), chunk, attempt));
        let class = class.and_then(|name| serde_json::from_value(name.into()).ok());
        let (class, message) = (class.unwrap_or(Class::Internal), error.unwrap_or_default());
        let failed = FailedAttempt { relation, chunk, attempt, class, message };
        is_new.then_some(Event::AttemptFailed(failed))
    }

    /// The progress, if there is any since it was told.
    fn progress(&mut self) -> Option<Progress> {
        let counters = self.progress.borrow().clone()?;
        let relations: Vec<_> = counters.relations.iter().map(|one| relation(one)).collect();
        if self.last.as_ref() == Some(&relations) {
            return None;
        }
        self.last = Some(relations.clone());
        let is_other = |(known, _): &(Arc<Counters>, Pace)| !Arc::ptr_eq(known, &counters);
        if self.pace.as_ref().is_none_or(is_other) {
            self.pace = Some((counters.clone(), Pace::new(&counters)));
        }
        let speed = self.pace.as_mut().map(|(_, pace)| pace.look(&counters)).unwrap_or_default();
        Some(Progress {
            rows: counters.rows(),
            bytes: counters.bytes(),
            fraction: counters.fraction(),
            rows_per_second: speed.rows_per_second,
            bytes_per_second: speed.bytes_per_second,
            left: speed.left,
            relations,
        })
    }
}

fn event(RunEvent { run, event, .. }: RunEvent) -> Event {
    match event.phase {
        Some(phase) => Event::Phase { run, phase },
        None => Event::Note(event.text),
    }
}

fn relation(counters: &RelationCounters) -> RelationProgress {
    RelationProgress {
        name: counters.name.clone(),
        chunks: counters.chunks,
        chunks_done: counters.chunks_done(),
        rows: counters.rows(),
        bytes: counters.bytes(),
        estimated_rows: counters.estimated_rows,
        fraction: counters.fraction(),
    }
}
