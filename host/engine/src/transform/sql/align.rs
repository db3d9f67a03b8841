//! Comparisons between types that DataFusion does not compare, or compares in nanoseconds, which end in
//! the year 2262: moments with texts and dates, times of two units, uuids with texts. Texts that their
//! database fills up with blanks are compared without those, as there.

use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result as DfResult;
use datafusion::functions::string::expr_fn::rtrim;
use datafusion::logical_expr::expr::{
    Between, Cast, InList, InSubquery, ScalarFunction, SetComparison, TryCast,
};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, cast, lit};
use longshore_model::error::Error;
use longshore_values::{MomentUnit, is_padded};

use super::convert::{Conversion, UUID_BYTES, read_sql_moment, read_uuid, unreadable};
use super::padding::unpadded_subquery;
use super::types::is_uuid;
use super::{numbers, sizes};
use crate::datafusion_fault::IntoDataFusion;

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
                let (expr, list) = numbers::of_list(*expr, list, schema)?;
                let expr = Box::new(expr);
                let list = list.into_iter().map(|item| toward(&expr, item, schema));
                let list = list.collect::<DfResult<Vec<_>>>()?;
                let expr = match list.first() {
                    Some(first) => Box::new(toward(first, *expr, schema)?),
                    None => expr,
                };
                Ok(Transformed::yes(Expr::InList(InList { expr, list, negated })))
            }
            Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                let (expr, subquery) = numbers::of_subquery(expr, subquery, schema)?;
                let (expr, subquery) = unpadded_subquery(*expr, subquery, schema)?;
                Ok(Transformed::yes(Expr::InSubquery(InSubquery { expr, subquery, negated })))
            }
            Expr::SetComparison(sought) => {
                let SetComparison { expr, subquery, op, quantifier } = sought;
                let (expr, subquery) = numbers::of_subquery(expr, subquery, schema)?;
                let (expr, subquery) = unpadded_subquery(*expr, subquery, schema)?;
                let sought = SetComparison { expr, subquery, op, quantifier };
                Ok(Transformed::yes(Expr::SetComparison(sought)))
            }
            Expr::Cast(cast) => rewrite_cast(cast, schema),
            Expr::TryCast(cast) => rewrite_try_cast(cast, schema),
            Expr::Case(case) => Ok(Transformed::yes(Expr::Case(numbers::of_case(case, schema)?))),
            Expr::ScalarFunction(function) if numbers::has_one_type(function.name()) => {
                numbers::of_function(function, schema)
            }
            Expr::ScalarFunction(function) if sizes::makes_values(&function) => {
                Ok(Transformed::yes(sizes::bounded(function)))
            }
            Expr::ScalarFunction(function) if function.name() == "to_date" => {
                rewrite_to_date(function, schema)
            }
            Expr::ScalarFunction(function) if matches!(function.name(), "ceil" | "floor") => {
                rewrite_to_whole(function, schema)
            }
            Expr::ScalarFunction(function) if function.name() == "now" => {
                Ok(Transformed::yes(in_microseconds(Expr::ScalarFunction(function))))
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
        _ if numbers::meet_as_doubles(to, from) => numbers::as_double(expr),
        (_, DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, zone))
            if to != from && (is_text(to) || matches!(to, DataType::Timestamp(..))) =>
        {
            // A cast would be turned around by the optimizer, which cuts the other side.
            Conversion::Microseconds(zone.clone()).of(expr)
        }
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
                None => Conversion::OfText(to).of(expr),
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
        (DataType::Boolean, _) if text_of(&expr).is_some() => cast(expr, DataType::Boolean),
        _ if is_padded(&own) => rtrim(vec![expr]),
        _ if is_padded(&wanted)
            && let Some(text) = text_of(&expr) =>
        {
            lit(text.trim_end_matches(' '))
        }
        _ if is_uuid(&wanted) && is_text(from) => match text_of(&expr) {
            Some(text) => uuid_literal(text)?,
            None => Conversion::UuidOfText.of(expr),
        },
        _ => expr,
    })
}

/// An expression's field. To work out a whole one is slow, and only these types have metadata that counts.
fn field_of(expr: &Expr, schema: &DFSchema) -> DfResult<FieldRef> {
    let data_type = expr.get_type(schema)?;
    if is_text(&data_type) || matches!(data_type, DataType::FixedSizeBinary(_)) {
        return Ok(expr.to_field(schema)?.1);
    }
    Ok(Arc::new(Field::new("", data_type, true)))
}

/// As a cast: DataFusion's own moves a date by the zone of its text.
fn rewrite_to_date(mut function: ScalarFunction, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    if let [text] = function.args.as_slice()
        && is_text(&text.get_type(schema)?)
    {
        let date = Conversion::OfText(DataType::Date32).of(function.args.remove(0));
        return Ok(Transformed::yes(date));
    }
    Ok(Transformed::no(Expr::ScalarFunction(function)))
}

/// The clock has nanoseconds: what it is compared with mostly has not.
fn in_microseconds(now: Expr) -> Expr {
    cast(now, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))
}

/// 99.5 becomes 100: it has a digit more, for which the function makes no room.
fn rewrite_to_whole(
    mut function: ScalarFunction,
    schema: &DFSchema,
) -> DfResult<Transformed<Expr>> {
    let [number] = function.args.as_mut_slice() else {
        return Ok(Transformed::no(Expr::ScalarFunction(function)));
    };
    let (DataType::Decimal32(precision, scale)
    | DataType::Decimal64(precision, scale)
    | DataType::Decimal128(precision, scale)) = number.get_type(schema)?
    else {
        return Ok(Transformed::no(Expr::ScalarFunction(function)));
    };
    if scale <= 0 || precision == DECIMAL128_MAX_PRECISION {
        return Ok(Transformed::no(Expr::ScalarFunction(function)));
    }
    *number = cast(std::mem::take(number), DataType::Decimal128(precision + 1, scale));
    Ok(Transformed::yes(Expr::ScalarFunction(function)))
}

/// Types that a text is read as by our own rules.
fn is_read(data_type: &DataType) -> bool {
    is_moment(data_type) || matches!(data_type, DataType::Float32 | DataType::Float64)
}

fn is_moment(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Date32 | DataType::Time32(_) | DataType::Time64(_) | DataType::Timestamp(..)
    )
}

fn rewrite_try_cast(one: TryCast, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    let TryCast { expr, field } = one;
    let to = field.data_type();
    if is_text(&expr.get_type(schema)?) && is_read(to) {
        return Ok(Transformed::yes(Conversion::OfText(to.clone()).or_null(*expr)));
    }
    if is_text(&expr.get_type(schema)?) && to.is_nested() {
        return Ok(Transformed::yes(Conversion::NestedOfNull(to.clone()).or_null(*expr)));
    }
    Ok(Transformed::no(Expr::TryCast(TryCast { expr, field })))
}

fn rewrite_cast(one: Cast, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    let Cast { expr, field } = one;
    let from = field_of(&expr, schema)?;
    let to = field.data_type().clone();
    Ok(match (from.data_type(), &to) {
        (text, read) if is_text(text) && is_read(read) => match (text_of(&expr), read) {
            (Some(text), DataType::Timestamp(TimeUnit::Microsecond, zone)) => {
                Transformed::yes(moment_literal(text, zone.is_some())?)
            }
            _ => Transformed::yes(Conversion::OfText(to).of(*expr)),
        },
        // As DataFusion has it of its own moments: a number counts seconds.
        (number, DataType::Timestamp(TimeUnit::Microsecond, None)) if number.is_integer() => {
            let seconds = cast(*expr, DataType::Timestamp(TimeUnit::Second, None));
            Transformed::yes(cast(seconds, to))
        }
        (number, DataType::Time32(_) | DataType::Time64(_)) if number.is_integer() => {
            return Err(Error::config("a number is no time of the day")
                .with_hint("make a text of it, and cast that: CAST('12:00:00' AS TIME)")
                .external());
        }
        (_, text) if is_uuid(&from) && is_text(text) => {
            Transformed::yes(cast(Conversion::TextOfUuid.of(*expr), to))
        }
        // Arrow would make a list of one text of it, and of NULL a list of NULL.
        (text, nested) if is_text(text) && nested.is_nested() => {
            Transformed::yes(Conversion::NestedOfNull(to).of(*expr))
        }
        // Arrow casts no nested value to text: it becomes JSON, as in CSV.
        (nested, text) if nested.is_nested() && is_text(text) => {
            let conversion = Conversion::TextOfNested(from.clone());
            Transformed::yes(cast(conversion.of(*expr), to))
        }
        (text, _) if is_text(text) && is_uuid(&field) => match text_of(&expr) {
            Some(text) => Transformed::yes(uuid_literal(text)?),
            None => Transformed::yes(Conversion::UuidOfText.of(*expr)),
        },
        _ => Transformed::no(Expr::Cast(Cast { expr, field })),
    })
}

/// A moment in microseconds: a date, or a date and a time to the minute at least.
fn moment_literal(text: &str, has_zone: bool) -> DfResult<Expr> {
    let zone = has_zone.then(|| Arc::from("UTC"));
    let micros = read_sql_moment(text, MomentUnit::Microsecond, has_zone)
        .ok_or_else(|| unreadable("timestamp", text))?;
    Ok(Expr::Literal(ScalarValue::TimestampMicrosecond(Some(micros), zone), None))
}

fn uuid_literal(text: &str) -> DfResult<Expr> {
    let bytes = read_uuid(text)
        .ok_or_else(|| {
            Error::config(format!("'{text}' is no uuid"))
                .with_hint("write it as 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'")
        })
        .map_err(Error::external)?;
    Ok(Expr::Literal(ScalarValue::FixedSizeBinary(UUID_BYTES, Some(bytes)), None))
}
