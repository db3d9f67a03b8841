//! What checks found in a chunk, as the ledger keeps it.

use longshore_model::error::Result;
use longshore_model::part::StagedPart;
use serde::{Deserialize, Serialize};

use super::kept_rows::KeptFile;
use super::sample::{SAMPLE_LIMIT, Sample};
use super::sum::Sum;

/// What the checks of a relation found in a chunk, or in several.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChunkChecks {
    /// The rows that came.
    pub rows: u64,
    /// Those of them that are quarantined. Checks that do not quarantine look at the others only.
    #[serde(default)]
    pub quarantined: u64,
    /// What each check found, in the order of the relation's checks.
    pub measures: Vec<Measure>,
    /// The parts of rows that are quarantined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantine: Vec<StagedPart>,
    /// The files of rows that are needed again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<KeptFile>,
}

/// The measurement of a check.
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
    /// The sum of a column.
    Sum(Sum),
    /// Nothing but the number of rows; what needs all rows is found when all are there.
    Count,
}

impl ChunkChecks {
    /// Adds what was found in a later chunk.
    pub fn merge(&mut self, later: Self) -> Result<()> {
        self.rows += later.rows;
        self.quarantined += later.quarantined;
        self.quarantine.extend(later.quarantine);
        self.kept.extend(later.kept);
        if self.measures.is_empty() {
            self.measures = later.measures;
            return Ok(());
        }
        let measures = self.measures.iter_mut().zip(later.measures);
        measures.into_iter().try_for_each(|(measure, later)| measure.merge(later))
    }
}

impl Measure {
    fn merge(&mut self, later: Self) -> Result<()> {
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
            (Self::Sum(sum), Self::Sum(more)) => *sum = sum.plus(more)?,
            (_, _) => {}
        }
        Ok(())
    }
}
