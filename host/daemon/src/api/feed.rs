//! The feed: one task reads what is new, and all event streams get it.

use std::sync::Arc;

use longshore_run::ledger::RunEvent;
use tokio::sync::broadcast::{Receiver, Sender, channel};

use super::limits::STREAM_BUFFER_EVENTS;
use super::progress::ActiveAnswer;

/// Something that event streams tell.
pub(super) enum News {
    /// Something happened to a run.
    Event(RunEvent),
    /// How far the active runs are.
    Progress(Vec<ActiveAnswer>),
}

/// What all event streams get.
pub(super) struct Feed(Sender<Arc<News>>);

impl Default for Feed {
    fn default() -> Self {
        Self(channel(STREAM_BUFFER_EVENTS).0)
    }
}

impl Feed {
    /// What comes from now on.
    pub(super) fn subscribe(&self) -> Receiver<Arc<News>> {
        self.0.subscribe()
    }

    pub(super) fn has_readers(&self) -> bool {
        self.0.receiver_count() > 0
    }

    pub(super) fn send(&self, news: News) {
        // Nobody reads.
        let _ = self.0.send(Arc::new(news));
    }
}
