//! The runs that this process works on, with their progress and their speed.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use longshore_run::{Progress, RelationProgress};
use parking_lot::Mutex;

/// Shows the progress of a run, by its id and its job, until what it gives is dropped.
pub type Watch = Arc<dyn Fn(&str, &str, Arc<Progress>) -> Box<dyn Any + Send> + Send + Sync>;

/// The time over which a speed is measured.
const SPEED_SECS: u64 = 10;

/// The least time between two samples of a speed.
const SAMPLE_MILLIS: u64 = 400;

/// A remaining time is told once so much of a run was seen to be done.
const LEAST_FRACTION: f64 = 0.01;

/// The runs that this process reads, by their ids.
#[derive(Clone, Default)]
pub struct ActiveRuns(Arc<Mutex<BTreeMap<String, ActiveRun>>>);

/// A run that this process reads.
struct ActiveRun {
    progress: Arc<Progress>,
    since: Instant,
    /// What was done when this process took it up.
    first_fraction: f64,
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    rows: u64,
    bytes: u64,
}

/// How far a run is, and how quick.
#[derive(Clone)]
pub struct Reading {
    /// Its progress.
    pub progress: Arc<Progress>,
    /// Rows read.
    pub rows: u64,
    /// Bytes of batches read.
    pub bytes: u64,
    /// Rows per second, of late.
    pub rows_per_second: u64,
    /// Bytes per second, of late.
    pub bytes_per_second: u64,
    /// The seconds until everything is read, as far as that can be told.
    pub eta_seconds: Option<u64>,
}

impl ActiveRuns {
    /// A watch that keeps runs here, beside what another does.
    pub fn watch(&self, other: Watch) -> Watch {
        let runs = self.clone();
        Arc::new(move |run, job, progress| {
            let kept: Box<dyn Any + Send> = Box::new(runs.keep(run, progress.clone()));
            Box::new((kept, other(run, job, progress)))
        })
    }

    fn keep(&self, run: &str, progress: Arc<Progress>) -> Kept {
        let active = ActiveRun::new(progress.clone());
        self.0.lock().insert(run.to_owned(), active);
        Kept { runs: self.clone(), run: run.to_owned(), progress }
    }

    /// How far a run is; none if this process does not read it.
    pub fn reading(&self, run: &str) -> Option<Reading> {
        self.0.lock().get_mut(run).map(ActiveRun::look)
    }
}

/// Keeps a run among the active ones until it is dropped.
struct Kept {
    runs: ActiveRuns,
    run: String,
    progress: Arc<Progress>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut runs = self.runs.0.lock();
        // A run that restarted has another progress by now.
        if runs.get(&self.run).is_some_and(|run| Arc::ptr_eq(&run.progress, &self.progress)) {
            runs.remove(&self.run);
        }
    }
}

impl ActiveRun {
    fn new(progress: Arc<Progress>) -> Self {
        let (since, first_fraction) = (Instant::now(), fraction(&progress));
        let samples = VecDeque::from([Sample::of(&progress, since)]);
        Self { progress, since, first_fraction, samples }
    }

    fn look(&mut self) -> Reading {
        let now = Sample::of(&self.progress, Instant::now());
        let oldest = self.samples.front().copied().unwrap_or(now);
        let last = self.samples.back().copied().unwrap_or(now);
        if now.at.duration_since(last.at) >= Duration::from_millis(SAMPLE_MILLIS) {
            self.samples.push_back(now);
        }
        let is_old = |sample: &Sample| now.at.duration_since(sample.at).as_secs() > SPEED_SECS;
        while self.samples.len() > 2 && self.samples.front().is_some_and(is_old) {
            self.samples.pop_front();
        }
        let seconds = now.at.duration_since(oldest.at).as_secs_f64().max(1e-3);
        let speed = |now: u64, then: u64| (now.saturating_sub(then) as f64 / seconds) as u64;
        Reading {
            progress: self.progress.clone(),
            rows: now.rows,
            bytes: now.bytes,
            rows_per_second: speed(now.rows, oldest.rows),
            bytes_per_second: speed(now.bytes, oldest.bytes),
            eta_seconds: self.eta_seconds(),
        }
    }

    fn eta_seconds(&self) -> Option<u64> {
        let fraction = fraction(&self.progress);
        let done = fraction - self.first_fraction;
        let seconds = self.since.elapsed().as_secs_f64();
        (done >= LEAST_FRACTION).then(|| (seconds * (1.0 - fraction) / done) as u64)
    }
}

impl Sample {
    fn of(progress: &Progress, at: Instant) -> Self {
        let relations = || progress.relations.iter();
        Self {
            at,
            rows: relations().map(|relation| relation.rows()).sum(),
            bytes: relations().map(|relation| bytes(relation)).sum(),
        }
    }
}

/// The bytes of batches that a relation has read.
pub fn bytes(relation: &RelationProgress) -> u64 {
    relation.slots.bytes.load(Ordering::Relaxed)
}

/// The fraction of a run that is done: relations count by their rows, if all estimates are known.
fn fraction(progress: &Progress) -> f64 {
    let relations = &progress.relations;
    let are_known = relations.iter().all(|relation| relation.estimated_rows.is_some());
    let weight = |relation: &RelationProgress| match relation.estimated_rows {
        Some(rows) if are_known => rows.max(1) as f64,
        _ => relation.chunks.max(1) as f64,
    };
    let whole: f64 = relations.iter().map(|relation| weight(relation)).sum();
    let done: f64 = relations.iter().map(|relation| weight(relation) * relation.fraction()).sum();
    done / whole.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_active_until_its_watch_ends_and_a_restart_takes_its_place() {
        let runs = ActiveRuns::default();
        let watch = runs.watch(Arc::new(|_, _, _| Box::new(())));
        let first = watch("r1", "shop", Arc::default());
        assert!(runs.reading("r1").is_some());
        let second = watch("r1", "shop", Arc::default());
        drop(first);
        assert!(runs.reading("r1").is_some());
        drop(second);
        assert!(runs.reading("r1").is_none());
    }
}
