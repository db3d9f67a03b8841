//! What SQL that needs all rows computes in: memory that counts in the process's budget, and a folder for what does
//! not fit.

use std::fmt::{self, Display, Formatter};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use datafusion::common::DataFusionError;
use datafusion::error::Result as DfResult;
use datafusion::execution::disk_manager::{DiskManager, DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{
    FairSpillPool, GreedyMemoryPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SpillFile, TempFileFactory};
use longshore_model::config::settings::cores;
use longshore_model::memory::{Account, Share, memory};
use parking_lot::Mutex;
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

/// What each stream of rows needs that are sorted: at least one of them has it.
const STREAM_BYTES: u64 = Share::Sql.least_bytes();

/// Plans that need all rows at once and are carried out at the same time, where there is memory for so many.
const PLANS_AT_ONCE: u64 = 4;

/// What SQL of this process may hold, in equal shares for plans that need all rows at once.
pub(crate) struct SqlBudget {
    /// The bytes that each plan may hold.
    pub(crate) share_bytes: u64,
    /// The streams into which a plan may cut its rows.
    pub(crate) streams: usize,
    turns: Semaphore,
}

impl SqlBudget {
    fn new(bytes: u64) -> Self {
        let streams = (bytes / STREAM_BYTES).clamp(1, cores() as u64);
        let plans = (bytes / (streams * STREAM_BYTES)).clamp(1, PLANS_AT_ONCE);
        let turns = Semaphore::new(plans as usize);
        Self { share_bytes: bytes / plans, streams: streams as usize, turns }
    }

    /// The budget of this process.
    pub(crate) fn of_process() -> &'static Self {
        static BUDGET: LazyLock<SqlBudget> = LazyLock::new(|| SqlBudget::new(Share::Sql.bytes()));
        &BUDGET
    }

    /// Waits until there is memory for one more plan.
    pub(crate) async fn turn(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.turns.acquire().await
    }
}

/// Nodes of which a plan has as many as the source has chunks, and which pass on at once what does not fit.
const PASSING: [&str; 2] = ["PartialHashAggregateStream", "RepartitionExec"];

/// These nodes together hold at most SQL's memory divided by this.
const PASSING_PARTS: usize = 4;

/// Memory for SQL, shared fairly among what can spill. What is held counts in the process's budget.
#[derive(Debug)]
pub(crate) struct SqlMemory {
    pool: FairSpillPool,
    /// For nodes that pass rows on: most wait for their chunk and hold nothing, so that a fair share for each would leave
    /// nothing for the others.
    passing: GreedyMemoryPool,
    held: Mutex<Account>,
}

impl SqlMemory {
    /// Memory of so many bytes.
    pub(crate) fn new(bytes: u64) -> Arc<Self> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let passing = bytes / PASSING_PARTS;
        Arc::new(Self {
            pool: FairSpillPool::new(bytes - passing),
            passing: GreedyMemoryPool::new(passing),
            held: Mutex::new(memory().account()),
        })
    }

    fn pool_of(&self, consumer: &MemoryConsumer) -> &dyn MemoryPool {
        let is_passing = |node: &&str| consumer.name().starts_with(*node);
        if consumer.can_spill() && PASSING.iter().any(is_passing) {
            &self.passing
        } else {
            &self.pool
        }
    }

    fn count(&self) {
        // Counted anew within the lock: the last one to count sees all that was before.
        let mut held = self.held.lock();
        held.set(self.reserved());
    }
}

impl Display for SqlMemory {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.pool.fmt(f)
    }
}

impl MemoryPool for SqlMemory {
    fn name(&self) -> &str {
        "sql"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.pool_of(consumer).register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.pool_of(consumer).unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.pool_of(reservation.consumer()).grow(reservation, additional);
        self.count();
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.pool_of(reservation.consumer()).shrink(reservation, shrink);
        self.count();
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> DfResult<()> {
        self.pool_of(reservation.consumer()).try_grow(reservation, additional)?;
        self.count();
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.pool.reserved() + self.passing.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.pool.memory_limit()
    }
}

/// A runtime that spills into this folder, as much as fits on its disk. The folder is made when the first file is.
pub(crate) fn spilling_runtime(
    memory: Arc<dyn MemoryPool>,
    folder: &Path,
) -> DfResult<Arc<RuntimeEnv>> {
    let folder = SpillFolder { folder: folder.to_owned(), disk: Mutex::default() };
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Custom(Arc::new(folder)));
    RuntimeEnvBuilder::new().with_memory_pool(memory).with_disk_manager_builder(disk).build_arc()
}

/// A folder that is not there until it is needed.
struct SpillFolder {
    folder: PathBuf,
    disk: Mutex<Option<Arc<DiskManager>>>,
}

impl SpillFolder {
    fn disk(&self) -> DfResult<Arc<DiskManager>> {
        let mut disk = self.disk.lock();
        if let Some(disk) = disk.as_ref() {
            return Ok(disk.clone());
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(DataFusionError::IoError)?;
        let folders = DiskManagerMode::Directories(vec![self.folder.clone()]);
        let builder = DiskManagerBuilder::default().with_mode(folders);
        let made = Arc::new(builder.with_max_temp_directory_size(u64::MAX).build()?);
        Ok(disk.insert(made).clone())
    }
}

impl TempFileFactory for SpillFolder {
    fn create_temp_file(&self, description: &str) -> DfResult<Arc<dyn SpillFile>> {
        self.disk()?.create_tmp_file(description)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_memory_for_each_of_its_streams() {
        for mib in [64, 100, 128, 500, 2_048, 65_536] {
            let budget = SqlBudget::new(mib << 20);
            assert!(budget.share_bytes >= STREAM_BYTES * budget.streams as u64, "{mib} MiB");
        }
        assert_eq!(SqlBudget::new(64 << 20).streams, 1);
    }

    #[test]
    fn what_sql_holds_counts_in_the_budget() {
        let sql = SqlMemory::new(1 << 20);
        let pool: Arc<dyn MemoryPool> = sql.clone();
        let held = MemoryConsumer::new("rows").register(&pool);
        held.try_grow(1_000).unwrap();
        assert_eq!(sql.held.lock().bytes(), 1_000);
        assert!(held.try_grow(1 << 20).is_err());
        assert_eq!(sql.held.lock().bytes(), 1_000);
        drop(held);
        assert_eq!(sql.held.lock().bytes(), 0);
    }

    #[test]
    fn nodes_that_wait_for_their_chunk_leave_the_others_their_share() {
        let pool: Arc<dyn MemoryPool> = SqlMemory::new(1 << 20);
        let spilling =
            |name: String| MemoryConsumer::new(name).with_can_spill(true).register(&pool);
        let node = |number| spilling(format!("PartialHashAggregateStream[{number}]"));
        let waiting: Vec<_> = (0..1_000).map(node).collect();
        let sort = spilling("ExternalSorter[0]".into());
        sort.try_grow(700 << 10).unwrap();
        waiting[0].try_grow(200 << 10).unwrap();
        assert!(waiting[1].try_grow(100 << 10).is_err(), "more than a quarter");
    }

    #[test]
    fn a_spill_folder_is_made_with_its_first_file() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("run");
        let runtime = spilling_runtime(SqlMemory::new(1 << 20), &folder).unwrap();
        assert!(!folder.exists());
        let file = runtime.disk_manager.create_tmp_file("rows").unwrap();
        assert!(file.path().unwrap().starts_with(&folder));
    }
}
