//! Comparisons between types that DataFusion does not compare, or compares in nanoseconds, which end in
//! the year 2262: moments with texts and dates, times of two units, uuids with texts. Texts that their
//! database fills up with blanks are compared without those, as there.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, FixedSizeBinaryBuilder, StringArray,
};
use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::functions::string::expr_fn::rtrim;
use datafusion::logical_expr::expr::{Between, Cast, InList, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility, cast, lit,
};
use longshore_values::{MomentUnit, Zone, is_padded, read_date, read_moment, text_column};

use super::types::is_uuid;
use crate::error::Error;

/// Bytes of a uuid.
const UUID_BYTES: i32 = 16;

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// Gives both sides of a comparison one type: of `=` and the like while SQL is planned, as DataFusion refuses
/// there what it cannot compare; of all else before it makes types fit.
#[derive(Debug)]
pub(super) struct AlignTypes;

impl ExprPlanner for AlignTypes {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> DfResult<PlannerResult<RawBinaryExpr>> {
        use datafusion::sql::sqlparser::ast::BinaryOperator as Sql;
        let RawBinaryExpr { op, left, right } = expr;
        let compares =
            matches!(op, Sql::Eq | Sql::NotEq | Sql::Lt | Sql::LtEq | Sql::Gt | Sql::GtEq);
        if !compares {
            return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }));
        }
        let right = toward(&left, right, schema)?;
        let left = toward(&right, left, schema)?;
        Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }))
    }
}

impl FunctionRewrite for AlignTypes {
    fn name(&self) -> &str {
        "align_types"
    }

    fn rewrite(
        &self,
        expr: Expr,
        schema: &DFSchema,
        _: &ConfigOptions,
    ) -> DfResult<Transformed<Expr>> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(op) => {
                let (left, right) = (*left, *right);
                let right = toward(&left, right, schema)?;
                let left = toward(&right, left, schema)?;
                let binary = BinaryExpr { left: Box::new(left), op, right: Box::new(right) };
                Ok(Transformed::yes(Expr::BinaryExpr(binary)))
            }
            Expr::Between(Between { expr, negated, low, high }) => {
                let low = Box::new(toward(&expr, *low, schema)?);
                let high = Box::new(toward(&expr, *high, schema)?);
                let expr = Box::new(toward(&low, *expr, schema)?);
                Ok(Transformed::yes(Expr::Between(Between { expr, negated, low, high })))
            }
            Expr::InList(InList { expr, list, negated }) => {
                let list = list.into_iter().map(|item| toward(&expr, item, schema));
                let list = list.collect::<DfResult<Vec<_>>>()?;
                let expr = match list.first() {
                    Some(first) => Box::new(toward(first, *expr, schema)?),
                    None => expr,
                };
                Ok(Transformed::yes(Expr::InList(InList { expr, list, negated })))
            }
            Expr::Cast(cast) => rewrite_cast(cast, schema),
            // The clock has nanoseconds: what it is compared with mostly has not.
            Expr::ScalarFunction(function) if function.name() == "now" => {
                let now = Expr::ScalarFunction(function);
                let to = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
                Ok(Transformed::yes(cast(now, to)))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

fn compares(op: Operator) -> bool {
    op.supports_propagation()
        || matches!(op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom)
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn text_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(
            ScalarValue::Utf8(Some(text))
            | ScalarValue::LargeUtf8(Some(text))
            | ScalarValue::Utf8View(Some(text)),
            _,
        ) => Some(text),
        _ => None,
    }
}

/// One side, in the type of the other where DataFusion's own choice fails or loses.
fn toward(to: &Expr, expr: Expr, schema: &DFSchema) -> DfResult<Expr> {
    let (wanted, own) = (field_of(to, schema)?, field_of(&expr, schema)?);
    let (to, from) = (wanted.data_type(), own.data_type());
    Ok(match (to, from) {
        (
            DataType::Timestamp(
                TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond,
                zone,
            ),
            _,
        ) if is_text(from) => {
            let to = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
            match text_of(&expr) {
                Some(text) => moment_literal(text, zone.is_some())?,
                None => cast(expr, to),
            }
        }
        (
            DataType::Timestamp(
                TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond,
                zone,
            ),
            DataType::Date32,
        ) => cast(expr, DataType::Timestamp(TimeUnit::Microsecond, zone.clone())),
        (DataType::Time32(_) | DataType::Time64(_), DataType::Time32(_) | DataType::Time64(_))
            if to != from =>
        {
            // Both sides come here: all units fit.
            cast(expr, DataType::Time64(TimeUnit::Nanosecond))
        }
        _ if is_padded(&own) => rtrim(vec![expr]),
        _ if is_padded(&wanted)
            && let Some(text) = text_of(&expr) =>
        {
            lit(text.trim_end_matches(' '))
        }
        _ if is_uuid(&wanted) && is_text(from) => match text_of(&expr) {
            Some(text) => uuid_literal(text)?,
            None => call(Conversion::UuidOfText, expr),
        },
        _ => expr,
    })
}

fn field_of(expr: &Expr, schema: &DFSchema) -> DfResult<FieldRef> {
    Ok(expr.to_field(schema)?.1)
}

fn rewrite_cast(one: Cast, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    let Cast { expr, field } = one;
    let from = field_of(&expr, schema)?;
    let to = field.data_type().clone();
    Ok(match (from.data_type(), &to) {
        (text, DataType::Timestamp(TimeUnit::Microsecond, zone)) if is_text(text) => {
            match text_of(&expr) {
                Some(text) => Transformed::yes(moment_literal(text, zone.is_some())?),
                None => Transformed::no(Expr::Cast(Cast { expr, field })),
            }
        }
        // As DataFusion has it of its own moments: a number counts seconds.
        (number, DataType::Timestamp(TimeUnit::Microsecond, None)) if number.is_integer() => {
            let seconds = cast(*expr, DataType::Timestamp(TimeUnit::Second, None));
            Transformed::yes(cast(seconds, to))
        }
        (number, DataType::Time32(_) | DataType::Time64(_)) if number.is_integer() => {
            return Err(Error::config("a number is no time of the day")
                .with_hint("make a text of it, and cast that: CAST('12:00:00' AS TIME)")
                .into());
        }
        (_, text) if is_uuid(&from) && is_text(text) => {
            Transformed::yes(cast(call(Conversion::TextOfUuid, *expr), to))
        }
        // Arrow casts no nested value to text: it becomes JSON, as in CSV.
        (nested, text) if nested.is_nested() && is_text(text) => {
            let conversion = Conversion::TextOfNested(from.clone());
            Transformed::yes(cast(call(conversion, *expr), to))
        }
        (text, _) if is_text(text) && is_uuid(&field) => match text_of(&expr) {
            Some(text) => Transformed::yes(uuid_literal(text)?),
            None => Transformed::yes(call(Conversion::UuidOfText, *expr)),
        },
        _ => Transformed::no(Expr::Cast(Cast { expr, field })),
    })
}

/// A moment in microseconds: a date, or a date and a time to the minute at least.
fn moment_literal(text: &str, has_zone: bool) -> DfResult<Expr> {
    let zone = if has_zone { Some(Arc::from("UTC")) } else { None };
    let wrong = || {
        Error::config(format!("'{text}' is no timestamp"))
            .with_hint("write it as '2026-11-20 10:00:00', with up to six digits of a second")
    };
    let micros = read_literal(text.trim(), has_zone).ok_or_else(wrong)?;
    Ok(Expr::Literal(ScalarValue::TimestampMicrosecond(Some(micros), zone), None))
}

fn read_literal(text: &str, has_zone: bool) -> Option<i64> {
    if let Some(days) = read_date(text.as_bytes()) {
        return days.checked_mul(MICROSECONDS_PER_DAY);
    }
    let read = |text: &str, zone| read_moment(text.as_bytes(), MomentUnit::Microsecond, zone);
    // Without seconds they are none; without a zone it is the session's, UTC.
    let with_seconds = |text: &str| {
        let (date, clock) = text.split_once([' ', 'T'])?;
        let minutes = clock.get(..5)?;
        Some(format!("{date} {minutes}:00{}", &clock[5..]))
    };
    let texts = [Some(text.to_owned()), with_seconds(text)];
    texts.iter().flatten().find_map(|text| {
        read(text, Zone::None).or_else(|| has_zone.then(|| read(text, Zone::Offset(0))).flatten())
    })
}

fn uuid_literal(text: &str) -> DfResult<Expr> {
    let bytes = read_uuid(text).ok_or_else(|| {
        Error::config(format!("'{text}' is no uuid"))
            .with_hint("write it as 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'")
    })?;
    Ok(Expr::Literal(ScalarValue::FixedSizeBinary(UUID_BYTES, Some(bytes)), None))
}

/// As PostgreSQL reads them: with or without hyphens and braces, in any case.
fn read_uuid(text: &str) -> Option<Vec<u8>> {
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let digits: Vec<u8> = inner.bytes().filter(|byte| *byte != b'-').collect();
    let (pairs, rest) = digits.as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| Some((digit(*high)? * 16 + digit(*low)?) as u8)).collect();
    bytes.filter(|bytes| rest.is_empty() && bytes.len() == UUID_BYTES as usize)
}

fn write_uuid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

fn call(what: Conversion, arg: Expr) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    let function = Arc::new(ScalarUDF::new_from_impl(Convert { what, signature }));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![arg]))
}

/// What Arrow's casts do not convert.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Conversion {
    /// A list, struct or map of this field to JSON.
    TextOfNested(FieldRef),
    TextOfUuid,
    UuidOfText,
}

/// A conversion, as DataFusion calls it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Convert {
    what: Conversion,
    signature: Signature,
}

impl ScalarUDFImpl for Convert {
    fn name(&self) -> &str {
        match self.what {
            Conversion::TextOfNested(_) => "json_text",
            Conversion::TextOfUuid => "uuid_text",
            Conversion::UuidOfText => "uuid_of_text",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(match self.what {
            Conversion::TextOfNested(_) | Conversion::TextOfUuid => DataType::Utf8,
            Conversion::UuidOfText => DataType::FixedSizeBinary(UUID_BYTES),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let values = &arrays[0];
        Ok(ColumnarValue::Array(match &self.what {
            Conversion::TextOfNested(field) => text_column(field, values)?
                .ok_or_else(|| DataFusionError::Internal("no nested value".into()))?,
            Conversion::TextOfUuid => texts_of_uuids(values)?,
            Conversion::UuidOfText => uuids_of_texts(values)?,
        }))
    }
}

fn texts_of_uuids(values: &ArrayRef) -> DfResult<ArrayRef> {
    let uuids = values.as_any().downcast_ref::<FixedSizeBinaryArray>();
    let uuids = uuids.ok_or_else(|| DataFusionError::Internal("no uuids".into()))?;
    let texts: StringArray = uuids.iter().map(|uuid| uuid.map(write_uuid)).collect();
    Ok(Arc::new(texts))
}

fn uuids_of_texts(values: &ArrayRef) -> DfResult<ArrayRef> {
    let texts = arrow::compute::cast(values, &DataType::Utf8)?;
    let mut uuids = FixedSizeBinaryBuilder::with_capacity(texts.len(), UUID_BYTES);
    for text in texts.as_string::<i32>() {
        let Some(text) = text else {
            uuids.append_null();
            continue;
        };
        let bytes = read_uuid(text)
            .ok_or_else(|| DataFusionError::from(Error::data(format!("'{text}' is no uuid"))))?;
        uuids.append_value(bytes)?;
    }
    Ok(Arc::new(uuids.finish()))
}
