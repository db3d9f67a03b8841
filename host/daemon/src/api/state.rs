//! What the API's handlers work with.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use longshore_model::config::Settings;
use longshore_model::error::{Error, Result};
use longshore_plugins::Plugins;
use longshore_run::ledger::Ledger;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use super::answer::ApiError;
use super::audit::AuditLog;
use super::feed::Feed;
use super::limits::{
    INSPECTION_LIMIT, READER_LIMIT, REQUEST_SECS, STREAM_LIMIT, WAITING_INSPECTION_LIMIT,
};
use super::site::Site;
use crate::active_runs::ActiveRuns;
use crate::schedules::Schedules;
use crate::submissions::Submissions;

/// The stack of a thread that plans: deep SQL is walked on it.
const INSPECTION_STACK_BYTES: usize = 64 << 20;

/// The state of the API, which its handlers share.
pub(super) type SharedState = Arc<ApiState>;

/// What the API's handlers work with.
pub(super) struct ApiState {
    /// A connection of its own: whoever looks keeps no run waiting.
    pub(super) ledger: Ledger,
    pub(super) submissions: Submissions,
    pub(super) schedules: Option<Schedules>,
    pub(super) active: ActiveRuns,
    pub(super) settings: Arc<Mutex<Settings>>,
    pub(super) plugins: Arc<Plugins>,
    pub(super) compute: Handle,
    /// Where the files lie that a submitted job names.
    pub(super) inbox: PathBuf,
    pub(super) jobs_at_once: usize,
    pub(super) started: DateTime<Utc>,
    pub(super) site: Site,
    pub(super) audit: AuditLog,
    pub(super) feed: Feed,
    pub(super) turns: Turns,
    /// The OpenAPI document.
    pub(super) document: Value,
}

/// How many requests do what takes time.
pub(super) struct Turns {
    readers: Arc<Semaphore>,
    inspections: Arc<Semaphore>,
    waiting_inspections: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            readers: Arc::new(Semaphore::new(READER_LIMIT)),
            inspections: Arc::new(Semaphore::new(INSPECTION_LIMIT)),
            waiting_inspections: Arc::new(Semaphore::new(WAITING_INSPECTION_LIMIT)),
            streams: Arc::new(Semaphore::new(STREAM_LIMIT)),
        }
    }
}

impl ApiState {
    pub(super) fn settings(&self) -> Settings {
        self.settings.lock().clone()
    }

    /// Reads the ledger or the disk, where no run waits for it.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let _turn = acquire(&self.turns.readers).await?;
        let state = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&state)).await;
        let done = done.map_err(|error| Error::internal(error.to_string()))?;
        Ok(done?)
    }

    /// Plans or asks a source, on a thread of its own with a large stack. What does not end in time goes on alone,
    /// and keeps its turn.
    pub(super) async fn inspect<T, F>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> F + Send + 'static,
    ) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>>,
    {
        let waiting = self.turns.waiting_inspections.clone().try_acquire_owned();
        let waiting = waiting.map_err(|_| ApiError::too_many("requests that ask a source"))?;
        let turn = acquire(&self.turns.inspections).await?;
        drop(waiting);
        let (send, receive) = oneshot::channel();
        let (state, io) = (self.clone(), Handle::current());
        let thread = std::thread::Builder::new().name("inspection".into());
        let spawned = thread.stack_size(INSPECTION_STACK_BYTES).spawn(move || {
            let patience = Duration::from_secs(REQUEST_SECS);
            let work =
                AssertUnwindSafe(|| io.block_on(async { timeout(patience, work(state)).await }));
            let done = std::panic::catch_unwind(work);
            drop(turn);
            // Nobody waits any more.
            let _ = send.send(done);
        });
        spawned.map_err(|error| Error::io("starting a thread", error))?;
        match receive.await {
            Ok(Ok(Ok(done))) => Ok(done?),
            Ok(Ok(Err(_))) => Err(ApiError::timeout(
                StatusCode::FAILED_DEPENDENCY,
                "the source did not answer in time",
            )),
            _ => Err(Error::internal("the request panicked")
                .with_hint("this is a fault of Longshore: report it, with the log")
                .into()),
        }
    }

    /// A place for one more stream, until it is dropped.
    pub(super) fn stream(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let place = self.turns.streams.clone().try_acquire_owned();
        place.map_err(|_| ApiError::too_many("event streams"))
    }
}

async fn acquire(turns: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ApiError> {
    let turn = turns.clone().acquire_owned().await;
    turn.map_err(|_| Error::internal("the API has ended").into())
}
