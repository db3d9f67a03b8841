//! Server-sent events: what happens to runs, as it happens. A reader that was away goes on after the last event
//! that it has.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use longshore_run::ledger::RunEvent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, interval, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use super::answer::ApiError;
use super::caller::{Credential, Peer};
use super::extract::Params;
use super::feed::News;
use super::guard::authenticated;
use super::limits::{
    KEEP_ALIVE_SECS, REVOCATION_LOOK_SECS, SLOW_READER_SECS, STREAM_BUFFER_EVENTS,
};
use super::run_stream::LogReader;
use super::state::SharedState;

/// The header with the id of the last event that a reader has.
pub(super) const LAST_EVENT_ID: &str = "last-event-id";

/// Past events that are read at a time.
const BATCH: u64 = 200;

/// Which events a reader wants.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    /// Only those of this run, and the lines of its log.
    run: Option<String>,
    /// Those after the event of this id; from now on, if absent.
    after: Option<i64>,
}

/// A stream of events to one reader.
struct Stream {
    state: SharedState,
    news: Receiver<Arc<News>>,
    run: Option<String>,
    log: Option<LogReader>,
    /// The id of the last event that was sent.
    sent: i64,
    /// What it was opened with.
    credential: Option<Credential>,
    reader: Reader,
    _place: OwnedSemaphorePermit,
}

/// A reader, by way of a bounded buffer.
struct Reader {
    buffer: mpsc::Sender<Bytes>,
    disconnect: CancellationToken,
}

/// The reader is gone, or too slow.
struct ReaderGone;

pub(super) async fn events(
    State(state): State<SharedState>,
    Params(query): Params<EventsQuery>,
    headers: HeaderMap,
    peer: Peer,
    Extension(credential): Extension<Option<Credential>>,
) -> Result<Response, ApiError> {
    let place = state.stream()?;
    // First of all: whatever comes while the past is read is not lost.
    let news = state.feed.subscribe();
    let last = state.read(|state| state.ledger.last_event()).await?;
    let header = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.parse().ok());
    let (buffer, receiver) = mpsc::channel(STREAM_BUFFER_EVENTS);
    let stream = Stream {
        news,
        sent: header.or(query.after).map_or(last, |after| after.min(last)),
        log: query.run.as_deref().map(LogReader::of),
        run: query.run,
        credential,
        reader: Reader { buffer, disconnect: peer.disconnect },
        state,
        _place: place,
    };
    tokio::spawn(stream.serve());
    let body = futures::stream::unfold(receiver, |mut receiver| async {
        let bytes = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(bytes), receiver))
    });
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response())
}

impl Stream {
    async fn serve(mut self) {
        if self.reader.comment("the events of longshore").await.is_ok() {
            let Err(ReaderGone) = self.follow().await;
        }
    }

    async fn follow(&mut self) -> Result<std::convert::Infallible, ReaderGone> {
        self.catch_up().await?;
        let mut look = interval(Duration::from_secs(REVOCATION_LOOK_SECS));
        let keep_alive = Duration::from_secs(KEEP_ALIVE_SECS);
        let mut keep_alive = interval_at(Instant::now() + keep_alive, keep_alive);
        loop {
            tokio::select! {
                _ = look.tick() => self.check_credential().await?,
                news = self.news.recv() => match news {
                    Ok(news) => self.tell(&news).await?,
                    // It was too slow for the feed: the ledger has it all.
                    Err(RecvError::Lagged(_)) => self.catch_up().await?,
                    Err(RecvError::Closed) => return Err(ReaderGone),
                },
                lines = LogReader::next(&mut self.log) => {
                    for line in lines {
                        self.reader.event(None, "log", &line).await?;
                    }
                }
                _ = keep_alive.tick() => self.reader.comment("alive").await?,
                () = self.reader.buffer.closed() => return Err(ReaderGone),
            }
        }
    }

    /// Ends when the token was revoked, or the session has ended.
    async fn check_credential(&self) -> Result<(), ReaderGone> {
        let Some(credential) = self.credential.clone() else { return Ok(()) };
        authenticated(&self.state, credential).await.map(|_| ()).map_err(|_| ReaderGone)
    }

    /// Sends what the ledger has after the last event that was sent.
    async fn catch_up(&mut self) -> Result<(), ReaderGone> {
        loop {
            let (sent, run) = (self.sent, self.run.clone());
            let read = move |state: &super::state::ApiState| {
                state.ledger.events_after(sent, run.as_deref(), BATCH)
            };
            let events = self.state.read(read).await.map_err(|_| ReaderGone)?;
            for event in &events {
                self.tell_event(event).await?;
            }
            if (events.len() as u64) < BATCH {
                return Ok(());
            }
        }
    }

    async fn tell(&mut self, news: &News) -> Result<(), ReaderGone> {
        match news {
            News::Event(event) => {
                if event.event.id > self.sent && self.is_wanted(&event.run) {
                    self.tell_event(event).await?;
                }
            }
            News::Progress(active) => {
                let wanted: Vec<_> = active.iter().filter(|a| self.is_wanted(&a.run)).collect();
                self.reader.event(None, "progress", &wanted).await?;
            }
        }
        Ok(())
    }

    async fn tell_event(&mut self, event: &RunEvent) -> Result<(), ReaderGone> {
        self.reader.event(Some(event.event.id), "run", event).await?;
        self.sent = event.event.id;
        Ok(())
    }

    fn is_wanted(&self, run: &str) -> bool {
        self.run.as_deref().is_none_or(|wanted| wanted == run)
    }
}

impl Reader {
    async fn event(
        &self,
        id: Option<i64>,
        name: &str,
        data: &impl Serialize,
    ) -> Result<(), ReaderGone> {
        let data = serde_json::to_string(data).map_err(|_| ReaderGone)?;
        let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        self.send(format!("{id}event: {name}\ndata: {data}\n\n")).await
    }

    async fn comment(&self, text: &str) -> Result<(), ReaderGone> {
        self.send(format!(": {text}\n\n")).await
    }

    /// Sends, unless the buffer stays full: then the reader is disconnected, and goes on later where it was.
    async fn send(&self, text: String) -> Result<(), ReaderGone> {
        let patience = Duration::from_secs(SLOW_READER_SECS);
        match timeout(patience, self.buffer.send(text.into())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(ReaderGone),
            Err(_) => {
                self.disconnect.cancel();
                Err(ReaderGone)
            }
        }
    }
}
