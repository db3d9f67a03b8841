//! The columns of versions, and how rows that were read become events of them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, RecordBatch, StringArray, UInt8Array, new_null_array,
};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{cast, filter_record_batch, is_null, not, or};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use chrono::{DateTime, SecondsFormat, Utc};
use datafusion::error::Result as DfResult;
use longshore_model::config::load::Scd2;
use longshore_model::error::{Error, Result};

use super::key::{Key, kernel};
use crate::datafusion_fault::IntoDataFusion;

/// The column that says what an event is, behind those of versions.
const SIDE: &str = "longshore side";

/// What an event is. At one instant, they come in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Side {
    /// The end of a version that is there.
    End,
    /// A version that is there.
    There,
    /// A row that was read.
    Read,
}

/// Where the columns of versions lie: surrogate key, from, to and current, and then those that were read, but for the
/// one that says since when a row is so.
#[derive(Clone, Debug)]
pub(super) struct VersionColumns {
    /// The columns of versions.
    pub(super) schema: SchemaRef,
    /// The same, and what an event is.
    pub(super) events: SchemaRef,
    pub(super) surrogate_key: Option<usize>,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) current: Option<usize>,
    /// The key, in the columns of versions.
    pub(super) key: Key,
    /// Columns whose change makes a new version.
    pub(super) tracked: Vec<usize>,
    /// Where each of the columns that are read comes from.
    values: Vec<usize>,
    changed_at: Option<usize>,
    /// When the run began, and the end of a version that has none: both in the type of the times.
    pub(super) now: ArrayRef,
    pub(super) end: ArrayRef,
}

impl VersionColumns {
    /// Those of rows that were read by a run that began at this moment.
    pub(super) fn of(scd2: &Scd2, read: &SchemaRef, began: DateTime<Utc>) -> Result<Self> {
        let changed_at = scd2.changed_at.as_ref().map(|name| column("scd2.changed_at", name, read));
        let changed_at = changed_at.transpose()?;
        let time = match changed_at {
            Some(column) => read.field(column).data_type().clone(),
            None => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        };
        if !matches!(time, DataType::Date32 | DataType::Timestamp(..)) {
            let name = scd2.changed_at.as_deref().unwrap_or_default();
            return Err(Error::config(format!("`scd2.changed_at`: `{name}` is {time}"))
                .with_hint("name a column of dates or timestamps"));
        }
        let values: Vec<usize> =
            (0..read.fields().len()).filter(|column| Some(*column) != changed_at).collect();
        let mut own = Vec::new();
        let mut add = |name: &str, of: DataType, nullable| {
            own.push(Arc::new(Field::new(name, of, nullable)));
            own.len() - 1
        };
        let surrogate_key =
            scd2.surrogate_key.as_ref().map(|name| add(name, DataType::Utf8, false));
        let from = add(&scd2.valid_from, time.clone(), false);
        let to = add(&scd2.valid_to, time.clone(), scd2.end.is_none());
        let current = scd2.current.as_ref().map(|name| add(name, DataType::Boolean, false));
        let before = own.len();
        own.extend(values.iter().map(|column| Arc::new(read.field(*column).clone())));
        refuse_twins(&own)?;
        let schema = Arc::new(Schema::new(own.clone()));
        let key = Key::of("scd2.key", &scd2.key, &schema)?;
        let tracked = tracked(scd2, &schema, before, &key)?;
        let events = events_schema(&own);
        let (now, end) = (moment(&rfc3339(began), &time)?, end(scd2.end.as_deref(), &time)?);
        Ok(Self {
            schema,
            events,
            surrogate_key,
            from,
            to,
            current,
            key,
            tracked,
            values,
            changed_at,
            now,
            end,
        })
    }

    /// The same; a row without a time is an error.
    pub(super) fn read_checked(&self, rows: &RecordBatch) -> DfResult<RecordBatch> {
        let Some(column) = self.changed_at.filter(|at| rows.column(*at).null_count() > 0) else {
            return Ok(self.read(rows)?);
        };
        let schema = rows.schema();
        let name = schema.field(column).name();
        Err(Error::data(format!("the source has rows whose `{name}` is NULL"))
            .with_hint("leave them out, or give them a value, in the query or an `sql` step")
            .external())
    }

    /// Rows that were read, as events.
    fn read(&self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let count = rows.num_rows();
        let times = match self.changed_at {
            Some(column) => rows.column(column).clone(),
            None => repeated(&self.now, count)?,
        };
        self.event_batch(count, Side::Read, |place| {
            if place == self.from {
                return times.clone();
            }
            let before = self.schema.fields().len() - self.values.len();
            match place.checked_sub(before) {
                Some(value) => rows.column(self.values[value]).clone(),
                None => new_null_array(self.schema.field(place).data_type(), count),
            }
        })
    }

    /// Versions that are there, as events: each begins, and those that end do.
    pub(super) fn there(&self, rows: &RecordBatch) -> Result<Vec<RecordBatch>, ArrowError> {
        let count = rows.num_rows();
        let begin = self.event_batch(count, Side::There, |place| rows.column(place).clone())?;
        let closed = not(&self.is_open(rows)?)?;
        let ends = self.event_batch(count, Side::End, |place| {
            rows.column(if place == self.from { self.to } else { place }).clone()
        })?;
        Ok(vec![begin, filter_record_batch(&ends, &closed)?])
    }

    /// Which versions have no end.
    pub(super) fn is_open(&self, rows: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        let to = rows.column(self.to);
        let end = arrow::array::Scalar::new(self.end.clone());
        or(&not_distinct(to, &end)?, &is_null(to)?)
    }

    fn event_batch(
        &self,
        count: usize,
        side: Side,
        column: impl Fn(usize) -> ArrayRef,
    ) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<ArrayRef> = (0..self.schema.fields().len()).map(column).collect();
        columns.push(Arc::new(UInt8Array::from(vec![side as u8; count])));
        RecordBatch::try_new(self.events.clone(), columns)
    }
}

/// The columns of events: only what a version has may be missing in some of them.
fn events_schema(own: &[FieldRef]) -> SchemaRef {
    let nullable = own.iter().map(|field| Arc::new(Field::clone(field).with_nullable(true)));
    let side = Arc::new(Field::new(SIDE, DataType::UInt8, false));
    Arc::new(Schema::new(nullable.chain([side]).collect::<Vec<FieldRef>>()))
}

fn tracked(scd2: &Scd2, schema: &SchemaRef, before: usize, key: &Key) -> Result<Vec<usize>> {
    if let Some(track) = &scd2.track {
        return Ok(Key::of("scd2.track", track, schema)?.columns);
    }
    let others = (before..schema.fields().len()).filter(|column| !key.columns.contains(column));
    Ok(others.collect())
}

fn column(at: &str, name: &str, schema: &SchemaRef) -> Result<usize> {
    Ok(Key::of(at, &[name.to_owned()], schema)?.columns[0])
}

fn refuse_twins(fields: &[FieldRef]) -> Result<()> {
    let twin = fields.iter().enumerate().find(|(place, field)| {
        fields[..*place].iter().any(|other| other.name().eq_ignore_ascii_case(field.name()))
    });
    match twin {
        None => Ok(()),
        Some((_, field)) => Err(Error::config(format!(
            "two columns are called `{}`",
            field.name()
        ))
        .with_hint(
            "name those of `scd2` otherwise: `valid_from`, `valid_to`, `current`, `surrogate_key`",
        )),
    }
}

fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A moment in the type of the times.
fn moment(text: &str, time: &DataType) -> Result<ArrayRef> {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let text: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let instant = cast(&text, &instant).map_err(kernel)?;
    let naive =
        cast(&instant, &DataType::Timestamp(TimeUnit::Microsecond, None)).map_err(kernel)?;
    let from = if matches!(time, DataType::Timestamp(_, Some(_))) { instant } else { naive };
    cast(&from, time).map_err(kernel)
}

/// The end of a version that has none.
fn end(text: Option<&str>, time: &DataType) -> Result<ArrayRef> {
    let Some(text) = text else { return Ok(new_null_array(time, 1)) };
    let refused = || {
        Error::config(format!("`scd2.end`: `{text}` is no {time}"))
            .with_hint("write a day such as '9999-12-31', or `end: null`; nanoseconds end in 2262")
    };
    let day: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let day = cast(&day, &DataType::Date32).map_err(|_| refused())?;
    if day.null_count() > 0 {
        return Err(refused());
    }
    let options = arrow::compute::CastOptions { safe: false, ..Default::default() };
    arrow::compute::cast_with_options(&day, time, &options).map_err(|_| refused())
}

/// A value, so many times.
pub(super) fn repeated(value: &ArrayRef, count: usize) -> Result<ArrayRef, ArrowError> {
    arrow::compute::take(value, &arrow::array::UInt32Array::from(vec![0; count]), None)
}
