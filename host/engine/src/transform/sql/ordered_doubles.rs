//! Doubles as whole numbers in the same order, with NaN as the greatest. The least and the greatest double of a group
//! would depend on the order of its rows otherwise, once it has a NaN (apache/datafusion#24432).

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

/// The whole numbers that doubles of a type become; none of another type.
pub(super) fn numbers_of(doubles: &DataType) -> Option<DataType> {
    match doubles {
        DataType::Float32 => Some(DataType::Int32),
        DataType::Float64 => Some(DataType::Int64),
        _ => None,
    }
}

/// From doubles to numbers, or back: to whichever type it gives.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct OrderedDoubles {
    gives: DataType,
    signature: Signature,
}

impl OrderedDoubles {
    pub(super) fn new(gives: DataType) -> Self {
        Self { gives, signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for OrderedDoubles {
    fn name(&self) -> &str {
        if self.gives.is_floating() { "double_of_number" } else { "number_of_double" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(self.gives.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let values = ColumnarValue::values_to_arrays(&args.args)?;
        let [values] = values.as_slice() else {
            return Err(DataFusionError::Internal("a double of other than its value".into()));
        };
        let turned: ArrayRef = match self.gives {
            DataType::Int64 => {
                let numbers = values.as_primitive::<Float64Type>();
                Arc::new(numbers.unary::<_, Int64Type>(|value| ordered(one_nan(value))))
            }
            DataType::Int32 => {
                let numbers = values.as_primitive::<Float32Type>();
                Arc::new(numbers.unary::<_, Int32Type>(|value| ordered_32(one_nan_32(value))))
            }
            DataType::Float64 => {
                let numbers = values.as_primitive::<Int64Type>();
                Arc::new(numbers.unary::<_, Float64Type>(|number| f64::from_bits(turn(number))))
            }
            _ => {
                let numbers = values.as_primitive::<Int32Type>();
                Arc::new(numbers.unary::<_, Float32Type>(|number| f32::from_bits(turn_32(number))))
            }
        };
        Ok(ColumnarValue::Array(turned))
    }
}

/// Of the many NaNs one, without a sign.
fn one_nan(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

fn one_nan_32(value: f32) -> f32 {
    if value.is_nan() { f32::NAN } else { value }
}

fn ordered(value: f64) -> i64 {
    turn(value.to_bits().cast_signed()).cast_signed()
}

fn ordered_32(value: f32) -> i32 {
    turn_32(value.to_bits().cast_signed()).cast_signed()
}

/// Turns the bits below the sign around where that is set; twice is the same again.
fn turn(bits: i64) -> u64 {
    bits.cast_unsigned() ^ ((bits >> 63).cast_unsigned() >> 1)
}

fn turn_32(bits: i32) -> u32 {
    bits.cast_unsigned() ^ ((bits >> 31).cast_unsigned() >> 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_have_the_order_of_their_doubles_and_lead_back(a: f64, b: f64, c: f32, d: f32) {
            let (a, b, c, d) = (one_nan(a), one_nan(b), one_nan_32(c), one_nan_32(d));
            prop_assert_eq!(ordered(a).cmp(&ordered(b)), a.total_cmp(&b));
            prop_assert_eq!(ordered_32(c).cmp(&ordered_32(d)), c.total_cmp(&d));
            prop_assert_eq!(turn(ordered(a)), a.to_bits());
            prop_assert_eq!(turn_32(ordered_32(c)), c.to_bits());
        }
    }

    #[test]
    fn nothing_is_greater_than_nan() {
        assert!(ordered(one_nan(-f64::NAN)) > ordered(f64::INFINITY));
        assert!(ordered(f64::NEG_INFINITY) < ordered(-f64::MAX));
        assert!(ordered(-0.0) < ordered(0.0));
    }
}
