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

impl Progress {
    /// Rows read so far.
    pub fn rows(&self) -> u64 {
        self.relations.iter().map(|relation| relation.rows()).sum()
    }

    /// Bytes read so far, as they are in memory.
    pub fn bytes(&self) -> u64 {
        self.relations.iter().map(|relation| relation.bytes()).sum()
    }

    /// The fraction that is done, from 0 to 1. Relations count by their rows, if all can be estimated.
    pub fn fraction(&self) -> f64 {
        let rows =
            self.relations.iter().map(|relation| relation.estimated_rows.map(|rows| rows.max(1)));
        let weights: Vec<f64> = match rows.collect::<Option<Vec<u64>>>() {
            Some(rows) => rows.into_iter().map(|rows| rows as f64).collect(),
            None => vec![1.0; self.relations.len()],
        };
        let each = self.relations.iter().zip(&weights);
        // The sum of nothing would be -0.0.
        let done = each.fold(0.0, |sum, (relation, weight)| sum + relation.fraction() * weight);
        done / weights.iter().sum::<f64>().max(1.0)
    }
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

    /// Bytes read so far, as they are in memory.
    pub fn bytes(&self) -> u64 {
        self.slots.bytes.load(Ordering::Relaxed)
    }

    /// Whether all of it is read.
    pub fn is_done(&self) -> bool {
        self.chunks_done() >= self.chunks
    }

    /// Whether something of it is read, or was.
    pub fn is_under_way(&self) -> bool {
        !self.is_done() && (self.rows() > 0 || self.chunks_done() > 0 || self.slots.is_busy())
    }

    /// Chunks done so far.
    pub fn chunks_done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// The fraction that is done, from 0 to 1: of the rows, if they can be estimated, else of the chunks.
    pub fn fraction(&self) -> f64 {
        if self.is_done() {
            return 1.0;
        }
        match self.estimated_rows {
            Some(rows) if rows > 0 => (self.rows() as f64 / rows as f64).min(0.99),
            _ => self.chunks_done() as f64 / self.chunks.max(1) as f64,
        }
    }
}
