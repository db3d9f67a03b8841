//! The figures of this process since it started: counted where things happen, and shown by whoever wants to.
//! They have no ids of runs or chunks, so that there are never more of them.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use strum::VariantArray;

use crate::config::checks::{CheckOutcome, Severity};
use crate::error::Class;
use crate::schema_change::ChangeKind;

/// The upper bounds of the times that a write of the ledger takes, in seconds.
const WRITE_BOUNDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// The upper bounds of how late scheduled runs begin, in seconds.
const LATENESS_BOUNDS: &[f64] = &[1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0];

/// The figures.
#[derive(Debug)]
pub struct Figures {
    /// Rows read of sources, attempts that failed included.
    pub rows_read: Counter,
    /// The same in bytes, as they are in memory.
    pub bytes_read: Counter,
    /// Rows that could not be read and were left out of chunks that are written.
    pub rows_left_out: Counter,
    /// Rows of parts that were written.
    pub rows_written: Counter,
    /// Bytes of parts that were written.
    pub bytes_written: Counter,
    /// Chunks that are done.
    pub chunks_done: Counter,
    /// Chunks that have used up their retries, or failed for good.
    pub chunks_failed: Counter,
    /// Chunks that were done already when their run resumed.
    pub chunks_kept: Counter,
    /// Attempts at chunks that succeeded.
    pub attempts_succeeded: Counter,
    /// Attempts at chunks that failed, by the class of the error.
    pub attempts_failed: ByClass,
    /// Traps of plugins.
    pub plugin_traps: Counter,
    /// Checks that were judged.
    pub checks: ByCheck,
    /// Changes of columns that runs have found, by their kind.
    pub schema_changes: ByChange,
    /// The clusters that runs were on, as they were seen last.
    pub clusters: Clusters,
    /// Runs that published everything.
    pub runs_succeeded: Counter,
    /// Runs that failed.
    pub runs_failed: Counter,
    /// Runs that were cancelled.
    pub runs_cancelled: Counter,
    /// How long writes of the ledger take.
    pub ledger_write: Histogram,
    /// How late scheduled runs begin.
    pub schedule_lateness: Histogram,
}

/// Those of this process.
pub fn figures() -> &'static Figures {
    static FIGURES: LazyLock<Figures> = LazyLock::new(Figures::new);
    &FIGURES
}

impl Figures {
    fn new() -> Self {
        Self {
            rows_read: Counter::default(),
            bytes_read: Counter::default(),
            rows_left_out: Counter::default(),
            rows_written: Counter::default(),
            bytes_written: Counter::default(),
            chunks_done: Counter::default(),
            chunks_failed: Counter::default(),
            chunks_kept: Counter::default(),
            attempts_succeeded: Counter::default(),
            attempts_failed: ByClass::default(),
            plugin_traps: Counter::default(),
            checks: ByCheck::default(),
            schema_changes: ByChange::default(),
            clusters: Clusters::default(),
            runs_succeeded: Counter::default(),
            runs_failed: Counter::default(),
            runs_cancelled: Counter::default(),
            ledger_write: Histogram::new(WRITE_BOUNDS),
            schedule_lateness: Histogram::new(LATENESS_BOUNDS),
        }
    }
}

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts so many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A count for each class of errors.
#[derive(Debug, Default)]
pub struct ByClass([Counter; Class::VARIANTS.len()]);

impl ByClass {
    /// Counts one error.
    pub fn count(&self, class: Class) {
        self.0[class as usize].add(1);
    }

    /// The classes and their counts.
    pub fn each(&self) -> impl Iterator<Item = (Class, u64)> {
        Class::VARIANTS.iter().map(|class| (*class, self.0[*class as usize].get()))
    }
}

/// A count of checks for each severity and outcome.
#[derive(Debug, Default)]
pub struct ByCheck([[Counter; CheckOutcome::VARIANTS.len()]; Severity::VARIANTS.len()]);

impl ByCheck {
    /// Counts one check.
    pub fn count(&self, severity: Severity, outcome: CheckOutcome) {
        self.0[severity as usize][outcome as usize].add(1);
    }

    /// The severities and outcomes, and their counts.
    pub fn each(&self) -> impl Iterator<Item = (Severity, CheckOutcome, u64)> {
        let outcomes = |severity: &'static Severity| {
            let count =
                |outcome: &CheckOutcome| self.0[*severity as usize][*outcome as usize].get();
            CheckOutcome::VARIANTS.iter().map(move |outcome| (*severity, *outcome, count(outcome)))
        };
        Severity::VARIANTS.iter().flat_map(outcomes)
    }
}

/// A count for each kind of schema changes.
#[derive(Debug, Default)]
pub struct ByChange([Counter; ChangeKind::VARIANTS.len()]);

impl ByChange {
    /// Counts one change.
    pub fn count(&self, kind: ChangeKind) {
        self.0[kind as usize].add(1);
    }

    /// The kinds and their counts.
    pub fn each(&self) -> impl Iterator<Item = (ChangeKind, u64)> {
        ChangeKind::VARIANTS.iter().map(|kind| (*kind, self.0[*kind as usize].get()))
    }
}

/// The members of clusters, by the URLs of these.
#[derive(Debug, Default)]
pub struct Clusters(Mutex<BTreeMap<String, Members>>);

/// Who belongs to a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Its executors.
    pub executors: u64,
    /// The attempts that they carry out at the same time.
    pub slots: u64,
}

impl Clusters {
    /// Sets the members of a cluster.
    pub fn set(&self, url: &str, members: Members) {
        self.0.lock().insert(url.to_owned(), members);
    }

    /// The clusters and their members.
    pub fn each(&self) -> Vec<(String, Members)> {
        self.0.lock().iter().map(|(url, members)| (url.clone(), *members)).collect()
    }
}

/// How often something took how long.
#[derive(Debug)]
pub struct Histogram {
    /// The upper bounds, in seconds; whatever is above has a place of its own.
    bounds: &'static [f64],
    counts: Vec<Counter>,
    sum_micros: Counter,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| Counter::default()).collect();
        Self { bounds, counts, sum_micros: Counter::default() }
    }

    /// Counts one more.
    pub fn observe(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let place = self.bounds.partition_point(|bound| *bound < seconds);
        self.counts[place].add(1);
        self.sum_micros.add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// The sum, in seconds.
    pub fn sum(&self) -> f64 {
        Duration::from_micros(self.sum_micros.get()).as_secs_f64()
    }

    /// The upper bounds, the last of them infinite, and how many lie between each and the one before.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        bounds.zip(self.counts.iter().map(Counter::get)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_below_its_bound() {
        let histogram = Histogram::new(&[0.5, 1.0]);
        for millis in [1, 500, 501, 1_000, 7_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        assert_eq!(histogram.buckets(), [(0.5, 2), (1.0, 2), (f64::INFINITY, 1)]);
        assert!((histogram.sum() - 9.002).abs() < 1e-9);
    }

    #[test]
    fn each_class_has_a_count() {
        let classes = ByClass::default();
        classes.count(Class::Internal);
        let counted: Vec<_> = classes.each().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(Class::Internal, 1)]);
    }
}
