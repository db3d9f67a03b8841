//! Threads beside the workers, for work that would otherwise wait for the work behind it. A task would not do: the
//! worker that takes what a task made is the one that goes on with the task.

use std::future::Future;
use std::sync::{Arc, LazyLock};

use longshore_model::config::settings::cores;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, spawn_blocking};

/// Threads for one kind of work, one for each core: with so many, all are busy.
pub(super) struct Threads(LazyLock<Arc<Semaphore>>);

/// Those of readers of chunks, which also wait for their source.
pub(super) static READERS: Threads = Threads::new();

/// Those that make pieces of files: unpacked, or cut.
pub(super) static MAKERS: Threads = Threads::new();

/// The right to a thread of its own.
pub(super) struct OwnThread(OwnedSemaphorePermit);

impl Threads {
    const fn new() -> Self {
        Self(LazyLock::new(|| Arc::new(Semaphore::new(cores()))))
    }

    /// A thread, unless there are as many as cores.
    pub(super) fn claim(&self) -> Option<OwnThread> {
        self.0.clone().try_acquire_owned().ok().map(OwnThread)
    }
}

impl OwnThread {
    /// Works on the thread. It cannot be aborted: the work ends by itself when nobody wants it.
    pub(super) fn spawn<T: Send + 'static>(
        self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        spawn_blocking(move || self.block_on(work))
    }

    /// Works on this thread, which is one for work that blocks.
    pub(super) fn block_on<T>(self, work: impl Future<Output = T>) -> T {
        let done = Handle::current().block_on(work);
        drop(self.0);
        done
    }
}
