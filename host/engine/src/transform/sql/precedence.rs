//! `a IS DISTINCT FROM b AND c`: the parser takes `b AND c` for the second value (apache/datafusion-sqlparser-rs#2436).
//! Here AND and OR bind as SQL has it.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, UnaryOperator, Value, VisitMut, VisitorMut,
};

/// Puts what stands after `IS [NOT] DISTINCT FROM` where it belongs, in a statement or an expression.
pub(super) fn repair(parsed: &mut impl VisitMut) {
    struct Repair;
    impl VisitorMut for Repair {
        type Break = ();

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if has_swallowed(expr) {
                let taken = std::mem::replace(expr, Expr::value(Value::Null));
                *expr = Chain::of(taken).into_expr();
            }
            ControlFlow::Continue(())
        }
    }
    let _ = parsed.visit(&mut Repair);
}

/// Whether the last of an expression's values has taken an AND or an OR. Parentheses are expressions of
/// their own.
fn has_swallowed(expr: &Expr) -> bool {
    match expr {
        Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) => is_logical(right),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => is_logical(expr),
        // Only the last value of the left side was known when the operator was read.
        Expr::BinaryOp { op, right, .. } => is_connective(op) && is_logical(right),
        _ => false,
    }
}

fn is_logical(expr: &Expr) -> bool {
    matches!(expr, Expr::BinaryOp { op, .. } if is_connective(op))
}

fn is_connective(op: &BinaryOperator) -> bool {
    rank(op) > 0
}

/// How tightly an operator binds; 0 for those that bind tighter than NOT.
fn rank(op: &BinaryOperator) -> u8 {
    match op {
        BinaryOperator::Or => 1,
        BinaryOperator::And => 2,
        _ => 0,
    }
}

/// Values between connectives, in the order of the text.
struct Chain {
    first: Expr,
    rest: Vec<(BinaryOperator, Expr)>,
}

impl Chain {
    fn of(expr: Expr) -> Self {
        match expr {
            Expr::BinaryOp { left, op, right } if is_connective(&op) => {
                let mut chain = Self::of(*left);
                let Self { first, rest } = Self::of(*right);
                chain.rest.push((op, first));
                chain.rest.extend(rest);
                chain
            }
            Expr::IsDistinctFrom(left, right) => {
                Self::of(*right).with_first(|first| Expr::IsDistinctFrom(left, Box::new(first)))
            }
            Expr::IsNotDistinctFrom(left, right) => {
                Self::of(*right).with_first(|first| Expr::IsNotDistinctFrom(left, Box::new(first)))
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => Self::of(*expr).with_first(|first| {
                Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(first) }
            }),
            first => Self { first, rest: Vec::new() },
        }
    }

    fn with_first(self, change: impl FnOnce(Expr) -> Expr) -> Self {
        Self { first: change(self.first), rest: self.rest }
    }

    /// The expression that the chain is: what binds tighter first, and from the left.
    fn into_expr(self) -> Expr {
        let (mut values, mut waiting) = (vec![self.first], Vec::new());
        for (op, value) in self.rest {
            while waiting.last().is_some_and(|before| rank(before) >= rank(&op)) {
                join_last(&mut values, &mut waiting);
            }
            waiting.push(op);
            values.push(value);
        }
        while !waiting.is_empty() {
            join_last(&mut values, &mut waiting);
        }
        values.pop().unwrap_or_else(|| Expr::value(Value::Null))
    }
}

fn join_last(values: &mut Vec<Expr>, waiting: &mut Vec<BinaryOperator>) {
    if let (Some(op), Some(right), Some(left)) = (waiting.pop(), values.pop(), values.pop()) {
        values.push(Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) });
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::GenericDialect;
    use datafusion::sql::sqlparser::parser::Parser;
    use proptest::prelude::*;

    use super::*;

    fn parsed(sql: &str) -> Expr {
        let mut parser = Parser::new(&GenericDialect {}).try_with_sql(sql).unwrap();
        let mut expr = parser.parse_expr().unwrap();
        repair(&mut expr);
        expr
    }

    /// Every operation in parentheses.
    fn shape(expr: &Expr) -> String {
        match expr {
            Expr::BinaryOp { left, op, right } => {
                format!("({} {op} {})", shape(left), shape(right))
            }
            Expr::UnaryOp { op, expr } => format!("({op} {})", shape(expr)),
            Expr::IsDistinctFrom(a, b) => format!("({} IS DISTINCT FROM {})", shape(a), shape(b)),
            Expr::IsNotDistinctFrom(a, b) => {
                format!("({} IS NOT DISTINCT FROM {})", shape(a), shape(b))
            }
            Expr::Nested(inner) => shape(inner),
            other => other.to_string(),
        }
    }

    #[test]
    fn connectives_bind_less_than_is_distinct_from() {
        for (sql, expected) in [
            ("a IS DISTINCT FROM b AND c", "((a IS DISTINCT FROM b) AND c)"),
            ("a IS NOT DISTINCT FROM b OR c", "((a IS NOT DISTINCT FROM b) OR c)"),
            ("x AND a IS DISTINCT FROM b OR c", "((x AND (a IS DISTINCT FROM b)) OR c)"),
            (
                "x OR a IS DISTINCT FROM b AND c OR d",
                "((x OR ((a IS DISTINCT FROM b) AND c)) OR d)",
            ),
            ("NOT a IS DISTINCT FROM b AND c", "((NOT (a IS DISTINCT FROM b)) AND c)"),
            ("x AND NOT a IS DISTINCT FROM b OR c", "((x AND (NOT (a IS DISTINCT FROM b))) OR c)"),
            ("a IS DISTINCT FROM (b AND c)", "(a IS DISTINCT FROM (b AND c))"),
            ("a IS DISTINCT FROM b + 1 AND c = 2", "((a IS DISTINCT FROM (b + 1)) AND (c = 2))"),
            (
                "a IS DISTINCT FROM b AND c IS DISTINCT FROM d OR e",
                "(((a IS DISTINCT FROM b) AND (c IS DISTINCT FROM d)) OR e)",
            ),
        ] {
            assert_eq!(shape(&parsed(sql)), expected, "{sql}");
        }
    }

    /// Conditions, as they are meant: with all parentheses, and with those only that SQL needs.
    fn condition() -> impl Strategy<Value = (String, String, u8)> {
        let value = "[a-d]".prop_map(|name| (name.clone(), name, 9));
        value.prop_recursive(5, 40, 2, |inner| {
            let wrapped = |(text, rank): (&String, u8), least: u8| {
                if rank < least { format!("({text})") } else { text.clone() }
            };
            let pair = (inner.clone(), inner.clone(), 0..2_usize);
            let joined = pair.prop_map(move |(left, right, op)| {
                let (word, rank) = [("OR", 1), ("AND", 2)][op];
                let whole = format!("({} {word} {})", left.0, right.0);
                let short = format!(
                    "{} {word} {}",
                    wrapped((&left.1, left.2), rank),
                    wrapped((&right.1, right.2), rank + 1)
                );
                (whole, short, rank)
            });
            let not = inner.clone().prop_map(move |own| {
                (format!("(NOT {})", own.0), format!("NOT {}", wrapped((&own.1, own.2), 4)), 4)
            });
            let pair = (inner.clone(), inner);
            let distinct = pair.prop_map(move |(left, right)| {
                let whole = format!("({} IS DISTINCT FROM {})", left.0, right.0);
                let (left, right) =
                    (wrapped((&left.1, left.2), 6), wrapped((&right.1, right.2), 6));
                (whole, format!("{left} IS DISTINCT FROM {right}"), 5)
            });
            prop_oneof![joined, not, distinct]
        })
    }

    proptest! {
        #[test]
        fn every_condition_means_what_its_text_says((whole, short, _) in condition()) {
            prop_assert_eq!(shape(&parsed(&short)), whole, "{}", short);
        }
    }
}
