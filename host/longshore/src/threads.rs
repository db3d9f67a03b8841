//! The threads on which Longshore works. They are its own: a caller's runtime may be busy, have one thread, or end,
//! and a caller's stack may be too small for deep SQL.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use longshore_model::config::settings::cores;
use longshore_model::error::{Error, Result};
use parking_lot::{Condvar, Mutex};
use tokio::runtime::{Builder, Runtime};

/// Threads that serve connections and timers; what computes has its own.
const IO_THREADS: usize = 2;

/// A thread's stack: deep SQL is walked on it. Only what is used of it takes memory.
const STACK_BYTES: usize = 64 << 20;

/// Longshore's two runtimes.
pub struct Threads {
    /// Serves connections and timers.
    pub io: Runtime,
    /// Decodes, transforms, encodes.
    pub compute: Runtime,
}

/// Those of this process. They start when they are first needed, and stay.
pub fn threads() -> Result<&'static Threads> {
    static THREADS: OnceLock<Threads> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    let _turn = STARTING.lock();
    if let Some(threads) = THREADS.get() {
        return Ok(threads);
    }
    let started = Threads { io: start("io", IO_THREADS)?, compute: start("compute", cores())? };
    Ok(THREADS.get_or_init(|| started))
}

fn start(name: &str, threads: usize) -> Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(name)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .map_err(|error| Error::io("starting threads", error))
}

/// Does something on a stack of its own, and waits for it: what is read may be deep.
pub fn on_large_stack<T: Send, E: From<Error> + Send>(
    work: impl FnOnce() -> Result<T, E> + Send,
) -> Result<T, E> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("main".into()).stack_size(STACK_BYTES);
        let fault = |error| E::from(Error::io("starting a thread", error));
        match thread.spawn_scoped(scope, work).map_err(fault)?.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// How much is under way in this process.
static UNDER_WAY: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// Something that is under way, until it is dropped.
pub(crate) struct UnderWay(());

impl UnderWay {
    pub(crate) fn begin() -> Self {
        *UNDER_WAY.lock() += 1;
        Self(())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        *UNDER_WAY.lock() -= 1;
        ENDED.notify_all();
    }
}

/// Waits until no run is under way in this process, those among them that were dropped and remove what they left.
/// Gives whether that was so in time. To be called before a process ends that has dropped runs.
pub fn wait_until_idle(patience: Duration) -> bool {
    let until = Instant::now() + patience;
    let mut under_way = UNDER_WAY.lock();
    while *under_way > 0 {
        if ENDED.wait_until(&mut under_way, until).timed_out() {
            return *under_way == 0;
        }
    }
    true
}
