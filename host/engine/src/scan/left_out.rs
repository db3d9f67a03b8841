//! The rows that a job leaves out because they cannot be read.

use std::fmt;

use longshore_model::format::counted;
use serde::{Deserialize, Serialize};

/// Rows that could not be read, where the job leaves such rows out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// How many they are.
    pub rows: u64,
    /// The first of them: its file, its place and what is wrong with it.
    pub first: String,
}

impl LeftOut {
    /// Adds those that were left out later.
    pub fn merge(&mut self, later: Self) {
        if self.rows == 0 {
            *self = later;
        } else {
            self.rows += later.rows;
        }
    }

    /// Whether no row was left out.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} left out; the first is {}", counted(self.rows, "row"), self.first)
    }
}
