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

/// Where a row stands: its file, and its byte or number in it. In the order of rows.
pub type RowPlace = (String, u64);

impl LeftOut {
    /// Adds those that come later.
    pub fn append(&mut self, later: Self) {
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

/// The same, by the place of the first: they come in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedLeftOut {
    /// The rows.
    pub rows: LeftOut,
    /// Where the first of them stands.
    pub place: RowPlace,
}

impl PlacedLeftOut {
    /// Adds others, which may stand before them.
    pub fn merge(&mut self, other: Self) {
        let is_first = self.rows.is_empty() || other.place < self.place;
        let (first, later) = if other.rows.is_empty() || !is_first {
            (std::mem::take(self), other)
        } else {
            (other, std::mem::take(self))
        };
        *self = first;
        self.rows.append(later.rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_is_the_first_by_its_place_in_whatever_order_they_come() {
        let one = |file: &str, at| PlacedLeftOut {
            rows: LeftOut { rows: 2, first: format!("{file} {at}") },
            place: (file.to_owned(), at),
        };
        let mut all = PlacedLeftOut::default();
        for next in
            [one("b", 9), one("a", 100), one("a", 20), PlacedLeftOut::default(), one("c", 1)]
        {
            all.merge(next);
        }
        assert_eq!(all.rows, LeftOut { rows: 8, first: "a 20".into() });
    }
}
