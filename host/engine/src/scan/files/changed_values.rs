//! Values of Parquet that the reader would change in silence, so that they are looked at before: INT96, the
//! timestamps of Impala, Hive and Spark, are nanoseconds of any day, of which the reader makes a 64-bit timestamp;
//! of an INTERVAL it drops the months.

use std::ops::Range;

use bytes::{Buf, Bytes};
use chrono::DateTime;
use datafusion::error::Result as DfResult;
use longshore_model::config::files::Int96;
use longshore_model::error::Error;
use object_store::ObjectMeta;
use parquet::basic::{ConvertedType, Type as Physical};
use parquet::column::page::PageReader;
use parquet::column::reader::{ColumnReaderImpl, get_column_reader, get_typed_column_reader};
use parquet::data_type::{
    DataType, FixedLenByteArray, FixedLenByteArrayType, Int96 as Value, Int96Type,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::ColumnDescriptor;

use super::parquet_footer::start_of;
use crate::store::SourceStore;

/// The Julian day of 1970-01-01.
const EPOCH_JULIAN_DAY: i128 = 2_440_588;

const NANOS_A_DAY: i128 = 86_400_000_000_000;
const NANOS_A_SECOND: i128 = 1_000_000_000;
const NANOS_A_MICROSECOND: i128 = 1_000;

/// Rows that are looked at in one step.
const STEP_ROWS: usize = 8_192;

/// The row groups of a file that begin within a range of its bytes, or all.
pub(super) struct Slice<'a> {
    pub(super) metadata: &'a ParquetMetaData,
    pub(super) range: Option<(u64, u64)>,
}

/// A value that would be changed.
pub(super) struct Unfit {
    column: String,
    row: u64,
    value: UnfitValue,
}

enum UnfitValue {
    /// A moment that the unit cannot hold, since 1970.
    Nanos(i128),
    /// An interval with so many months.
    Months(u32),
}

impl Unfit {
    /// Says so of a file's value.
    pub(super) fn refusal(&self, file: &str, unit: Int96) -> Error {
        let Self { column, row, value } = self;
        let (text, why, hint) = match value {
            UnfitValue::Months(months) => (
                format!("an interval of {months} months"),
                "would lose them",
                "leave the column out in an `sql` step, or write it to the file as a text",
            ),
            UnfitValue::Nanos(nanos) => {
                let (why, hint) = moment_refusal(*nanos, unit);
                (moment_text(*nanos), why, hint)
            }
        };
        Error::data(format!("{file}: row {row}, column `{column}`: {text} {why}")).with_hint(hint)
    }
}

fn moment_refusal(nanos: i128, unit: Int96) -> (&'static str, &'static str) {
    match unit {
        Int96::Nanoseconds => (
            "is not between 1677 and 2262, as nanoseconds must be",
            "leave `source.parquet.int96` out to read microseconds",
        ),
        _ if nanos % NANOS_A_MICROSECOND == 0 => (
            "is further from 1970 than microseconds reach",
            "write the file again without it; a table that is read directly can be read through its server",
        ),
        _ => (
            "is finer than microseconds",
            "keep it with `source.parquet: { int96: nanoseconds }`, or cut it off with \
             `int96: truncated`; a table that is read directly can be read through its server",
        ),
    }
}

fn moment_text(nanos: i128) -> String {
    let seconds = i64::try_from(nanos.div_euclid(NANOS_A_SECOND)).unwrap_or(i64::MAX);
    let part = nanos.rem_euclid(NANOS_A_SECOND) as u32;
    match DateTime::from_timestamp(seconds, part) {
        Some(at) => at.format("%Y-%m-%d %H:%M:%S%.9f").to_string(),
        None => format!("{nanos} nanoseconds since 1970"),
    }
}

/// Finds the first value of these columns that would be changed.
pub(super) async fn find_unfit(
    store: &SourceStore,
    file: &ObjectMeta,
    slice: Slice<'_>,
    columns: &[String],
    unit: Int96,
) -> DfResult<Option<Unfit>> {
    let mut first_row = 0;
    for group in slice.metadata.row_groups() {
        let is_read = |(from, to): (u64, u64)| (from..to).contains(&start_of(group));
        if slice.range.is_none_or(is_read) {
            for column in group.columns().iter().filter(|column| is_sought(column, columns)) {
                let (start, length) = column.byte_range();
                let bytes = store.get_range(&file.location, start..start + length).await?;
                let chunk = Chunk { start, bytes };
                let rows = usize::try_from(group.num_rows()).unwrap_or(0);
                if let Some((row, value)) = unfit_of(chunk, column, rows, unit)? {
                    let (column, row) = (column.column_path().string(), first_row + row + 1);
                    return Ok(Some(Unfit { column, row, value }));
                }
            }
        }
        first_row += group.num_rows().max(0) as u64;
    }
    Ok(None)
}

fn is_sought(column: &ColumnChunkMetaData, columns: &[String]) -> bool {
    let described = column.column_descr();
    (described.physical_type() == Physical::INT96 || is_interval(described))
        && described.path().parts().first().is_some_and(|name| columns.contains(name))
}

/// Whether a column holds months, days and milliseconds.
pub(super) fn is_interval(column: &ColumnDescriptor) -> bool {
    column.converted_type() == ConvertedType::INTERVAL
}

/// The first value of a column chunk that would be changed, and its row, which counts from 0.
fn unfit_of(
    chunk: Chunk,
    column: &ColumnChunkMetaData,
    rows: usize,
    unit: Int96,
) -> Result<Option<(u64, UnfitValue)>, ParquetError> {
    if is_interval(column.column_descr()) {
        let found = find::<FixedLenByteArrayType>(chunk, column, rows, |value| months(value) == 0)?;
        return Ok(found.map(|(row, value)| (row, UnfitValue::Months(months(&value)))));
    }
    let found = find::<Int96Type>(chunk, column, rows, |value| fits(nanos(value), unit))?;
    Ok(found.map(|(row, value)| (row, UnfitValue::Nanos(nanos(&value)))))
}

/// The first value of a column chunk that does not fit, and its row.
fn find<T: DataType>(
    chunk: Chunk,
    column: &ColumnChunkMetaData,
    rows: usize,
    fits: impl Fn(&T::T) -> bool,
) -> Result<Option<(u64, T::T)>, ParquetError> {
    let described = column.column_descr_ptr();
    let (most_defined, most_repeated) = (described.max_def_level(), described.max_rep_level());
    let pages = SerializedPageReader::new(chunk.into(), column, rows, None)?;
    let pages: Box<dyn PageReader> = Box::new(pages);
    let reader = get_column_reader(described, pages);
    let mut reader: ColumnReaderImpl<T> = get_typed_column_reader(reader);
    let (mut values, mut defined, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
    let mut rows_before = 0;
    loop {
        values.clear();
        defined.clear();
        repeated.clear();
        let (read, _, _) = reader.read_records(
            STEP_ROWS,
            (most_defined > 0).then_some(&mut defined),
            (most_repeated > 0).then_some(&mut repeated),
            &mut values,
        )?;
        if read == 0 {
            return Ok(None);
        }
        if let Some(place) = values.iter().position(|value| !fits(value)) {
            let levels = Levels { defined: &defined, most_defined, repeated: &repeated };
            return Ok(Some((rows_before + levels.row_of(place), values.swap_remove(place))));
        }
        rows_before += read as u64;
    }
}

/// Which values are there, and which begin a row.
struct Levels<'a> {
    defined: &'a [i16],
    most_defined: i16,
    repeated: &'a [i16],
}

impl Levels<'_> {
    /// The row of a value, counted from 0.
    fn row_of(&self, value: usize) -> u64 {
        let is_there = |place: &usize| self.defined[*place] == self.most_defined;
        let level = if self.defined.is_empty() {
            Some(value)
        } else {
            (0..self.defined.len()).filter(is_there).nth(value)
        };
        let level = level.unwrap_or_default();
        let begun = if self.repeated.is_empty() {
            level + 1
        } else {
            self.repeated[..=level].iter().filter(|level| **level == 0).count()
        };
        begun.saturating_sub(1) as u64
    }
}

/// Since 1970.
fn nanos(value: &Value) -> i128 {
    let [low, high, day] = [0, 1, 2].map(|place| value.data()[place]);
    let of_day = (u64::from(high) << 32 | u64::from(low)) as i64;
    // The reader takes the day for a signed number, too.
    (i128::from(day as i32) - EPOCH_JULIAN_DAY) * NANOS_A_DAY + i128::from(of_day)
}

/// The first of an interval's three numbers.
fn months(value: &FixedLenByteArray) -> u32 {
    value.data().first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn fits(nanos: i128, unit: Int96) -> bool {
    match unit {
        Int96::Nanoseconds => i64::try_from(nanos).is_ok(),
        _ => nanos % NANOS_A_MICROSECOND == 0 && i64::try_from(nanos / NANOS_A_MICROSECOND).is_ok(),
    }
}

/// A column chunk's bytes; they are asked for by their places in the file.
struct Chunk {
    start: u64,
    bytes: Bytes,
}

impl Chunk {
    fn part(&self, range: Range<u64>) -> Result<Bytes, ParquetError> {
        let within = |place: u64| place.checked_sub(self.start).map(|place| place as usize);
        within(range.start)
            .zip(within(range.end))
            .filter(|(from, to)| from <= to && *to <= self.bytes.len())
            .map(|(from, to)| self.bytes.slice(from..to))
            .ok_or_else(|| ParquetError::EOF("a page lies outside its column".into()))
    }
}

impl Length for Chunk {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for Chunk {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.part(start..self.len())?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.part(start..start.saturating_add(length as u64))
    }
}
