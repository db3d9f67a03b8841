//! What checks found in a chunk, as the ledger keeps it.

use serde::{Deserialize, Serialize};

use super::sample::{SAMPLE_LIMIT, Sample};

/// What the checks of a relation found in a chunk, or in several.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChunkChecks {
    /// The rows that were checked.
    pub rows: u64,
    /// What each check found, in the order of the relation's checks.
    pub measures: Vec<Measure>,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Rows that fail.
    Failing {
        /// How many.
        rows: u64,
        /// The first of them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        samples: Vec<Sample>,
    },
    /// How often a column is NULL.
    Nulls(u64),
    /// The newest moment of a column, in microseconds since 1970, if it has any.
    Newest(Option<i64>),
    /// Nothing but the number of rows.
    Count,
}

impl ChunkChecks {
    /// Adds what was found in a later chunk.
    pub fn merge(&mut self, later: Self) {
        if self.measures.is_empty() {
            let rows = self.rows + later.rows;
            *self = Self { rows, ..later };
            return;
        }
        self.rows += later.rows;
        for (measure, later) in self.measures.iter_mut().zip(later.measures) {
            measure.merge(later);
        }
    }
}

impl Measure {
    fn merge(&mut self, later: Self) {
        match (self, later) {
            (
                Self::Failing { rows, samples },
                Self::Failing { rows: more, samples: more_samples },
            ) => {
                *rows += more;
                let room = SAMPLE_LIMIT.saturating_sub(samples.len());
                samples.extend(more_samples.into_iter().take(room));
            }
            (Self::Nulls(nulls), Self::Nulls(more)) => *nulls += more,
            (Self::Newest(newest), Self::Newest(other)) => *newest = (*newest).max(other),
            (_, _) => {}
        }
    }
}
