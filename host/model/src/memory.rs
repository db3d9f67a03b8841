//! One memory budget for the process. What is held (batches, component memories, encoders, uploads)
//! is counted here; a chunk is begun only when there is room for it, and encoders write out early
//! when there is none left. One chunk is always let in: with little memory a run is slower, and
//! does not fail.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// What the process needs before it holds any rows: its code, the compiled components, threads.
pub const BASELINE_BYTES: u64 = 48 << 20;

/// What a chunk is expected to hold, before it has begun: its component, its batches, its encoder.
pub const CHUNK_ESTIMATE_BYTES: u64 = 16 << 20;

/// What each column of it is expected to add.
pub const COLUMN_ESTIMATE_BYTES: u64 = 48 << 10;

/// The smallest budget.
pub const MIN_BUDGET_BYTES: u64 = 64 << 20;

/// The largest budget that is chosen without being asked for.
pub const MAX_AUTOMATIC_BUDGET_BYTES: u64 = 4 << 30;

/// Work that computes over all rows at once, and spills what does not fit into its share of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// The SQL of transforms, all plans together.
    Sql,
    /// Load modes, which join rows with those that are there.
    Load,
    /// Checks that need all rows.
    Checks,
}

impl Share {
    /// The bytes that such work of this process may hold.
    pub fn bytes(self) -> u64 {
        self.of(memory().limit())
    }

    /// What it may hold however small the budget is: sorting needs as much.
    pub const fn least_bytes(self) -> u64 {
        match self {
            Self::Sql | Self::Checks => 64 << 20,
            Self::Load => 16 << 20,
        }
    }

    /// The part of the budget, in words.
    pub const fn fraction(self) -> &'static str {
        match self {
            Self::Sql | Self::Load => "a half",
            Self::Checks => "a quarter",
        }
    }

    fn of(self, limit_bytes: u64) -> u64 {
        let parts = match self {
            Self::Sql | Self::Load => 2,
            Self::Checks => 4,
        };
        (limit_bytes / parts).max(self.least_bytes())
    }
}

/// The process's budget.
#[derive(Debug)]
pub struct Memory {
    limit: AtomicU64,
    used: AtomicU64,
    peak: AtomicU64,
    chunks: AtomicU64,
    /// What the chunks that are let in are expected to hold.
    expected: AtomicU64,
    looking: Mutex<()>,
    freed: Notify,
}

/// The one of this process.
pub fn memory() -> &'static Memory {
    static MEMORY: LazyLock<Memory> = LazyLock::new(|| Memory::new(automatic_budget()));
    &MEMORY
}

/// A quarter of the machine's memory, or of what its control group may use.
pub fn automatic_budget() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| {
        let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        Some(kib.trim().trim_end_matches(" kB").parse::<u64>().ok()? << 10)
    });
    let own = read("/proc/self/cgroup").unwrap_or_default();
    let groups = control_groups(&own).into_iter().filter_map(|group| {
        read(&format!("/sys/fs/cgroup{group}/memory.max"))?.trim().parse().ok()
    });
    let all = machine.into_iter().chain(groups).min().unwrap_or(4 * MIN_BUDGET_BYTES);
    (all / 4).clamp(MIN_BUDGET_BYTES, MAX_AUTOMATIC_BUDGET_BYTES)
}

/// This process's control group and all that hold it, up to the root: each can limit its memory.
fn control_groups(own: &str) -> Vec<&str> {
    let Some(path) = own.lines().find_map(|line| line.strip_prefix("0::")) else { return vec![""] };
    let path = path.trim_end_matches('/');
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.map(|end| &path[..end]).collect()
}

/// What is larger is given back to the system as soon as it is freed. Below it, the allocator keeps some.
const KEPT_ALLOCATION_LIMIT_BYTES: libc::c_int = 4 << 20;

/// Threads that compute hardly wait for each other's arenas; the others share what is left.
const ARENAS_BESIDE_CORES: usize = 1;

/// Whether this process keeps little of what was freed. In a program of somebody else's, that is not for us to say.
static KEEPS_LITTLE: AtomicBool = AtomicBool::new(false);

/// Has the allocator keep little of what was freed: without it, it keeps up to 32 MiB a piece for each thread, of
/// which there are more than cores. To be called before there are threads.
pub fn keep_little_memory(cores: usize) {
    KEEPS_LITTLE.store(true, Ordering::Relaxed);
    #[cfg(target_env = "gnu")]
    {
        let arenas = cores.saturating_add(ARENAS_BESIDE_CORES);
        // SAFETY: it only sets what the allocator goes by.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT_ALLOCATION_LIMIT_BYTES);
            libc::mallopt(libc::M_TRIM_THRESHOLD, 2 * KEPT_ALLOCATION_LIMIT_BYTES);
            libc::mallopt(libc::M_ARENA_MAX, arenas.try_into().unwrap_or(libc::c_int::MAX));
        }
    }
}

/// Gives back to the system what was freed, where [`keep_little_memory`] was called: the allocator keeps it, in
/// pieces, for each thread.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    if KEEPS_LITTLE.load(Ordering::Relaxed) {
        // SAFETY: it may be called at any time, from any thread.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

impl Memory {
    fn new(budget: u64) -> Self {
        let memory = Self {
            limit: AtomicU64::new(0),
            used: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            chunks: AtomicU64::new(0),
            expected: AtomicU64::new(0),
            looking: Mutex::default(),
            freed: Notify::new(),
        };
        memory.set_budget(budget);
        memory
    }

    /// Sets the budget, from now on.
    pub fn set_budget(&self, bytes: u64) {
        let room = bytes.saturating_sub(BASELINE_BYTES).max(CHUNK_ESTIMATE_BYTES);
        self.limit.store(room, Ordering::Relaxed);
        self.freed.notify_waiters();
    }

    /// What may be held, besides the baseline.
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// What is held.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The most that was held.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Whether more is held than should be: what can be written out is.
    pub fn is_over_budget(&self) -> bool {
        self.used() > self.limit()
    }

    /// A count of what somebody holds; it is over when it is dropped.
    pub fn account(&'static self) -> Account {
        Account { memory: self, bytes: 0 }
    }

    /// Waits until there is room for one more chunk, of so many columns. Those before it held so many bytes at
    /// the most.
    pub async fn admit(&'static self, columns: usize, largest_bytes: u64) -> Admission {
        let estimate = CHUNK_ESTIMATE_BYTES + COLUMN_ESTIMATE_BYTES * columns as u64;
        let expected = estimate.max(largest_bytes);
        loop {
            // Before looking: what becomes free meanwhile is not missed.
            let freed = self.freed.notified();
            if let Some(admission) = self.try_admit(expected) {
                return admission;
            }
            freed.await;
        }
    }

    fn try_admit(&'static self, expected: u64) -> Option<Admission> {
        // One at a time: a chunk that is being let in is seen by the next.
        let _looking = self.looking.lock();
        let chunks = self.chunks.load(Ordering::Relaxed);
        // A chunk that has begun may not hold yet what it will.
        let held = self.used().max(self.expected.load(Ordering::Relaxed));
        let mean = self.used() / chunks.max(1);
        if chunks > 0 && held + expected.max(mean) > self.limit() {
            return None;
        }
        self.chunks.fetch_add(1, Ordering::Relaxed);
        self.expected.fetch_add(expected, Ordering::Relaxed);
        Some(Admission { memory: self, expected })
    }
}

/// A count of bytes that are held.
#[derive(Debug)]
pub struct Account {
    memory: &'static Memory,
    bytes: u64,
}

impl Account {
    /// How many bytes it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Now it is so many bytes.
    pub fn set(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        let memory = self.memory;
        if bytes > self.bytes {
            let more = bytes - self.bytes;
            let used = memory.used.fetch_add(more, Ordering::Relaxed) + more;
            memory.peak.fetch_max(used, Ordering::Relaxed);
        } else if bytes < self.bytes {
            memory.used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
            memory.freed.notify_waiters();
        }
        self.bytes = bytes;
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// A chunk's admission.
#[derive(Debug)]
pub struct Admission {
    memory: &'static Memory,
    expected: u64,
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.memory.chunks.fetch_sub(1, Ordering::Relaxed);
        self.memory.expected.fetch_sub(self.expected, Ordering::Relaxed);
        self.memory.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_control_group_above_this_process_counts() {
        let service = "0::/system.slice/longshore.service\n";
        let groups = ["", "/system.slice", "/system.slice/longshore.service"];
        assert_eq!(control_groups(service), groups);
        assert_eq!(control_groups("0::/\n"), [""]);
        assert_eq!(control_groups("4:memory:/old\n"), [""]);
    }

    #[test]
    fn shares_have_what_sorting_needs_however_small_the_budget_is() {
        let shares = [Share::Sql, Share::Load, Share::Checks];
        assert_eq!(shares.map(|share| share.of(16 << 20) >> 20), [64, 16, 64]);
        assert_eq!(shares.map(|share| share.of(1 << 30) >> 20), [512, 512, 256]);
    }

    fn leaked(budget: u64) -> &'static Memory {
        Box::leak(Box::new(Memory::new(budget)))
    }

    #[tokio::test]
    async fn one_chunk_is_let_in_however_little_there_is() {
        let memory = leaked(0);
        let mut held = memory.account();
        held.set(1 << 40);
        let first = memory.admit(0, 0).await;
        assert!(memory.try_admit(0).is_none());
        drop(first);
        drop(memory.admit(0, 0).await);
    }

    #[tokio::test]
    async fn wide_chunks_are_let_in_one_after_the_other() {
        let memory = leaked(BASELINE_BYTES + (80 << 20));
        let _one = memory.admit(1_600, 0).await;
        assert!(memory.try_admit(CHUNK_ESTIMATE_BYTES).is_none());
    }

    #[tokio::test]
    async fn chunks_are_let_in_by_what_those_before_them_hold() {
        let memory = leaked(BASELINE_BYTES + (100 << 20));
        let _one = memory.admit(0, 0).await;
        let mut held = memory.account();
        held.set(40 << 20);
        let two = memory.admit(0, 0).await;
        held.set(80 << 20);
        assert!(memory.try_admit(0).is_none(), "two hold 80 MiB, a third would not fit");
        let waiting = tokio::spawn(memory.admit(0, 0));
        tokio::task::yield_now().await;
        drop(two);
        held.set(10 << 20);
        waiting.await.unwrap();
        assert_eq!(memory.peak(), 80 << 20);
    }
}
