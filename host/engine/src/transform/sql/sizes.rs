//! Functions that make values of any size: what they make of a batch of rows has a limit, as no budget of memory
//! knows of it (apache/datafusion#20163).

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};
use longshore_model::error::Error;

use crate::datafusion_fault::IntoDataFusion;

/// What one of these functions may make of a batch of rows.
pub const SQL_MADE_LIMIT_BYTES: u64 = 256 << 20;

/// Bytes of a value in a list.
const VALUE_BYTES: &str = "12345678";

/// How an argument says how much is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Measure {
    /// So many times the length of the text.
    Count,
    /// A value for each number from the other one on.
    Span,
}

/// The place of the argument that says how much, and the other one that tells it.
fn measure_of(function: &ScalarFunction) -> Option<(usize, Measure, Expr)> {
    let args = &function.args;
    let (place, measure, other) = match (function.name(), args.len()) {
        ("repeat", 2) => (1, Measure::Count, args[0].clone()),
        ("lpad" | "rpad", 2..) => (1, Measure::Count, lit("1")),
        ("array_repeat" | "array_resize", 2..) => (1, Measure::Count, lit(VALUE_BYTES)),
        ("range" | "generate_series", 1) => (0, Measure::Span, lit(0_i64)),
        ("range" | "generate_series", 2..) => (1, Measure::Span, args[0].clone()),
        _ => return None,
    };
    let is_bounded = matches!(&args[place], Expr::ScalarFunction(own) if own.name() == NAME);
    (!is_bounded).then_some((place, measure, other))
}

/// Whether a function makes as much as one of its arguments says.
pub(super) fn makes_values(function: &ScalarFunction) -> bool {
    measure_of(function).is_some()
}

/// The function, with its count checked.
pub(super) fn bounded(mut function: ScalarFunction) -> Expr {
    if let Some((place, measure, other)) = measure_of(&function) {
        let signature = Signature::any(2, Volatility::Immutable);
        let check = Arc::new(ScalarUDF::new_from_impl(BoundedCount { measure, signature }));
        let args = vec![function.args[place].clone(), other];
        function.args[place] = Expr::ScalarFunction(ScalarFunction::new_udf(check, args));
    }
    Expr::ScalarFunction(function)
}

const NAME: &str = "bounded_count";

/// Gives the count, if so many of the values of all rows are not too much.
#[derive(Debug, PartialEq, Eq, Hash)]
struct BoundedCount {
    measure: Measure,
    signature: Signature,
}

impl ScalarUDFImpl for BoundedCount {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> DfResult<DataType> {
        Ok(args.first().cloned().unwrap_or(DataType::Int64))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let rows = args.number_rows;
        let arrays =
            args.args.iter().map(|arg| arg.to_array(rows)).collect::<DfResult<Vec<_>>>()?;
        let bytes = match self.measure {
            Measure::Count => counted_bytes(&arrays[0], &arrays[1])?,
            Measure::Span => spanned_bytes(&arrays[0], &arrays[1])?,
        };
        if bytes > SQL_MADE_LIMIT_BYTES {
            return Err(Error::data(format!(
                "a function makes {} MiB of a few rows, the limit is {} MiB",
                bytes >> 20,
                SQL_MADE_LIMIT_BYTES >> 20
            ))
            .with_hint(
                "give repeat, lpad, rpad, array_repeat, array_resize or range a smaller count",
            )
            .external());
        }
        Ok(args.args[0].clone())
    }
}

fn counted_bytes(counts: &ArrayRef, texts: &ArrayRef) -> DfResult<u64> {
    let counts = arrow::compute::cast(counts, &DataType::Int64)?;
    let lengths = arrow::compute::kernels::length::length(texts)?;
    let lengths = arrow::compute::cast(&lengths, &DataType::Int64)?;
    let pairs = counts.as_primitive::<Int64Type>().iter().zip(lengths.as_primitive::<Int64Type>());
    let made = pairs.filter_map(|(count, length)| Some((count?, length?)));
    let made = made.map(|(count, length)| count.max(0).saturating_mul(length) as u64);
    Ok(made.fold(0, u64::saturating_add))
}

/// Dates and timestamps go by steps that say little here.
fn spanned_bytes(to: &ArrayRef, from: &ArrayRef) -> DfResult<u64> {
    if !to.data_type().is_integer() || !from.data_type().is_integer() {
        return Ok(0);
    }
    let to = arrow::compute::cast(to, &DataType::Int64)?;
    let from = arrow::compute::cast(from, &DataType::Int64)?;
    let pairs = to.as_primitive::<Int64Type>().iter().zip(from.as_primitive::<Int64Type>());
    let spans = pairs.filter_map(|(to, from)| Some(to?.abs_diff(from?)));
    let value_bytes = VALUE_BYTES.len() as u64;
    Ok(spans.map(|span| span.saturating_mul(value_bytes)).fold(0, u64::saturating_add))
}
