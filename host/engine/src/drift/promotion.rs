//! Promotions: which types hold the values of others. Those that a target takes over are Iceberg's, as other
//! programs read files of both types as one table.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, TimeUnit};

/// How a new type goes with the one that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Their values are the same, at most held in another way.
    Same,
    /// The new one holds all values of the old one: a promotion.
    Wider,
    /// The old one holds all values of the new one.
    Narrower,
    /// Neither.
    None,
}

/// How a new type goes with the one that is there.
pub fn fit(there: &DataType, new: &DataType) -> Fit {
    if is_same(there, new) {
        Fit::Same
    } else if is_promotion(there, new) {
        Fit::Wider
    } else if is_promotion(new, there) || holds(there, new) {
        Fit::Narrower
    } else {
        Fit::None
    }
}

/// Whether two types have the same values: what differs is how Arrow holds them.
fn is_same(a: &DataType, b: &DataType) -> bool {
    use DataType::*;
    match (a, b) {
        _ if a == b => true,
        (Dictionary(_, a), b) | (b, Dictionary(_, a)) => is_same(a, b),
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View) => true,
        (Binary | LargeBinary | BinaryView, Binary | LargeBinary | BinaryView) => true,
        (Timestamp(a, Some(zone)), Timestamp(b, Some(other))) => {
            a == b && is_utc(zone) && is_utc(other)
        }
        _ => false,
    }
}

fn is_utc(zone: &str) -> bool {
    matches!(zone, "UTC" | "Etc/UTC" | "Z" | "+00:00" | "+00" | "+0000")
}

/// Iceberg's promotions (int to long, float to double, more digits of a decimal), and those of the smaller
/// whole numbers that Parquet stores as int.
fn is_promotion(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    let size = |t: &DataType| [Int8, Int16, Int32, Int64].iter().position(|other| other == t);
    match (from, to) {
        (Float32, Float64) => true,
        (Decimal128(p, s), Decimal128(q, t)) => s == t && p < q && *q <= DECIMAL128_MAX_PRECISION,
        (Decimal256(p, s), Decimal256(q, t)) => s == t && p < q && *q <= DECIMAL256_MAX_PRECISION,
        _ => match (size(from), size(to)) {
            (Some(from), Some(to)) => from < to,
            _ => false,
        },
    }
}

/// Whether rows of another type can be written as this one. A moment that this one has no room for is an error
/// of its row.
fn holds(wide: &DataType, narrow: &DataType) -> bool {
    use DataType::*;
    match (wide, narrow) {
        (_, Null) => true,
        (Decimal128(p, s), Decimal128(q, t)) | (Decimal256(p, s), Decimal256(q, t)) => {
            let whole = |precision: u8, scale: i8| i16::from(precision) - i16::from(scale);
            s >= t && whole(*p, *s) >= whole(*q, *t)
        }
        (Timestamp(a, zone), Timestamp(b, other)) => {
            let zones = match (zone, other) {
                (None, None) => true,
                (Some(a), Some(b)) => a == b || (is_utc(a) && is_utc(b)),
                _ => false,
            };
            zones && fineness(*a) > fineness(*b)
        }
        _ => false,
    }
}

fn fineness(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    }
}
