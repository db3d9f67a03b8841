//! Casts that lose digits, or fail. DataFusion would take them out of comparisons, and compare what is cast with a
//! value of its own type: `CAST(1.5 AS BIGINT) = 1` would be false (apache/datafusion#23095, #24702).

use std::sync::Arc;

use arrow::compute::CastOptions;
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

/// Whether two values of a type can become the same one, or none, in another type.
pub(super) fn is_narrowing(from: &DataType, to: &DataType) -> bool {
    if let (DataType::Timestamp(from, _), DataType::Timestamp(to, _)) = (from, to) {
        return per_second(*to) < per_second(*from);
    }
    match (digits(from), digits(to)) {
        (Some((whole, fraction)), Some((whole_to, fraction_to))) => {
            let loses_sign = !from.is_unsigned_integer() && to.is_unsigned_integer();
            loses_sign || whole_to < whole || fraction_to < fraction
        }
        _ => false,
    }
}

fn per_second(unit: TimeUnit) -> u32 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// The digits before and behind the point that values of an exact type may have; of what a type must hold, rather
/// too many.
fn digits(of: &DataType) -> Option<(i16, i16)> {
    let whole = match of {
        DataType::Int8 | DataType::UInt8 => 3,
        DataType::Int16 | DataType::UInt16 => 5,
        DataType::Int32 | DataType::UInt32 => 10,
        DataType::Int64 => 19,
        DataType::UInt64 => 20,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            let scale = i16::from(*scale);
            return Some((i16::from(*precision) - scale, scale));
        }
        _ => return None,
    };
    Some((whole, 0))
}

/// A cast that stays where it is.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct NarrowingCast {
    to: DataType,
    /// What cannot be cast is NULL.
    or_null: bool,
    signature: Signature,
}

impl NarrowingCast {
    pub(super) fn new(to: DataType, or_null: bool) -> Self {
        Self { to, or_null, signature: Signature::any(1, Volatility::Immutable) }
    }

    pub(super) fn to(&self) -> &DataType {
        &self.to
    }
}

impl ScalarUDFImpl for NarrowingCast {
    fn name(&self) -> &str {
        if self.or_null { "narrowing_try_cast" } else { "narrowing_cast" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(self.to.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> DfResult<FieldRef> {
        let is_nullable = self.or_null || args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.to.clone(), is_nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let [value] = args.args.as_slice() else {
            return Err(DataFusionError::Internal("a cast of other than its value".into()));
        };
        let options = CastOptions { safe: self.or_null, ..Default::default() };
        value.cast_to(&self.to, Some(&options))
    }
}
