//! Arithmetic that fails where DataFusion's wraps: a sum of whole numbers that is too large becomes an
//! error, and not another number (apache/datafusion#3520, #12140, #17539).

use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::compute::kernels::numeric;
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Decimal256Type, IntervalUnit,
};
use arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::logical_expr::expr::{
    AggregateFunction, Cast, ScalarFunction, TryCast, WindowFunction,
};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, Projection,
    ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, Window,
    WindowFunctionDefinition, cast,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr_common::datum::{apply, apply_cmp};
use longshore_model::error::Error;

use super::narrowing::{NarrowingCast, is_narrowing};
use super::ordered_doubles::{OrderedDoubles, numbers_of};
use crate::datafusion_fault::IntoDataFusion;

/// The whole of a day in an interval's smallest part.
const NANOSECONDS_PER_DAY: i64 = 86_400_000_000_000;

/// The most digits whose sums a decimal of 38 digits holds, over ten thousand million rows.
const SUMMABLE_DIGITS: u8 = 28;

/// The most digits of a decimal that can be summed at all.
const SUMMABLE_DIGITS_256: u8 = 66;

/// Digits behind the point of a quotient of decimals.
const QUOTIENT_DIGITS: i8 = 16;

/// What Arrow gives more of them than the dividend has.
const ARROW_QUOTIENT_DIGITS: i8 = 4;

/// Puts checked arithmetic in the place of DataFusion's.
#[derive(Debug)]
pub(super) struct CheckedArithmetic;

impl AnalyzerRule for CheckedArithmetic {
    fn name(&self) -> &str {
        "checked_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> DfResult<LogicalPlan> {
        let checked = plan.transform_up_with_subqueries(|node| {
            let node = check_node(node)?;
            Ok(Transformed::yes(checked_aggregates(node)?))
        })?;
        Ok(checked.data)
    }
}

fn check_node(node: LogicalPlan) -> DfResult<LogicalPlan> {
    let mut schema = merge_schema(&node.inputs());
    if let LogicalPlan::TableScan(scan) = &node {
        let own = scan.source.schema();
        schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &own)?);
    }
    let names = NamePreserver::new(&node);
    let checked = node.map_expressions(|expr| {
        let name = names.save(&expr);
        let checked = expr.transform_up(|expr| check(expr, &schema))?;
        Ok(checked.update_data(|expr| name.restore(expr)))
    })?;
    if checked.transformed { checked.data.recompute_schema() } else { Ok(checked.data) }
}

fn check(expr: Expr, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    use Operator::{Divide, Minus, Modulo, Multiply, Plus};
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if matches!(op, Plus | Minus | Multiply | Divide | Modulo) =>
        {
            let mut types = [type_of(&left, schema)?, type_of(&right, schema)?];
            if !is_checked(op, &types[0], &types[1]) {
                let unchecked = BinaryExpr { left, op, right };
                return Ok(Transformed::no(Expr::BinaryExpr(unchecked)));
            }
            let mut left = *left;
            if op == Divide
                && let Some(finer) = dividend_type(&types[0], &types[1])
            {
                types[0] = finer.clone();
                left = cast(left, finer);
            }
            let checked = CheckedOperation::new(Some(op), &types)?;
            Transformed::yes(call(checked, vec![left, *right]))
        }
        Expr::Negative(inner) => {
            let own = type_of(&inner, schema)?;
            if !is_exact(&own) {
                return Ok(Transformed::no(Expr::Negative(inner)));
            }
            Transformed::yes(call(CheckedOperation::new(None, &[own])?, vec![*inner]))
        }
        Expr::Cast(Cast { expr, field }) => {
            let from = type_of(&expr, schema)?;
            if !is_narrowing(&from, field.data_type()) {
                return Ok(Transformed::no(Expr::Cast(Cast { expr, field })));
            }
            Transformed::yes(stays(*expr, field.data_type(), false))
        }
        Expr::TryCast(TryCast { expr, field }) => {
            let from = type_of(&expr, schema)?;
            if !is_narrowing(&from, field.data_type()) {
                return Ok(Transformed::no(Expr::TryCast(TryCast { expr, field })));
            }
            Transformed::yes(stays(*expr, field.data_type(), true))
        }
        Expr::WindowFunction(window) => {
            check_default(&window, schema)?;
            Transformed::no(Expr::WindowFunction(window))
        }
        other => Transformed::no(other),
    })
}

/// What `lag` and `lead` give where there is no row becomes a value of their column: a number must not lose digits.
fn check_default(window: &WindowFunction, schema: &DFSchema) -> DfResult<()> {
    let name = window.fun.name();
    let ([values, _, default], "lag" | "lead") = (window.params.args.as_slice(), name) else {
        return Ok(());
    };
    let (own, given) = (type_of(values, schema)?, type_of(default, schema)?);
    if !own.is_numeric() || !given.is_numeric() {
        return Ok(());
    }
    let is_exact = match default {
        Expr::Literal(value, _) => {
            let there = value.cast_to(&own).and_then(|cast| cast.cast_to(&given));
            there.is_ok_and(|back| back == *value)
        }
        _ => own == given || (own.is_integer() && given.is_integer()),
    };
    if is_exact {
        return Ok(());
    }
    let said = format!("{name}(): its default is {given}, and would lose digits as {own}");
    let wider = if given.is_floating() { "DOUBLE" } else { "DECIMAL(38,9)" };
    let hint = format!("cast the values: {name}(CAST(x AS {wider}), ..)");
    Err(Error::data(said).with_hint(hint).external())
}

/// The type of a dividend whose quotient has as many digits behind the point as a double tells apart, if there
/// is room for them. Arrow gives four more than the dividend's.
fn dividend_type(left: &DataType, right: &DataType) -> Option<DataType> {
    let (DataType::Decimal128(precision, scale), DataType::Decimal128(_, divisor_scale)) =
        (left, right)
    else {
        return None;
    };
    let wanted = QUOTIENT_DIGITS - ARROW_QUOTIENT_DIGITS - scale;
    let room = DECIMAL128_MAX_PRECISION as i8
        - ARROW_QUOTIENT_DIGITS
        - (*divisor_scale).max(0)
        - *precision as i8;
    let more = wanted.min(room);
    (more > 0).then(|| DataType::Decimal128(precision + more as u8, scale + more))
}

/// An expression's type. What was checked knows its own: to ask DataFusion for that of a long chain, link by link,
/// takes the third power of its length.
fn type_of(expr: &Expr, schema: &DFSchema) -> DfResult<DataType> {
    if let Expr::ScalarFunction(function) = expr
        && let Some(checked) = function.func.inner().downcast_ref::<CheckedOperation>()
    {
        return Ok(checked.gives.clone());
    }
    if let Expr::ScalarFunction(function) = expr
        && let Some(narrowed) = function.func.inner().downcast_ref::<NarrowingCast>()
    {
        return Ok(narrowed.to().clone());
    }
    expr.get_type(schema)
}

fn is_exact(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_decimal()
}

fn is_checked(op: Operator, left: &DataType, right: &DataType) -> bool {
    // A sum of doubles is a double; but no number divides by zero.
    let divides = matches!(op, Operator::Divide | Operator::Modulo);
    if divides && left.is_floating() && right.is_floating() {
        return true;
    }
    let moves_date = |a: &DataType, b: &DataType| {
        matches!((a, b), (DataType::Date32 | DataType::Date64, DataType::Interval(_)))
    };
    (is_exact(left) && is_exact(right)) || moves_date(left, right) || moves_date(right, left)
}

/// A cast that the optimizer does not take out.
fn stays(expr: Expr, to: &DataType, or_null: bool) -> Expr {
    let function = Arc::new(ScalarUDF::new_from_impl(NarrowingCast::new(to.clone(), or_null)));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![expr]))
}

fn call(function: CheckedOperation, args: Vec<Expr>) -> Expr {
    let function = Arc::new(ScalarUDF::new_from_impl(function));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, args))
}

/// One operation.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CheckedOperation {
    /// Without one it is the negation.
    op: Option<Operator>,
    /// Its result.
    gives: DataType,
    signature: Signature,
}

impl CheckedOperation {
    fn new(op: Option<Operator>, args: &[DataType]) -> DfResult<Self> {
        let gives = result_type(op, args)?;
        Ok(Self { op, gives, signature: Signature::any(args.len(), Volatility::Immutable) })
    }
}

fn result_type(op: Option<Operator>, args: &[DataType]) -> DfResult<DataType> {
    match (&op, args) {
        (Some(op), [left, right]) => BinaryTypeCoercer::new(left, op, right).get_result_type(),
        (None, [only]) => Ok(only.clone()),
        _ => Err(DataFusionError::Internal("an operation on other than its values".into())),
    }
}

impl ScalarUDFImpl for CheckedOperation {
    fn name(&self) -> &str {
        match self.op {
            None => "checked_negate",
            Some(Operator::Plus) => "checked_add",
            Some(Operator::Minus) => "checked_subtract",
            Some(Operator::Multiply) => "checked_multiply",
            Some(Operator::Divide) => "checked_divide",
            Some(_) => "checked_remainder",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> DfResult<DataType> {
        result_type(self.op, args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let out = match (self.op, args.args.as_slice()) {
            (None, [only]) => negated(only),
            (Some(op), [left, right]) => {
                refuse_part_days(left)?;
                refuse_part_days(right)?;
                refuse_zero_doubles(op, left, right)?;
                apply(left, right, kernel(op))
            }
            _ => {
                return Err(DataFusionError::Internal(
                    "an operation on other than its values".into(),
                ));
            }
        };
        let out = out.map_err(told)?;
        check_digits(&out).map_err(|error| told(error.into()))?;
        Ok(out)
    }
}

type Kernel = fn(
    &dyn arrow::array::Datum,
    &dyn arrow::array::Datum,
) -> Result<arrow::array::ArrayRef, ArrowError>;

fn kernel(op: Operator) -> Kernel {
    match op {
        Operator::Plus => numeric::add,
        Operator::Minus => numeric::sub,
        Operator::Multiply => numeric::mul,
        Operator::Divide => numeric::div,
        _ => numeric::rem,
    }
}

fn negated(value: &ColumnarValue) -> DfResult<ColumnarValue> {
    Ok(match value {
        ColumnarValue::Array(array) => ColumnarValue::Array(numeric::neg(array.as_ref())?),
        ColumnarValue::Scalar(value) => {
            let negated = numeric::neg(value.to_array()?.as_ref())?;
            ColumnarValue::Scalar(ScalarValue::try_from_array(&negated, 0)?)
        }
    })
}

/// A decimal's kernels check the bits of the number, and not how many digits it may have.
fn check_digits(value: &ColumnarValue) -> Result<(), ArrowError> {
    let array = match value {
        ColumnarValue::Array(array) => array.clone(),
        ColumnarValue::Scalar(value) if value.data_type().is_decimal() => {
            value.to_array().map_err(|error| ArrowError::ComputeError(error.to_string()))?
        }
        ColumnarValue::Scalar(_) => return Ok(()),
    };
    match array.data_type() {
        DataType::Decimal128(precision, _) => {
            array.as_primitive::<Decimal128Type>().validate_decimal_precision(*precision)
        }
        DataType::Decimal256(precision, _) => {
            array.as_primitive::<Decimal256Type>().validate_decimal_precision(*precision)
        }
        _ => Ok(()),
    }
}

/// Doubles divide by zero to infinity, which is no number of the source's.
fn refuse_zero_doubles(op: Operator, left: &ColumnarValue, right: &ColumnarValue) -> DfResult<()> {
    if !matches!(op, Operator::Divide | Operator::Modulo) || !right.data_type().is_floating() {
        return Ok(());
    }
    let zero = ColumnarValue::Scalar(ScalarValue::new_zero(&right.data_type())?);
    let is_zero = apply_cmp(Operator::Eq, right, &zero)?;
    let is_there = apply_cmp(Operator::Eq, left, left)?;
    let rows = match (&is_zero, &is_there) {
        (ColumnarValue::Array(array), _) | (_, ColumnarValue::Array(array)) => array.len(),
        _ => 1,
    };
    let (is_zero, is_there) = (is_zero.to_array(rows)?, is_there.to_array(rows)?);
    let both = arrow::compute::and_kleene(is_zero.as_boolean(), is_there.as_boolean())?;
    if both.true_count() > 0 {
        return Err(told(ArrowError::DivideByZero.into()));
    }
    Ok(())
}

/// A date has no hours: what an interval has of them would be dropped.
fn refuse_part_days(value: &ColumnarValue) -> DfResult<()> {
    let is_whole = match value {
        ColumnarValue::Scalar(ScalarValue::IntervalMonthDayNano(Some(interval))) => {
            interval.nanoseconds % NANOSECONDS_PER_DAY == 0
        }
        ColumnarValue::Scalar(ScalarValue::IntervalDayTime(Some(interval))) => {
            i64::from(interval.milliseconds) * 1_000_000 % NANOSECONDS_PER_DAY == 0
        }
        ColumnarValue::Array(array) => match array.data_type() {
            DataType::Interval(IntervalUnit::MonthDayNano) => array
                .as_primitive::<arrow::datatypes::IntervalMonthDayNanoType>()
                .iter()
                .flatten()
                .all(|interval| interval.nanoseconds % NANOSECONDS_PER_DAY == 0),
            _ => true,
        },
        ColumnarValue::Scalar(_) => true,
    };
    if !is_whole {
        return Err(Error::data("a date has no room for the hours of an interval")
            .with_hint("cast the date first: CAST(d AS TIMESTAMP) + INTERVAL '12 hours'")
            .external());
    }
    Ok(())
}

fn told(error: DataFusionError) -> DataFusionError {
    match error.find_root() {
        DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
            ArrowError::DivideByZero => Error::data("a division by zero")
                .with_hint("leave such rows out, or write NULLIF(divisor, 0)")
                .external(),
            ArrowError::ArithmeticOverflow(_) | ArrowError::InvalidArgumentError(_) => Error::data(
                format!("arithmetic overflow: {}", plain(arrow)),
            )
            .with_hint(
                "cast one side to a wider type first: CAST(a AS BIGINT), CAST(a AS DECIMAL(38,0))",
            )
            .external(),
            _ => error,
        },
        _ => error,
    }
}

fn plain(error: &ArrowError) -> String {
    match error {
        ArrowError::ArithmeticOverflow(text) | ArrowError::InvalidArgumentError(text) => {
            text.trim_start_matches("Overflow happened on: ").to_owned()
        }
        other => other.to_string(),
    }
}

/// Aggregates over values of another type: sums in one that they cannot leave, and the least and the greatest double
/// in one that has an order. An aggregate must be the outermost of its expression, so the way back to its own type is
/// a projection on top.
fn checked_aggregates(node: LogicalPlan) -> DfResult<LogicalPlan> {
    let (input, schema) = match &node {
        LogicalPlan::Aggregate(aggregate) => (aggregate.input.clone(), aggregate.schema.clone()),
        LogicalPlan::Window(window) => (window.input.clone(), window.schema.clone()),
        _ => return Ok(node),
    };
    let turn = |exprs: &[Expr]| -> DfResult<Vec<(Expr, Option<WayBack>)>> {
        exprs.iter().map(|expr| turned(expr, input.schema())).collect()
    };
    let (node, ways) = match node {
        LogicalPlan::Aggregate(aggregate) => {
            let (exprs, ways) =
                turn(&aggregate.aggr_expr)?.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
            if ways.iter().all(Option::is_none) {
                return Ok(LogicalPlan::Aggregate(aggregate));
            }
            let turned = Aggregate::try_new(aggregate.input, aggregate.group_expr, exprs)?;
            (LogicalPlan::Aggregate(turned), ways)
        }
        LogicalPlan::Window(window) => {
            let (exprs, ways) =
                turn(&window.window_expr)?.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
            if ways.iter().all(Option::is_none) {
                return Ok(LogicalPlan::Window(window));
            }
            (LogicalPlan::Window(Window::try_new(exprs, window.input)?), ways)
        }
        other => return Ok(other),
    };
    // What was not turned comes first: groups, or the window's input.
    let kept = schema.fields().len() - ways.len();
    let mut back = Vec::with_capacity(schema.fields().len());
    for (place, (relation, field)) in schema.iter().enumerate() {
        let column = Expr::Column(Column::new(relation.cloned(), field.name()));
        back.push(match place.checked_sub(kept).and_then(|at| ways[at].clone()) {
            Some(way) => way.of(column).alias_qualified(relation.cloned(), field.name()),
            None => column,
        });
    }
    Ok(LogicalPlan::Projection(Projection::try_new(back, Arc::new(node))?))
}

/// The way from an aggregate over values of another type back to its own.
#[derive(Clone)]
enum WayBack {
    /// From a wider type.
    Cast(DataType),
    /// From numbers in the order of doubles of this type.
    Double(DataType),
}

impl WayBack {
    fn of(self, expr: Expr) -> Expr {
        match self {
            Self::Cast(to) => cast(expr, to),
            Self::Double(to) => of_doubles(expr, to),
        }
    }
}

fn of_doubles(expr: Expr, gives: DataType) -> Expr {
    let function = Arc::new(ScalarUDF::new_from_impl(OrderedDoubles::new(gives)));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![expr]))
}

/// An aggregate over values of another type, under its own name, and the way back; or the expression as it is.
fn turned(expr: &Expr, schema: &DFSchema) -> DfResult<(Expr, Option<WayBack>)> {
    let (inner, name) = match expr {
        Expr::Alias(alias) => (alias.expr.as_ref(), (alias.relation.clone(), alias.name.clone())),
        other => (other, other.qualified_name()),
    };
    let (aggregate, args) = match inner {
        Expr::AggregateFunction(function) => (function.func.name(), &function.params.args),
        Expr::WindowFunction(window) => (aggregate_name(&window.fun), &window.params.args),
        _ => return Ok((expr.clone(), None)),
    };
    let [arg] = args.as_slice() else { return Ok((expr.clone(), None)) };
    let own = arg.get_type(schema)?;
    let (arg, way) = match aggregate {
        "sum" => {
            let Some(wide) = summable(&own)? else { return Ok((expr.clone(), None)) };
            (cast(arg.clone(), wide), WayBack::Cast(inner.get_type(schema)?))
        }
        "min" | "max" => {
            let Some(numbers) = numbers_of(&own) else { return Ok((expr.clone(), None)) };
            (of_doubles(arg.clone(), numbers), WayBack::Double(own))
        }
        _ => return Ok((expr.clone(), None)),
    };
    let turned = match inner.clone() {
        Expr::AggregateFunction(AggregateFunction { func, mut params }) => {
            params.args = vec![arg];
            Expr::AggregateFunction(AggregateFunction { func, params })
        }
        Expr::WindowFunction(window) => {
            let WindowFunction { fun, mut params } = *window;
            params.args = vec![arg];
            Expr::WindowFunction(Box::new(WindowFunction { fun, params }))
        }
        other => other,
    };
    Ok((turned.alias_qualified(name.0, name.1), Some(way)))
}

/// The type that sums of a type cannot leave, if it is another one.
fn summable(own: &DataType) -> DfResult<Option<DataType>> {
    Ok(match own {
        own if own.is_integer() => Some(DataType::Decimal128(38, 0)),
        DataType::Decimal128(precision, scale) if *precision > SUMMABLE_DIGITS => {
            Some(DataType::Decimal256(76, *scale))
        }
        DataType::Decimal256(precision, _) if *precision > SUMMABLE_DIGITS_256 => {
            return Err(Error::data(format!(
                "sum() of numbers with {precision} digits can overflow"
            ))
            .with_hint("cast them first: sum(CAST(x AS DECIMAL(38,2)))")
            .external());
        }
        _ => None,
    })
}

fn aggregate_name(function: &WindowFunctionDefinition) -> &str {
    match function {
        WindowFunctionDefinition::AggregateUDF(function) => function.name(),
        WindowFunctionDefinition::WindowUDF(_) => "",
    }
}
