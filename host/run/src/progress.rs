//! The progress of a run: tasks count it, and displays read it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use longshore_engine::scan::Slots;

/// A run's progress.
#[derive(Debug, Default)]
pub struct Progress {
    /// One for each relation, in the job's order.
    pub relations: Vec<Arc<RelationProgress>>,
}

/// One relation's progress.
#[derive(Debug)]
pub struct RelationProgress {
    /// Its name in the target.
    pub name: String,
    /// Its chunks.
    pub chunks: u64,
    /// Its estimated rows at the source.
    pub estimated_rows: Option<u64>,
    /// Chunks done.
    pub done: AtomicU64,
    /// The slots of its chunks, with a count of what was read.
    pub slots: Arc<Slots>,
}

impl RelationProgress {
    /// Rows read so far.
    pub fn rows(&self) -> u64 {
        self.slots.rows.load(Ordering::Relaxed)
    }

    /// Chunks done so far.
    pub fn chunks_done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// The fraction that is done, from 0 to 1: of the rows, if they can be estimated, else of the chunks.
    pub fn fraction(&self) -> f64 {
        if self.chunks > 0 && self.chunks_done() == self.chunks {
            return 1.0;
        }
        match self.estimated_rows {
            Some(rows) if rows > 0 => (self.rows() as f64 / rows as f64).min(0.99),
            _ => self.chunks_done() as f64 / self.chunks.max(1) as f64,
        }
    }
}
