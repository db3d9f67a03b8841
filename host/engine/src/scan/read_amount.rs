//! How much an attempt has read.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Rows, and their bytes as they are in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadAmount {
    /// The rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl ReadAmount {
    /// What came after an earlier amount.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            rows: self.rows.saturating_sub(earlier.rows),
            bytes: self.bytes.saturating_sub(earlier.bytes),
        }
    }

    /// The two together.
    pub fn plus(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, bytes: self.bytes + other.bytes }
    }
}

/// Counts what one attempt reads. Copies count together.
#[derive(Clone, Debug, Default)]
pub struct ReadCounter(Arc<Mutex<ReadAmount>>);

impl ReadCounter {
    /// How much so far.
    pub fn amount(&self) -> ReadAmount {
        *self.0.lock()
    }

    pub(super) fn add(&self, more: ReadAmount) {
        let mut amount = self.0.lock();
        *amount = amount.plus(more);
    }

    /// How much so far; it counts from nothing again.
    pub(super) fn take(&self) -> ReadAmount {
        std::mem::take(&mut self.0.lock())
    }
}
