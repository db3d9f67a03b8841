//! Numbers in SQL. A literal with a point is exact, one with an exponent is a double. Where decimals and doubles
//! meet, they are compared and brought together as doubles: DataFusion would make decimals with fifteen digits
//! behind the point of both (apache/datafusion#14272).

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, DecimalType};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchema, JoinConstraint, ScalarValue};
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::expr::{Case, Cast, ScalarFunction};
use datafusion::logical_expr::{
    Expr, ExprSchemable, Join, LogicalPlan, Projection, Subquery, Union, Values, cast,
};
use datafusion::sql::sqlparser::ast::{
    CastKind, DataType as SqlType, ExactNumberInfo, Expr as SqlExpr, Statement, Value, VisitMut,
    VisitorMut,
};
use longshore_model::error::Error;

use super::padding::unpadded;
use crate::datafusion_fault::IntoDataFusion;

/// Functions that give one of their arguments, or a list of them.
const ONE_TYPE: [&str; 8] =
    ["coalesce", "greatest", "least", "nvl", "ifnull", "nvl2", "nullif", "make_array"];

/// Makes doubles of numbers that are written with an exponent, as standard SQL has it.
pub(super) fn read_exponents(statement: &mut Statement) {
    struct Exponents;
    impl VisitorMut for Exponents {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<()> {
            if let SqlExpr::Value(value) = expr
                && let Value::Number(text, _) = &value.value
                && text.contains(['e', 'E'])
            {
                let text = Value::SingleQuotedString(text.clone());
                *expr = SqlExpr::Cast {
                    kind: CastKind::Cast,
                    expr: Box::new(SqlExpr::Value(text.into())),
                    data_type: SqlType::Double(ExactNumberInfo::None),
                    array: false,
                    format: None,
                };
            }
            ControlFlow::Continue(())
        }
    }
    let _ = statement.visit(&mut Exponents);
}

/// Whether this one must become a double where it meets the other.
pub(super) fn meet_as_doubles(other: &DataType, own: &DataType) -> bool {
    other.is_floating() && own.is_decimal()
}

/// A decimal as a double; of a literal, the nearest one.
pub(super) fn as_double(expr: Expr) -> Expr {
    let text = match &expr {
        Expr::Literal(ScalarValue::Decimal128(Some(value), precision, scale), _) => {
            Decimal128Type::format_decimal(*value, *precision, *scale)
        }
        Expr::Literal(ScalarValue::Decimal256(Some(value), precision, scale), _) => {
            Decimal256Type::format_decimal(*value, *precision, *scale)
        }
        _ => return cast(expr, DataType::Float64),
    };
    match text.parse() {
        Ok(double) => Expr::Literal(ScalarValue::Float64(Some(double)), None),
        Err(_) => cast(expr, DataType::Float64),
    }
}

/// Doubles of all decimals, if there is a double among them.
fn together(exprs: Vec<Expr>, schema: &DFSchema) -> DfResult<Vec<Expr>> {
    let types = exprs.iter().map(|expr| expr.get_type(schema)).collect::<DfResult<Vec<_>>>()?;
    if !types.iter().any(DataType::is_floating) {
        return Ok(exprs);
    }
    let one = |(expr, of): (Expr, &DataType)| if of.is_decimal() { as_double(expr) } else { expr };
    Ok(exprs.into_iter().zip(&types).map(one).collect())
}

/// What is sought in a list, and the list.
pub(super) fn of_list(
    expr: Expr,
    mut list: Vec<Expr>,
    schema: &DFSchema,
) -> DfResult<(Expr, Vec<Expr>)> {
    list.insert(0, expr);
    let mut list = together(list, schema)?;
    let expr = list.remove(0);
    Ok((expr, list))
}

/// Whether a function's arguments become one type.
pub(super) fn has_one_type(function: &str) -> bool {
    ONE_TYPE.contains(&function)
}

pub(super) fn of_function(
    function: ScalarFunction,
    schema: &DFSchema,
) -> DfResult<Transformed<Expr>> {
    let args = together(function.args, schema)?;
    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { args, ..function })))
}

pub(super) fn of_case(case: Case, schema: &DFSchema) -> DfResult<Case> {
    let Case { expr, when_then_expr, else_expr } = case;
    let (whens, thens): (Vec<Expr>, Vec<Expr>) =
        when_then_expr.into_iter().map(|(when, then)| (*when, *then)).unzip();
    let (expr, whens) = match expr {
        Some(expr) => {
            let (expr, whens) = of_list(*expr, whens, schema)?;
            (Some(Box::new(expr)), whens)
        }
        None => (None, whens),
    };
    let branches = thens.len();
    let results = thens.into_iter().chain(else_expr.map(|expr| *expr)).collect();
    let mut results = together(results, schema)?;
    let else_expr = if results.len() > branches { results.pop().map(Box::new) } else { None };
    let pairs = whens.into_iter().zip(results);
    let when_then_expr = pairs.map(|(when, then)| (Box::new(when), Box::new(then))).collect();
    Ok(Case { expr, when_then_expr, else_expr })
}

/// What is sought among a subquery's rows, and the subquery.
pub(super) fn of_subquery(
    expr: Box<Expr>,
    mut subquery: Subquery,
    schema: &DFSchema,
) -> DfResult<(Box<Expr>, Subquery)> {
    let own = expr.get_type(schema)?;
    let other = subquery.subquery.schema().field(0).data_type().clone();
    if own.is_floating() {
        subquery.subquery = with_doubles(&subquery.subquery, &[0])?;
    }
    let expr = if meet_as_doubles(&other, &own) { Box::new(as_double(*expr)) } else { expr };
    Ok((expr, subquery))
}

/// Makes doubles of the decimals that unions put under doubles, and joins compare with them.
pub(super) fn of_plan(plan: LogicalPlan) -> DfResult<LogicalPlan> {
    let aligned = plan.transform_up_with_subqueries(|node| {
        Ok(Transformed::yes(match node {
            LogicalPlan::Union(union) => LogicalPlan::Union(of_union(&union)?),
            LogicalPlan::Join(join) => LogicalPlan::Join(of_join(join)?),
            LogicalPlan::Values(values) => {
                refuse_cut_values(&values)?;
                LogicalPlan::Values(values)
            }
            other => other,
        }))
    })?;
    Ok(aligned.data)
}

fn of_union(union: &Union) -> DfResult<Union> {
    let is_double = |column: &usize| {
        let fields = union.inputs.iter().filter_map(|input| input.schema().fields().get(*column));
        fields.into_iter().any(|field| field.data_type().is_floating())
    };
    let doubles: Vec<usize> = (0..union.schema.fields().len()).filter(is_double).collect();
    let inputs = union.inputs.iter().map(|input| with_doubles(input, &doubles));
    Union::try_new_with_loose_types(inputs.collect::<DfResult<Vec<_>>>()?)
}

fn of_join(mut join: Join) -> DfResult<Join> {
    for (left, right) in &mut join.on {
        let types = (left.get_type(join.left.schema())?, right.get_type(join.right.schema())?);
        if meet_as_doubles(&types.1, &types.0) {
            *left = as_double(std::mem::take(left));
        } else if meet_as_doubles(&types.0, &types.1) {
            *right = as_double(std::mem::take(right));
        } else {
            let [own_left, own_right] = [left.clone(), right.clone()];
            *left = unpadded(std::mem::take(left), join.left.schema())?;
            *right = unpadded(std::mem::take(right), join.right.schema())?;
            if (&*left, &*right) == (&own_left, &own_right) {
                continue;
            }
        }
        // With USING both sides would have to be columns.
        join.join_constraint = JoinConstraint::On;
    }
    Ok(join)
}

/// VALUES has made decimals of its doubles already.
fn refuse_cut_values(values: &Values) -> DfResult<()> {
    let empty = DFSchema::empty();
    let is_cut = |expr: &Expr| match expr {
        Expr::Cast(Cast { expr, field }) => {
            field.data_type().is_decimal()
                && expr.get_type(&empty).is_ok_and(|own| own.is_floating())
        }
        _ => false,
    };
    if values.values.iter().flatten().any(is_cut) {
        return Err(Error::config("VALUES has decimals and doubles in one column")
            .with_hint("write all of them with an exponent, such as 1.5e0, or none of them")
            .external());
    }
    Ok(())
}

fn with_doubles(input: &Arc<LogicalPlan>, doubles: &[usize]) -> DfResult<Arc<LogicalPlan>> {
    let schema = input.schema();
    let is_decimal = |column: &&usize| schema.field(**column).data_type().is_decimal();
    if !doubles.iter().any(|column| is_decimal(&column)) {
        return Ok(input.clone());
    }
    let columns = schema.iter().enumerate().map(|(place, (relation, field))| {
        let column = Expr::Column(Column::new(relation.cloned(), field.name()));
        if doubles.contains(&place) && field.data_type().is_decimal() {
            return as_double(column).alias_qualified(relation.cloned(), field.name());
        }
        column
    });
    let projection = Projection::try_new(columns.collect(), input.clone())?;
    Ok(Arc::new(LogicalPlan::Projection(projection)))
}
