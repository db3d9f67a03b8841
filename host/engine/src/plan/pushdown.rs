//! Which filters a source can carry out, and how they read in its dialect.
//!
//! A filter goes to the source only if it means there what it means here: comparisons of one
//! column with literals of the column's own type, as far as the connector vouches for the column.

use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::prelude::Column as ColumnRef;
use datafusion::sql::unparser::Unparser;
use datafusion::sql::unparser::dialect::{
    DefaultDialect, Dialect, DuckDBDialect, MySqlDialect, PostgreSqlDialect, SqliteDialect,
};
use longshore_model::error::{Error, Result};
use longshore_sandbox::{Column, Comparable};

use crate::datafusion_fault::from_datafusion;

/// Whether the source can carry out a filter.
pub(super) fn is_pushable(filter: &Expr, schema: &SchemaRef, columns: &[Column]) -> bool {
    let comparable = |expr: &Expr| match expr {
        Expr::Column(column) => schema.index_of(&column.name).ok().and_then(|index| {
            Some((schema.field(index).data_type(), columns.get(index)?.comparable))
        }),
        _ => None,
    };
    let compares = |column: &Expr, literals: &[&Expr], needs_order: bool| {
        let Some((data_type, comparable)) = comparable(column) else { return false };
        let vouched = match comparable {
            Comparable::No => false,
            Comparable::Equality => !needs_order,
            Comparable::Order => true,
        };
        vouched && literals.iter().all(|literal| is_plain_literal(literal, data_type))
    };
    let all = |exprs: &[&Expr]| exprs.iter().all(|expr| is_pushable(expr, schema, columns));
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And | Operator::Or => all(&[left, right]),
            Operator::Eq | Operator::NotEq => {
                compares(left, &[right], false) || compares(right, &[left], false)
            }
            Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => {
                compares(left, &[right], true) || compares(right, &[left], true)
            }
            _ => false,
        },
        Expr::Not(inner) => all(&[inner]),
        Expr::IsNull(column) | Expr::IsNotNull(column) => comparable(column).is_some(),
        Expr::Between(between) => compares(&between.expr, &[&between.low, &between.high], true),
        Expr::InList(list) => {
            let literals: Vec<&Expr> = list.list.iter().collect();
            compares(&list.expr, &literals, false)
        }
        Expr::Column(_) => {
            matches!(comparable(filter), Some((DataType::Boolean, c)) if c != Comparable::No)
        }
        _ => false,
    }
}

/// A literal of the column's own type, and of a type that every dialect writes alike.
fn is_plain_literal(expr: &Expr, data_type: &DataType) -> bool {
    let Expr::Literal(value, _) = expr else { return false };
    let is_text =
        |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let same =
        value.data_type() == *data_type || (is_text(&value.data_type()) && is_text(data_type));
    let plain = match data_type {
        DataType::Boolean
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Decimal128(..)
        | DataType::Date32
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View => true,
        DataType::Timestamp(TimeUnit::Microsecond, zone) => zone.is_none(),
        _ => false,
    };
    // A text with a zero byte cannot be sent to every source; a backslash is an escape in some; and what
    // writes the SQL takes two quotes for one that is doubled already.
    let sendable = match value {
        ScalarValue::Utf8(Some(text))
        | ScalarValue::LargeUtf8(Some(text))
        | ScalarValue::Utf8View(Some(text)) => !text.contains(['\0', '\\']) && !text.contains("''"),
        _ => true,
    };
    same && plain && sendable && !value.is_null()
}

/// Filters as one condition in a dialect.
pub(super) fn to_sql(filters: &[Expr], dialect: &str) -> Result<Option<String>> {
    let Some(condition) = conjunction(filters.to_vec()) else { return Ok(None) };
    let unqualified = condition
        .transform(|expr| {
            Ok(match expr {
                Expr::Column(column) => {
                    Transformed::yes(Expr::Column(ColumnRef::new_unqualified(column.name)))
                }
                other => Transformed::no(other),
            })
        })
        .map_err(from_datafusion)?;
    let dialect = find_dialect(dialect)?;
    let sql =
        Unparser::new(dialect.as_ref()).expr_to_sql(&unqualified.data).map_err(from_datafusion)?;
    Ok(Some(sql.to_string()))
}

fn find_dialect(name: &str) -> Result<Box<dyn Dialect>> {
    Ok(match name {
        "postgresql" => Box::new(PostgreSqlDialect {}),
        "mysql" => Box::new(MySqlDialect {}),
        "sqlite" => Box::new(SqliteDialect {}),
        "duckdb" => Box::new(DuckDBDialect::new()),
        "generic" => Box::new(DefaultDialect {}),
        other => {
            return Err(Error::internal(format!(
                "the connector speaks an unknown dialect `{other}`"
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, Schema};
    use datafusion::prelude::{col, lit};

    use super::*;

    fn table() -> (SchemaRef, Vec<Column>) {
        let schema = Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("Name", DataType::Utf8, true),
            Field::new("score", DataType::Float64, true),
        ]);
        let column = |comparable| Column { source_type: String::new(), comparable, lossy: None };
        (
            Arc::new(schema),
            vec![column(Comparable::Order), column(Comparable::Equality), column(Comparable::No)],
        )
    }

    fn pushed(filter: Expr) -> Option<String> {
        let (schema, columns) = table();
        is_pushable(&filter, &schema, &columns)
            .then(|| to_sql(&[filter], "postgresql").unwrap().unwrap())
    }

    #[test]
    fn what_means_the_same_at_the_source_is_pushed() {
        let name = || Expr::Column(ColumnRef::new_unqualified("Name"));
        assert_eq!(pushed(col("id").gt(lit(3_i64))).unwrap(), r#"("id" > 3)"#);
        assert_eq!(pushed(name().eq(lit("O'Brien"))).unwrap(), r#"("Name" = 'O''Brien')"#);
        assert_eq!(pushed(col("score").is_null()).unwrap(), r#""score" IS NULL"#);
        assert_eq!(
            pushed(col("id").in_list(vec![lit(1_i64), lit(2_i64)], true)).unwrap(),
            r#""id" NOT IN (1, 2)"#
        );
    }

    #[test]
    fn what_could_mean_something_else_is_not() {
        let name = || Expr::Column(ColumnRef::new_unqualified("Name"));
        assert_eq!(pushed(name().lt(lit("m"))), None, "order of texts depends on the collation");
        assert_eq!(pushed(col("score").eq(lit(0.5))), None, "the connector does not vouch for it");
        for text in ["C:\\new", "a''b", "\\' OR true --", "a\0"] {
            assert_eq!(pushed(name().eq(lit(text))), None, "{text}");
        }
        assert_eq!(pushed(col("id").eq(lit(1_i32))), None, "another type");
        assert_eq!(pushed((col("id") + lit(1_i64)).eq(lit(3_i64))), None, "arithmetic");
        assert_eq!(pushed(col("id").eq(lit(1_i64)).or(name().lt(lit("m")))), None);
    }
}
