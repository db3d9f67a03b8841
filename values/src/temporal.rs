//! Dates, times and moments of a column as text.

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrowPrimitiveType, PrimitiveArray};
use arrow_schema::{DataType, TimeUnit};

use super::calendar::{MomentUnit, Zone, write_date, write_moment, write_time};

/// Writes one value of a column that is not NULL.
pub(super) type Write<'a> = Box<dyn Fn(usize, &mut Vec<u8>) + 'a>;

/// The writer of a column of dates, times or moments, over all that their types hold. The writers of other
/// types are Arrow's own.
pub(super) fn temporal_writer(array: &dyn Array) -> Option<Write<'_>> {
    use DataType::*;
    Some(match array.data_type() {
        Date32 => {
            of(array.as_primitive::<Date32Type>(), |value, out| write_date(value.into(), out))
        }
        Date64 => of(array.as_primitive::<Date64Type>(), |value, out| {
            write_moment(value, MomentUnit::Millisecond, Zone::None, out);
        }),
        Time32(TimeUnit::Second) => {
            time(array.as_primitive::<Time32SecondType>(), MomentUnit::Second)
        }
        Time32(_) => time(array.as_primitive::<Time32MillisecondType>(), MomentUnit::Millisecond),
        Time64(TimeUnit::Microsecond) => {
            time(array.as_primitive::<Time64MicrosecondType>(), MomentUnit::Microsecond)
        }
        Time64(_) => time(array.as_primitive::<Time64NanosecondType>(), MomentUnit::Nanosecond),
        Timestamp(unit, zone) => {
            let zone = zone.as_deref().map_or(Zone::None, offset);
            match unit {
                TimeUnit::Second => {
                    moment(array.as_primitive::<TimestampSecondType>(), MomentUnit::Second, zone)
                }
                TimeUnit::Millisecond => {
                    let array = array.as_primitive::<TimestampMillisecondType>();
                    moment(array, MomentUnit::Millisecond, zone)
                }
                TimeUnit::Microsecond => {
                    let array = array.as_primitive::<TimestampMicrosecondType>();
                    moment(array, MomentUnit::Microsecond, zone)
                }
                TimeUnit::Nanosecond => {
                    let array = array.as_primitive::<TimestampNanosecondType>();
                    moment(array, MomentUnit::Nanosecond, zone)
                }
            }
        }
        _ => return None,
    })
}

fn of<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    write: impl Fn(T::Native, &mut Vec<u8>) + 'static,
) -> Write<'_> {
    Box::new(move |row, out| write(array.value(row), out))
}

fn time<T: ArrowPrimitiveType<Native: Into<i64>>>(
    array: &PrimitiveArray<T>,
    unit: MomentUnit,
) -> Write<'_> {
    of(array, move |value, out| write_time(value.into(), unit, out))
}

fn moment<T: ArrowPrimitiveType<Native = i64>>(
    array: &PrimitiveArray<T>,
    unit: MomentUnit,
    zone: Zone,
) -> Write<'_> {
    of(array, move |value, out| write_moment(value, unit, zone, out))
}

/// A moment with a named zone is written in UTC: the same instant, and readers need no list of zones.
fn offset(zone: &str) -> Zone {
    let (sign, rest) = match zone.as_bytes().split_first() {
        Some((b'+', rest)) => (1, rest),
        Some((b'-', rest)) => (-1, rest),
        _ => return Zone::Offset(0),
    };
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<i32>().ok();
    let (hours, minutes) = match rest {
        [h1, h2] => (number(&[*h1, *h2]), Some(0)),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => (number(&[*h1, *h2]), number(&[*m1, *m2])),
        _ => (None, None),
    };
    match (hours, minutes) {
        (Some(hours), Some(minutes)) => Zone::Offset(sign * (hours * 3600 + minutes * 60)),
        _ => Zone::Offset(0),
    }
}
