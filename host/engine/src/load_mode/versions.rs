//! The versions of each key, made of what is known of it in the order of time: versions that are there, the ends of
//! some of them, and rows that were read.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, UInt8Array, UInt32Array,
};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{and, cast, concat_batches, is_null, take};
use arrow::datatypes::{DataType, UInt8Type};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::error::Result as DfResult;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{Stream, StreamExt};
use longshore_model::error::{Error, Result};

use super::key::kernel;
use super::resolve::same;
use super::stage::RowCounts;
use super::version_columns::{Side, VersionColumns, repeated};
use crate::datafusion_fault::IntoDataFusion;

/// Makes versions of events.
#[derive(Clone)]
pub(super) struct Versions {
    pub(super) columns: Arc<VersionColumns>,
    /// Whether a key that was read is there afterwards, whatever ended it before.
    pub(super) is_reopening: bool,
    pub(super) counts: Arc<RowCounts>,
}

/// A version, by the rows of a batch of events.
struct Version {
    /// The row with its values.
    values: usize,
    /// The version that is there, whose surrogate key it keeps.
    kept: Option<usize>,
    /// The row whose time is its end; none if it is current.
    to: Option<usize>,
    /// Whether it begins with the run, and not at the time of its row.
    is_reopened: bool,
}

/// The events of a batch, ready to be compared.
struct Events {
    keys: Rows,
    times: Rows,
    /// None where no column is tracked: then all values are the same.
    tracked: Option<Rows>,
    sides: UInt8Array,
}

impl Events {
    fn of(columns: &VersionColumns, batch: &RecordBatch) -> Result<Self> {
        let rows = |places: &[usize]| {
            let field = |place: &usize| SortField::new(batch.column(*place).data_type().clone());
            let converter =
                RowConverter::new(places.iter().map(field).collect()).map_err(kernel)?;
            let values: Vec<ArrayRef> =
                places.iter().map(|place| batch.column(*place).clone()).collect();
            converter.convert_columns(&values).map_err(kernel)
        };
        let side = columns.schema.fields().len();
        Ok(Self {
            keys: rows(&columns.key.columns)?,
            times: rows(&[columns.from])?,
            tracked: (!columns.tracked.is_empty()).then(|| rows(&columns.tracked)).transpose()?,
            sides: batch.column(side).as_primitive::<UInt8Type>().clone(),
        })
    }

    fn are_same(&self, row: usize, other: usize) -> bool {
        self.tracked.as_ref().is_none_or(|tracked| tracked.row(row) == tracked.row(other))
    }

    fn is(&self, row: usize, side: Side) -> bool {
        self.sides.value(row) == side as u8
    }
}

impl Versions {
    /// The versions of all keys. The events come in the order of their keys, of their times, and of what they are.
    pub(super) fn of(self, events: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let schema = self.columns.schema.clone();
        Box::pin(RecordBatchStreamAdapter::new(schema, self.folded(events)))
    }

    fn folded(
        self,
        events: SendableRecordBatchStream,
    ) -> impl Stream<Item = DfResult<RecordBatch>> + Send {
        let begin = (Some(events), None::<RecordBatch>);
        futures::stream::try_unfold(begin, move |(events, left)| {
            let fold = self.clone();
            async move {
                let Some(mut events) = events else { return Ok(None) };
                let next = events.next().await.transpose()?;
                let is_over = next.is_none();
                let batches: Vec<RecordBatch> = left.into_iter().chain(next).collect();
                let Some(first) = batches.first() else { return Ok(None) };
                let all = concat_batches(&first.schema(), &batches)?;
                let (made, left) = fold.fold(&all, is_over).map_err(Error::external)?;
                Ok(Some((made, ((!is_over).then_some(events), left))))
            }
        })
    }

    /// The versions of the keys in a batch, and what is left: the last key, of which more may come.
    fn fold(&self, all: &RecordBatch, is_over: bool) -> Result<(RecordBatch, Option<RecordBatch>)> {
        let events = Events::of(&self.columns, all)?;
        let (mut versions, mut from) = (Vec::new(), 0);
        for row in 1..=all.num_rows() {
            let is_end = row == all.num_rows();
            if (is_end && !is_over) || (!is_end && events.keys.row(row) == events.keys.row(from)) {
                continue;
            }
            self.fold_key(&events, from..row, &mut versions);
            from = row;
        }
        let left = (from < all.num_rows()).then(|| all.slice(from, all.num_rows() - from));
        let made = self.assemble(all, &versions).map_err(kernel)?;
        self.count(&all.slice(0, from), &made, &versions).map_err(kernel)?;
        Ok((made, left))
    }

    /// The versions of one key, whose events are these rows.
    fn fold_key(&self, events: &Events, rows: Range<usize>, versions: &mut Vec<Version>) {
        let (first, mut at) = (versions.len(), rows.start);
        let (mut is_open, mut last_read) = (false, None);
        while at < rows.end {
            let is_later = |row: &usize| events.times.row(*row) != events.times.row(at);
            let instant = at..(at..rows.end).find(is_later).unwrap_or(rows.end);
            let of = |side| instant.clone().rev().find(|row| events.is(*row, side));
            let (there, read) = (of(Side::There), of(Side::Read));
            last_read = read.or(last_read);
            let before = versions[first..].last_mut().filter(|_| is_open);
            let Some(values) = read.or(there) else {
                // Nothing begins: what was open ends.
                before.into_iter().for_each(|before| before.to = Some(at));
                is_open = false;
                at = instant.end;
                continue;
            };
            let is_same =
                before.as_ref().is_some_and(|before| events.are_same(before.values, values));
            if !is_same {
                before.into_iter().for_each(|before| before.to = Some(at));
                versions.push(Version { values, kept: there, to: None, is_reopened: false });
            }
            is_open = true;
            at = instant.end;
        }
        if let (true, false, Some(values)) = (self.is_reopening, is_open, last_read) {
            versions.push(Version { values, kept: None, to: None, is_reopened: true });
        }
    }

    fn assemble(&self, all: &RecordBatch, versions: &[Version]) -> Result<RecordBatch, ArrowError> {
        let own = &self.columns;
        let rows = |row: &dyn Fn(&Version) -> Option<usize>| -> UInt32Array {
            versions.iter().map(|version| row(version).map(|row| row as u32)).collect()
        };
        let (values, ends) = (rows(&|version| Some(version.values)), rows(&|version| version.to));
        let times = all.column(own.from);
        let is_reopened: BooleanArray =
            versions.iter().map(|version| Some(version.is_reopened)).collect();
        let is_current = is_null(&ends)?;
        let count = versions.len();
        let column = |place: usize| -> Result<ArrayRef, ArrowError> {
            if place == own.from {
                let (now, own) = (repeated(&own.now, count)?, take(times, &values, None)?);
                return zip(&is_reopened, &now, &own);
            }
            if place == own.to {
                let (end, ends) = (repeated(&own.end, count)?, take(times, &ends, None)?);
                return zip(&is_current, &end, &ends);
            }
            if Some(place) == own.current {
                return Ok(Arc::new(is_current.clone()));
            }
            if Some(place) == own.surrogate_key {
                let kept = rows(&|version| version.kept);
                return surrogate_keys(&take(all.column(place), &kept, None)?);
            }
            take(all.column(place), &values, None)
        };
        let columns = (0..own.schema.fields().len()).map(column).collect::<Result<_, _>>()?;
        RecordBatch::try_new(own.schema.clone(), columns)
    }

    fn count(
        &self,
        all: &RecordBatch,
        made: &RecordBatch,
        versions: &[Version],
    ) -> Result<(), ArrowError> {
        let kept =
            versions.iter().enumerate().filter_map(|(made, v)| Some((made as u32, v.kept? as u32)));
        let (new, old): (Vec<u32>, Vec<u32>) = kept.unzip();
        let (new, old) = (UInt32Array::from(new), UInt32Array::from(old));
        let mut equal = BooleanArray::from(vec![true; old.len()]);
        let own = &self.columns;
        for place in (0..own.schema.fields().len()).filter(|place| *place != own.from) {
            let (new, old) =
                (take(made.column(place), &new, None)?, take(all.column(place), &old, None)?);
            equal = and(&equal, &same(&new, &old)?)?;
        }
        let side = all.column(own.schema.fields().len()).as_primitive::<UInt8Type>();
        let there = side.values().iter().filter(|side| **side == Side::There as u8).count();
        let (kept, unchanged) = (old.len() as u64, equal.true_count() as u64);
        self.counts.inserted.fetch_add(versions.len() as u64 - kept, Ordering::Relaxed);
        self.counts.unchanged.fetch_add(unchanged, Ordering::Relaxed);
        self.counts.updated.fetch_add(kept - unchanged, Ordering::Relaxed);
        self.counts.deleted.fetch_add(there as u64 - kept, Ordering::Relaxed);
        Ok(())
    }
}

/// Surrogate keys: those that are there, and new ones where there is none.
fn surrogate_keys(kept: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let kept = cast(kept, &DataType::Utf8)?;
    let keys: Result<StringArray, ArrowError> = kept
        .as_string::<i32>()
        .iter()
        .map(|kept| kept.map_or_else(uuid, |kept| Ok(kept.to_owned())).map(Some))
        .collect();
    Ok(Arc::new(keys?))
}

/// A random UUID.
fn uuid() -> Result<String, ArrowError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| ArrowError::ExternalError(Box::new(error)))?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = hex::encode(bytes);
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}
