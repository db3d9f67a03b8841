//! The runs that this process works on, with their progress and their speed.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_run::{Pace, Progress, Speed};
use parking_lot::Mutex;

/// Shows the progress of a run, by its id and its job, until what it gives is dropped.
pub type Watch = Arc<dyn Fn(&str, &str, Arc<Progress>) -> Box<dyn Any + Send> + Send + Sync>;

/// The runs that this process reads, by their ids.
#[derive(Clone, Default)]
pub struct ActiveRuns(Arc<Mutex<BTreeMap<String, ActiveRun>>>);

/// A run that this process reads.
struct ActiveRun {
    progress: Arc<Progress>,
    pace: Pace,
}

/// How far a run is, and how quick.
#[derive(Clone)]
pub struct RunProgress {
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

    fn keep(&self, run: &str, progress: Arc<Progress>) -> ActiveRunGuard {
        let active = ActiveRun::new(progress.clone());
        self.0.lock().insert(run.to_owned(), active);
        ActiveRunGuard { runs: self.clone(), run: run.to_owned(), progress }
    }

    /// How far a run is; none if this process does not read it.
    pub fn progress(&self, run: &str) -> Option<RunProgress> {
        self.0.lock().get_mut(run).map(ActiveRun::look)
    }
}

/// Keeps a run among the active ones until it is dropped.
struct ActiveRunGuard {
    runs: ActiveRuns,
    run: String,
    progress: Arc<Progress>,
}

impl Drop for ActiveRunGuard {
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
        Self { pace: Pace::new(&progress), progress }
    }

    fn look(&mut self) -> RunProgress {
        let Speed { rows_per_second, bytes_per_second, left } = self.pace.look(&self.progress);
        RunProgress {
            progress: self.progress.clone(),
            rows: self.progress.rows(),
            bytes: self.progress.bytes(),
            rows_per_second,
            bytes_per_second,
            eta_seconds: left.map(|left| left.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_active_until_its_watch_ends_and_a_restart_takes_its_place() {
        let runs = ActiveRuns::default();
        let watch = runs.watch(Arc::new(|_, _, _| Box::new(())));
        let first = watch("r1", "shop", Arc::default());
        assert!(runs.progress("r1").is_some());
        let second = watch("r1", "shop", Arc::default());
        drop(first);
        assert!(runs.progress("r1").is_some());
        drop(second);
        assert!(runs.progress("r1").is_none());
    }
}
