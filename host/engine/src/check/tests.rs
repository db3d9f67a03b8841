use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use longshore_model::config::checks::{Allowance, Check, Rule, Severity, Share, Value};
use proptest::prelude::*;

use super::meter::Meter;
use super::{ChunkChecks, Measure, RelationChecks, SAMPLE_LIMIT};

type Row = (Option<i64>, Option<String>, Option<i128>);

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("price", DataType::Decimal128(9, 2), true),
        Field::new("f", DataType::Float64, true),
    ]))
}

fn batch(rows: &[Row]) -> RecordBatch {
    let ids: Int64Array = rows.iter().map(|row| row.0).collect();
    let names: StringArray = rows.iter().map(|row| row.1.clone()).collect();
    let prices: Decimal128Array = rows.iter().map(|row| row.2).collect();
    let prices = prices.with_precision_and_scale(9, 2).unwrap();
    let floats: Float64Array = rows.iter().map(|row| row.0.map(|id| id as f64)).collect();
    let columns: Vec<ArrayRef> =
        vec![Arc::new(ids), Arc::new(names), Arc::new(prices), Arc::new(floats)];
    RecordBatch::try_new(schema(), columns).unwrap()
}

fn check(rule: Rule) -> Check {
    let allow = Allowance::default();
    Check { name: rule.to_string(), severity: Severity::Fail, allow, rule }
}

fn number(text: &str) -> Value {
    Value::Number(text.into())
}

fn rules() -> Vec<Rule> {
    let column = || "name".to_owned();
    let range = |column: &str, min: Option<&str>, max: Option<&str>| Rule::Range {
        column: column.into(),
        min: min.map(number),
        max: max.map(number),
    };
    vec![
        Rule::NotNull(vec!["id".into(), "name".into()]),
        Rule::Accepted { column: "id".into(), values: vec![number("1"), number("2")] },
        Rule::Accepted { column: "price".into(), values: vec![number("0.5"), number("-1")] },
        range("id", Some("0"), Some("3")),
        range("price", Some("-0.5"), None),
        range("f", Some("0"), Some("2.5")),
        Rule::Pattern { column: column(), regex: "a|bé*".into() },
        Rule::Length { column: column(), min: 1, max: 2 },
        Rule::NullRate { column: column(), max: Share::read("max", "1%").unwrap() },
    ]
}

/// What each rule should find in a row, said as plainly as can be.
fn fails(row: &Row) -> Vec<bool> {
    let (id, name, price) = (row.0, row.1.as_deref(), row.2);
    let matches = |text: &str| {
        text == "a" || text.strip_prefix('b').is_some_and(|rest| rest.chars().all(|c| c == 'é'))
    };
    vec![
        id.is_none() || name.is_none(),
        id.is_some_and(|id| id != 1 && id != 2),
        price.is_some_and(|price| price != 50 && price != -100),
        id.is_some_and(|id| !(0..=3).contains(&id)),
        price.is_some_and(|price| price < -50),
        id.is_some_and(|id| id < 0 || id as f64 > 2.5),
        name.is_some_and(|name| !matches(name)),
        name.is_some_and(|name| name.is_empty() || name.chars().count() > 2),
        name.is_none(),
    ]
}

fn row() -> impl Strategy<Value = Row> {
    let name = prop::option::of("[abé\n]{0,3}");
    let price = prop::option::of(prop::sample::select(vec![-100_i128, -51, -50, 0, 50, 999]));
    (prop::option::of(-2_i64..6), name, price)
}

proptest! {
    #[test]
    fn batches_and_chunks_add_up_to_what_each_row_says(
        chunks in prop::collection::vec(prop::collection::vec(prop::collection::vec(row(), 0..20), 0..4), 0..4)
    ) {
        let checks: Vec<Check> = rules().into_iter().map(check).collect();
        let checks = Arc::new(RelationChecks::new(&checks, &schema()).unwrap());
        let mut found = ChunkChecks::default();
        for chunk in &chunks {
            let mut meter = Meter::new(checks.clone());
            for rows in chunk {
                meter.measure(batch(rows)).unwrap();
            }
            // As the ledger keeps it.
            let kept = serde_json::to_string(&meter.finish()).unwrap();
            found.merge(serde_json::from_str(&kept).unwrap()).unwrap();
        }
        let rows: Vec<&Row> = chunks.iter().flatten().flatten().collect();
        prop_assert_eq!(found.rows, rows.len() as u64);
        for (position, measure) in found.measures.iter().enumerate() {
            let failing = rows.iter().filter(|row| fails(row)[position]).count();
            match measure {
                Measure::Failing { rows, samples } => {
                    prop_assert_eq!(*rows, failing as u64, "check {}", position);
                    prop_assert_eq!(samples.len(), failing.min(SAMPLE_LIMIT));
                }
                Measure::Nulls(nulls) => prop_assert_eq!(*nulls, failing as u64),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}

#[test]
fn samples_show_the_checks_columns_and_are_bounded() {
    let rule = Rule::Length { column: "name".into(), min: 0, max: 10 };
    let checks = Arc::new(RelationChecks::new(&[check(rule)], &schema()).unwrap());
    let mut meter = Meter::new(checks);
    meter.measure(batch(&[(Some(1), Some("ü".repeat(500)), None)])).unwrap();
    let Measure::Failing { samples, .. } = &meter.finish().measures[0] else { panic!("no rows") };
    let shown = samples[0]["name"].as_deref().unwrap();
    assert_eq!((samples[0].len(), shown.chars().count()), (1, 101));
}

#[test]
fn a_pattern_may_end_in_a_comment() {
    let rule = Rule::Pattern { column: "name".into(), regex: "(?x) a | b+  # either".into() };
    let mut meter = Meter::new(Arc::new(RelationChecks::new(&[check(rule)], &schema()).unwrap()));
    meter.measure(batch(&["a", "bb", "ab"].map(|name| (None, Some(name.into()), None)))).unwrap();
    let Measure::Failing { rows, .. } = &meter.finish().measures[0] else { panic!("no rows") };
    assert_eq!(*rows, 1);
}

#[test]
fn what_a_column_cannot_be_checked_for_is_refused() {
    let range =
        |column: &str, min: Value| Rule::Range { column: column.into(), min: Some(min), max: None };
    for (rule, cause, next) in [
        (Rule::NotNull(vec!["Id".into()]), "no column `Id`", "did you mean `id`?"),
        (range("id", Value::Text("ten".into())), "`ten` is no value", "a whole number"),
        (range("id", number("1.5")), "`1.5` is no value", "a whole number"),
        (range("price", number("0.125")), "`0.125` is no value", "2 digits"),
        (range("name", number("1")), "`1` is no value", "within quotes"),
        (range("f", Value::Boolean(true)), "`true` is no value", "write a number"),
        (Rule::Length { column: "id".into(), min: 0, max: 1 }, "`id` is Int64", "a column of text"),
        (
            Rule::Pattern { column: "name".into(), regex: "(".into() },
            "no regular expression",
            "regex",
        ),
        (
            Rule::Pattern { column: "name".into(), regex: ")(".into() },
            "no regular expression",
            "regex",
        ),
        (
            Rule::Range { column: "id".into(), min: Some(number("10")), max: Some(number("9")) },
            "`min` is above `max`",
            "change the two",
        ),
    ] {
        let error = RelationChecks::new(&[check(rule)], &schema()).unwrap_err();
        let hint = error.hint().unwrap_or_default().to_owned();
        assert!(error.to_string().contains(cause) && hint.contains(next), "{error} -> {hint}");
    }
}
