//! The meter of a chunk: measures the checks of a relation, batch by batch.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::max;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use longshore_model::error::Result;

use super::column::plain;
use super::measure::{ChunkChecks, Measure};
use super::quarantine::SplitBatch;
use super::relation_checks::{Gauge, RelationChecks};
use super::sample::{SAMPLE_LIMIT, samples};
use super::sum::Sum;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Measures the rows of one chunk.
#[derive(Debug)]
pub(super) struct Meter {
    checks: Arc<RelationChecks>,
    found: ChunkChecks,
}

impl Meter {
    /// At the beginning of a chunk.
    pub(super) fn new(checks: Arc<RelationChecks>) -> Self {
        let measures = checks.gauges.iter().map(Gauge::zero).collect();
        Self { checks, found: ChunkChecks { measures, ..ChunkChecks::default() } }
    }

    /// Measures a batch; gives the rows that go on, and those that are quarantined.
    pub(super) fn measure(&mut self, batch: RecordBatch) -> Result<SplitBatch> {
        self.found.rows += batch.num_rows() as u64;
        let split = self.quarantine(batch)?;
        let quarantines = &self.checks.quarantines;
        let measures = self.checks.gauges.iter().zip(&mut self.found.measures).zip(quarantines);
        for ((gauge, measure), quarantine) in measures {
            if quarantine.is_none() {
                gauge.measure(&split.passing, measure)?;
            }
        }
        Ok(split)
    }

    /// Takes the rows out that fail a check which quarantines. Each of these checks looks at all rows.
    fn quarantine(&mut self, batch: RecordBatch) -> Result<SplitBatch> {
        let mut failing = Vec::new();
        let checks = self.checks.clone();
        for (place, name) in checks.quarantines.iter().enumerate() {
            let (Some(name), Gauge::Rows { check, .. }) = (name, &checks.gauges[place]) else {
                continue;
            };
            checks.gauges[place].measure(&batch, &mut self.found.measures[place])?;
            failing.push((name.as_str(), check.failing(&batch)?));
        }
        let split = SplitBatch::new(batch, &failing)?;
        self.found.quarantined +=
            split.quarantined.as_ref().map_or(0, |rows| rows.num_rows() as u64);
        Ok(split)
    }

    /// Ends the measuring; gives the results.
    pub(super) fn finish(self) -> ChunkChecks {
        self.found
    }
}

impl Gauge {
    fn zero(&self) -> Measure {
        match self {
            Self::Rows { .. } => Measure::Failing { rows: 0, samples: Vec::new() },
            Self::Nulls(_) => Measure::Nulls(0),
            Self::Newest(_) => Measure::Newest(None),
            Self::Sum(_) => Measure::Sum(Sum::ZERO),
            Self::Count => Measure::Count,
        }
    }

    fn measure(&self, batch: &RecordBatch, measure: &mut Measure) -> Result<()> {
        match (self, measure) {
            (Self::Rows { check, shown }, Measure::Failing { rows, samples: kept }) => {
                let failing = check.failing(batch)?;
                let count = failing.true_count();
                if count > 0 && kept.len() < SAMPLE_LIMIT {
                    kept.extend(samples(batch, &failing, shown, SAMPLE_LIMIT - kept.len())?);
                }
                *rows += count as u64;
            }
            (Self::Nulls(column), Measure::Nulls(nulls)) => {
                *nulls += batch.column(*column).logical_null_count() as u64;
            }
            (Self::Newest(column), Measure::Newest(newest)) => {
                *newest = (*newest).max(newest_of(&plain(batch, *column)?));
            }
            (Self::Sum(column), Measure::Sum(sum)) => {
                *sum = sum.plus(Sum::of(&plain(batch, *column)?)?)?;
            }
            (_, _) => {}
        }
        Ok(())
    }
}

/// The newest moment, in microseconds. A timestamp without a zone is taken as one in UTC.
fn newest_of(column: &ArrayRef) -> Option<i64> {
    match column.data_type() {
        DataType::Date32 => {
            max(column.as_primitive::<Date32Type>()).map(|days| i64::from(days) * MICROS_PER_DAY)
        }
        DataType::Date64 => {
            max(column.as_primitive::<Date64Type>()).map(|millis| millis.saturating_mul(1_000))
        }
        DataType::Timestamp(TimeUnit::Second, _) => {
            max(column.as_primitive::<TimestampSecondType>())
                .map(|seconds| seconds.saturating_mul(1_000_000))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            max(column.as_primitive::<TimestampMillisecondType>())
                .map(|millis| millis.saturating_mul(1_000))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            max(column.as_primitive::<TimestampMicrosecondType>())
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            max(column.as_primitive::<TimestampNanosecondType>())
                .map(|nanos| nanos.div_euclid(1_000))
        }
        _ => None,
    }
}
