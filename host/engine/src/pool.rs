//! Open sessions that wait for their next use.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use longshore_sandbox::{Instance, Kind};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::timeout;

/// How long a session may take to close in order.
const CLOSE_TIMEOUT_SECS: u64 = 5;

/// Sessions that are open and idle, and a count of those that are in use. Clones share them.
pub(crate) struct Pool<T>(Arc<Inner<T>>);

struct Inner<T> {
    idle: Mutex<Vec<T>>,
    in_use: AtomicUsize,
    freed: Arc<Notify>,
}

impl<T> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        let (idle, in_use, freed) = Default::default();
        Self(Arc::new(Inner { idle, in_use, freed }))
    }
}

impl<T> Pool<T> {
    /// Takes an idle session.
    pub(crate) fn take(&self) -> Option<T> {
        self.idle(|idle| idle.pop())
    }

    /// Takes an idle session of which this is true.
    pub(crate) fn take_where(&self, is_wanted: impl Fn(&T) -> bool) -> Option<T> {
        self.idle(|idle| idle.iter().position(is_wanted).map(|at| idle.swap_remove(at)))
    }

    /// Puts a session back that is in order.
    pub(crate) fn put(&self, session: T) {
        self.idle(|idle| idle.push(session));
    }

    /// Puts a session back that is in order. If more than so many are idle, the oldest is dropped.
    pub(crate) fn put_at_most(&self, session: T, limit: usize) {
        self.idle(|idle| {
            if idle.len() >= limit {
                idle.remove(0);
            }
            idle.push(session);
        });
    }

    /// Takes all that are idle.
    pub(crate) fn drain(&self) -> Vec<T> {
        self.idle(std::mem::take)
    }

    /// Counts a session as in use until the lease is dropped.
    pub(crate) fn lease(&self) -> Lease<T> {
        self.0.in_use.fetch_add(1, Ordering::SeqCst);
        Lease(self.clone())
    }

    /// Whether any session is in use.
    pub(crate) fn is_in_use(&self) -> bool {
        self.0.in_use.load(Ordering::SeqCst) > 0
    }

    /// Resolves when a lease ends after this call.
    pub(crate) fn freed(&self) -> OwnedNotified {
        self.0.freed.clone().notified_owned()
    }

    fn idle<R>(&self, with: impl FnOnce(&mut Vec<T>) -> R) -> R {
        with(&mut self.0.idle.lock())
    }
}

/// A session that is in use.
pub(crate) struct Lease<T>(Pool<T>);

impl<T> Drop for Lease<T> {
    fn drop(&mut self) {
        self.0.0.in_use.fetch_sub(1, Ordering::SeqCst);
        self.0.0.freed.notify_waiters();
    }
}

/// Closes a plugin's session in order; one that takes too long is dropped.
pub(crate) async fn close<K: Kind>(session: Instance<K>) {
    let closing = timeout(Duration::from_secs(CLOSE_TIMEOUT_SECS), session.end());
    if let Ok(Err(error)) = closing.await {
        tracing::debug!("closing a session: {error}");
    }
}
