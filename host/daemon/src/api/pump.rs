//! The pump: it looks for what is new, and gives it to the feed. What this process writes is found at once, and
//! what others write at the next look.

use std::time::Duration;

use longshore_model::error::Result;
use longshore_run::ledger::RunEvent;
use tokio::sync::watch;
use tokio::time::{interval, sleep};

use super::feed::News;
use super::overview::active;
use super::state::SharedState;

/// How often it looks, also without news, and how often progress is told.
const LOOK_MILLIS: u64 = 500;

/// What is written shortly after each other is read together.
const GATHER_MILLIS: u64 = 20;

/// Events that are read at a time.
const BATCH: u64 = 500;

/// Feeds the streams with the events after the `last` one, for ever. Nobody may be served before `last` is read:
/// who begins to read asks the ledger for what was before.
pub(super) async fn pump(state: SharedState, mut last: i64, mut changes: watch::Receiver<()>) {
    let mut was_active = false;
    let mut looks = interval(Duration::from_millis(LOOK_MILLIS));
    loop {
        tokio::select! {
            Ok(()) = changes.changed(), if state.feed.has_readers() => {
                sleep(Duration::from_millis(GATHER_MILLIS)).await;
            }
            _ = looks.tick() => was_active = tell_progress(&state, was_active).await,
        }
        match new_events(&state, last).await {
            Ok(events) => {
                last = events.last().map_or(last, |event| event.event.id);
                events.into_iter().for_each(|event| state.feed.send(News::Event(event)));
            }
            Err(()) => sleep(Duration::from_millis(LOOK_MILLIS)).await,
        }
    }
}

/// The events after the `last` one.
async fn new_events(state: &SharedState, last: i64) -> Result<Vec<RunEvent>, ()> {
    let read = state.read(move |state| {
        let mut all: Vec<RunEvent> = Vec::new();
        loop {
            let id = all.last().map_or(last, |event| event.event.id);
            let events = state.ledger.events_after(id, None, BATCH)?;
            let is_all = (events.len() as u64) < BATCH;
            all.extend(events);
            if is_all {
                return Ok(all);
            }
        }
    });
    read.await.map_err(|error| tracing::debug!("{error:?}"))
}

/// Tells how far the active runs are, and once more when none is left. Gives whether there are any.
async fn tell_progress(state: &SharedState, was_active: bool) -> bool {
    if !state.feed.has_readers() {
        return false;
    }
    let Ok(active) = state.read(active).await else { return was_active };
    let is_active = !active.is_empty();
    if is_active || was_active {
        state.feed.send(News::Progress(active));
    }
    is_active
}
