//! Exact sums of whole numbers and decimals.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal256Type, i256};
use longshore_model::error::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::column::arrow_fault;

/// The most digits of a sum.
const PRECISION: u8 = 76;

/// A sum, in units of its last digit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sum {
    units: i256,
    /// The digits behind the point.
    scale: u8,
}

/// Whether values of a type have an exact sum.
pub(super) fn has_sum(data_type: &DataType) -> bool {
    scale_of(data_type).is_some()
}

/// The digits behind the point of a type; none where it is no exact number.
fn scale_of(data_type: &DataType) -> Option<i8> {
    match data_type {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => Some((*scale).max(0)),
        _ if data_type.is_integer() => Some(0),
        _ => None,
    }
}

impl Sum {
    /// The sum of no values.
    pub const ZERO: Self = Self { units: i256::ZERO, scale: 0 };

    /// The sum of a column.
    pub(super) fn of(column: &ArrayRef) -> Result<Self> {
        let scale = scale_of(column.data_type()).unwrap_or(0);
        let wide = cast(column, &DataType::Decimal256(PRECISION, scale)).map_err(arrow_fault)?;
        let mut values = wide.as_primitive::<Decimal256Type>().iter().flatten();
        let units = values.try_fold(i256::ZERO, i256::checked_add).ok_or_else(overflow)?;
        Ok(Self { units, scale: scale.unsigned_abs() })
    }

    /// Both together.
    pub(super) fn plus(self, other: Self) -> Result<Self> {
        if self.scale < other.scale {
            return other.plus(self);
        }
        let other = other.units.checked_mul(power_of_ten(self.scale - other.scale)?);
        let units = other.and_then(|other| self.units.checked_add(other)).ok_or_else(overflow)?;
        Ok(Self { units, scale: self.scale })
    }

    /// Reads a number; none where it is not exact.
    pub fn read(text: &str) -> Option<Self> {
        let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
        let digits = whole.trim_start_matches(['-', '+']);
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if digits.is_empty() || !is_digits(digits) || !is_digits(fraction) {
            return None;
        }
        let units = i256::from_str(&format!("{whole}{fraction}")).ok()?;
        Some(Self { units, scale: u8::try_from(fraction.len()).ok()? })
    }
}

fn power_of_ten(power: u8) -> Result<i256> {
    i256::from_i128(10).checked_pow(u32::from(power)).ok_or_else(overflow)
}

fn overflow() -> Error {
    Error::data(format!("a sum has more than {PRECISION} digits"))
        .with_hint("sum smaller values: divide the column in an `sql` step")
}

/// Without zeros at its end: equal sums have the same text.
impl Display for Sum {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let digits = self.units.to_string();
        let (sign, digits) = match digits.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", digits.as_str()),
        };
        let scale = usize::from(self.scale);
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{sign}{whole}"),
            fraction => write!(f, "{sign}{whole}.{fraction}"),
        }
    }
}

impl Serialize for Sum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::read(&text).ok_or_else(|| serde::de::Error::custom("no exact number"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sums_are_exact_whatever_their_scales(one: i64, other: i64, digits in 0_u8..9, more in 0_u8..9) {
            let sum = Sum { units: i256::from(one), scale: digits };
            let sum = sum.plus(Sum { units: i256::from(other), scale: more }).unwrap();
            let scaled = |units: i64, digits: u8| i128::from(units) * 10_i128.pow(u32::from(9 - digits));
            let expected = scaled(one, digits) + scaled(other, more);
            let expected = Sum { units: i256::from_i128(expected), scale: 9 };
            prop_assert_eq!(sum.to_string(), expected.to_string());
            prop_assert_eq!(Sum::read(&sum.to_string()).unwrap().to_string(), sum.to_string());
        }
    }

    #[test]
    fn what_is_no_exact_number_is_none() {
        for text in ["", "-", "1e5", "NaN", "1.2.3", "--1", "1,5"] {
            assert!(Sum::read(text).is_none(), "{text}");
        }
        for (text, shown) in [("007.50", "7.5"), ("-0.00", "0"), ("+3", "3"), ("-0.05", "-0.05")] {
            assert_eq!(Sum::read(text).unwrap().to_string(), shown);
        }
    }
}
