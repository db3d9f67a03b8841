//! How much an attempt has read, and what it left out.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::left_out::PlacedLeftOut;

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
pub struct ReadCounter(Arc<Mutex<Read>>);

#[derive(Debug, Default)]
struct Read {
    amount: ReadAmount,
    left_out: PlacedLeftOut,
}

impl ReadCounter {
    /// How much so far.
    pub fn amount(&self) -> ReadAmount {
        self.0.lock().amount
    }

    /// The rows that were left out so far.
    pub fn left_out(&self) -> PlacedLeftOut {
        self.0.lock().left_out.clone()
    }

    pub(super) fn leave_out(&self, more: PlacedLeftOut) {
        self.0.lock().left_out.merge(more);
    }

    pub(super) fn add(&self, more: ReadAmount) {
        let mut read = self.0.lock();
        read.amount = read.amount.plus(more);
    }

    /// How much so far; it counts from nothing again.
    pub(super) fn take(&self) -> ReadAmount {
        std::mem::take(&mut self.0.lock().amount)
    }
}
