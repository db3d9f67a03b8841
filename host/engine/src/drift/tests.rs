use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use longshore_model::config::DriftPolicy;
use longshore_model::config::drift::{OnAdded, OnNarrowed, OnRemoved, OnWidened};
use longshore_model::schema_change::{ChangeAction, ChangeKind, SchemaChange};
use proptest::prelude::*;

use super::*;

const LENIENT: DriftPolicy = DriftPolicy {
    on_added: OnAdded::Evolve,
    on_removed: OnRemoved::Keep,
    on_widened: OnWidened::Evolve,
    on_narrowed: OnNarrowed::Version,
};

fn schema(columns: &[(&str, DataType, bool)]) -> SchemaRef {
    let field = |(name, data_type, nullable): &(&str, DataType, bool)| {
        Field::new(*name, data_type.clone(), *nullable)
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

fn expectation(there: &SchemaRef, rule: Rule) -> Expectation {
    Expectation {
        columns: ColumnRecord::of_schema(there),
        rule,
        accepted: None,
        is_beside: true,
        is_by_place: false,
    }
}

fn kinds(changes: &[SchemaChange]) -> Vec<(ChangeKind, &str, ChangeAction)> {
    changes.iter().map(|change| (change.kind, change.column.as_str(), change.action)).collect()
}

fn there() -> SchemaRef {
    schema(&[
        ("id", DataType::Int32, false),
        ("name", DataType::Utf8, true),
        ("price", DataType::Decimal128(10, 2), true),
    ])
}

#[test]
fn types_are_the_same_wider_narrower_or_strangers() {
    use DataType::*;
    let micros = |zone: Option<&str>| Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
    let nanos = Timestamp(TimeUnit::Nanosecond, None);
    let cases = [
        (Int32, Int32, Fit::Same),
        (Utf8, LargeUtf8, Fit::Same),
        (micros(Some("UTC")), micros(Some("+00:00")), Fit::Same),
        (Int32, Int64, Fit::Wider),
        (Int16, Int32, Fit::Wider),
        (Float32, Float64, Fit::Wider),
        (Decimal128(10, 2), Decimal128(12, 2), Fit::Wider),
        (Int64, Int32, Fit::Narrower),
        (Float64, Float32, Fit::Narrower),
        (Decimal128(12, 2), Decimal128(10, 2), Fit::Narrower),
        (Decimal128(12, 4), Decimal128(8, 2), Fit::Narrower),
        (nanos.clone(), micros(None), Fit::Narrower),
        (Utf8, Null, Fit::Narrower),
        (Decimal128(10, 2), Decimal128(12, 3), Fit::None),
        (Decimal128(10, 4), Decimal128(10, 2), Fit::None),
        (micros(None), nanos, Fit::None),
        (micros(None), micros(Some("UTC")), Fit::None),
        (Date32, micros(None), Fit::None),
        (Int32, Float64, Fit::None),
        (Int32, Utf8, Fit::None),
        (Int64, UInt64, Fit::None),
    ];
    for (there, new, expected) in cases {
        assert_eq!(fit(&there, &new), expected, "{there} -> {new}");
    }
}

#[test]
fn each_change_meets_its_policy() {
    let new = schema(&[
        ("price", DataType::Decimal128(12, 2), true),
        ("id", DataType::Int32, true),
        ("city", DataType::Int64, false),
    ]);
    let aligned = expectation(&there(), Rule::Policy(LENIENT)).align(&new);
    assert_eq!(
        kinds(&aligned.changes),
        [
            (ChangeKind::Nullable, "id", ChangeAction::Evolve),
            (ChangeKind::Removed, "name", ChangeAction::Keep),
            (ChangeKind::Widened, "price", ChangeAction::Evolve),
            (ChangeKind::Added, "city", ChangeAction::Evolve),
            (ChangeKind::Reordered, "price", ChangeAction::Fit),
        ]
    );
    let Outcome::Columns(columns) = aligned.outcome else { panic!("{:?}", aligned.outcome) };
    let made: Vec<_> =
        columns.iter().map(|c| (c.name.as_str(), c.from, c.cast.clone(), c.nullable)).collect();
    assert_eq!(
        made,
        [
            ("id", Some(1), None, true),
            ("name", None, Some(DataType::Utf8), true),
            ("price", Some(0), None, true),
            ("city", Some(2), None, true),
        ]
    );
}

#[test]
fn every_key_that_is_left_out_fails() {
    let changed = [
        (schema(&[("id", DataType::Int32, false), ("new", DataType::Utf8, true)]), "on_added"),
        (schema(&[]), "on_removed"),
        (schema(&[("id", DataType::Int64, false)]), "on_widened"),
        (schema(&[("id", DataType::Int32, true)]), "on_widened"),
        (schema(&[("id", DataType::Utf8, false)]), "on_narrowed"),
    ];
    let there = schema(&[("id", DataType::Int32, false)]);
    for (new, key) in changed {
        let aligned = expectation(&there, Rule::Policy(DriftPolicy::default())).align(&new);
        let [refusal] = aligned.refusals() else { panic!("{:?}", aligned.outcome) };
        assert!(refusal.cause.starts_with(&format!("`schema.{key}` is fail, and ")), "{refusal:?}");
    }
}

#[test]
fn what_fits_needs_no_policy() {
    let there = schema(&[("id", DataType::Int64, true), ("at", DataType::Utf8, true)]);
    let new = schema(&[("at", DataType::Utf8View, true), ("id", DataType::Int32, false)]);
    let aligned = expectation(&there, Rule::Policy(DriftPolicy::default())).align(&new);
    let Outcome::Columns(columns) = aligned.outcome else { panic!("{:?}", aligned.outcome) };
    assert_eq!(columns[0].cast, Some(DataType::Int64));
    assert_eq!(columns[1].cast, Some(DataType::Utf8));
    assert!(columns[0].nullable);
}

#[test]
fn without_a_policy_append_refuses_all_but_nullability() {
    let there = schema(&[("id", DataType::Int64, true)]);
    let refused = |columns: &[(&str, DataType, bool)]| {
        !expectation(&there, Rule::Refuse).align(&schema(columns)).refusals().is_empty()
    };
    assert!(!refused(&[("id", DataType::Int64, false)]));
    assert!(refused(&[("id", DataType::Int32, true)]));
    assert!(refused(&[("id", DataType::Int64, true), ("b", DataType::Int64, true)]));
    assert!(refused(&[]));
}

#[test]
fn other_types_become_a_version_unless_something_else_fails() {
    let there = schema(&[("id", DataType::Int32, false)]);
    let new = schema(&[("id", DataType::Utf8, false), ("b", DataType::Utf8, true)]);
    assert!(expectation(&there, Rule::Policy(LENIENT)).align(&new).is_new_version());
    let strict = DriftPolicy { on_added: OnAdded::Fail, ..LENIENT };
    assert_eq!(expectation(&there, Rule::Policy(strict)).align(&new).refusals().len(), 1);
}

#[test]
fn columns_that_differ_in_capitals_only_are_refused() {
    let there = schema(&[("Name", DataType::Utf8, true)]);
    let new = schema(&[("name", DataType::Utf8, true)]);
    for on_added in [OnAdded::Evolve, OnAdded::Ignore] {
        let rule = Rule::Policy(DriftPolicy { on_added, ..LENIENT });
        let aligned = expectation(&there, rule).align(&new);
        let [refusal] = aligned.refusals() else { panic!("{:?}", aligned.outcome) };
        assert!(refusal.cause.contains("capitals only"), "{refusal:?}");
    }
    // Who has both already may leave out a third.
    let new = schema(&[("Name", DataType::Utf8, true), ("NAME", DataType::Utf8, true)]);
    let rule = Rule::Policy(DriftPolicy { on_added: OnAdded::Ignore, ..LENIENT });
    assert!(expectation(&there, rule).align(&new).refusals().is_empty());
}

#[test]
fn a_rename_is_suspected_and_not_assumed() {
    let there = schema(&[("id", DataType::Int32, false), ("name", DataType::Utf8, true)]);
    let new = schema(&[("id", DataType::Int32, false), ("title", DataType::Utf8, true)]);
    let aligned = expectation(&there, Rule::Policy(LENIENT)).align(&new);
    let added = aligned.changes.iter().find(|change| change.kind == ChangeKind::Added).unwrap();
    assert_eq!(added.maybe_renamed_from.as_deref(), Some("name"));
    let Outcome::Columns(columns) = aligned.outcome else { panic!("{:?}", aligned.outcome) };
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["id", "name", "title"]);
}

#[test]
fn accepted_columns_pass_and_no_others() {
    let there = schema(&[("id", DataType::Int32, false)]);
    let new = schema(&[("id", DataType::Int32, false), ("b", DataType::Utf8, true)]);
    let accepted = Some(schema_digest(&ColumnRecord::of_schema(&new)));
    for rule in [Rule::Refuse, Rule::Policy(DriftPolicy::default())] {
        let expected = Expectation { accepted: accepted.clone(), ..expectation(&there, rule) };
        // What may be NULL comes last: it can be written as it is read.
        assert_eq!(expected.align(&new).outcome, Outcome::AsRead);
        let other = schema(&[("id", DataType::Int32, false), ("c", DataType::Utf8, true)]);
        assert_eq!(expected.align(&other).refusals().len(), 1);
    }
    // What is ignored is ignored still.
    let rule = Rule::Policy(DriftPolicy { on_added: OnAdded::Ignore, ..LENIENT });
    let expected = Expectation { accepted, ..expectation(&there, rule) };
    let Outcome::Columns(columns) = expected.align(&new).outcome else { panic!() };
    assert_eq!(columns.len(), 1);
}

#[test]
fn csv_gets_no_more_columns() {
    let there = schema(&[("id", DataType::Int32, false)]);
    let new = schema(&[("id", DataType::Int32, false), ("b", DataType::Utf8, true)]);
    let csv = Expectation { is_by_place: true, ..expectation(&there, Rule::Policy(LENIENT)) };
    assert_eq!(csv.align(&new).refusals().len(), 1);
    let alone = Expectation { is_beside: false, ..csv };
    assert_eq!(alone.align(&new).outcome, Outcome::AsRead);
}

fn any_type() -> impl Strategy<Value = DataType> {
    prop_oneof![
        Just(DataType::Int16),
        Just(DataType::Int32),
        Just(DataType::Int64),
        Just(DataType::Float32),
        Just(DataType::Float64),
        Just(DataType::Utf8),
        Just(DataType::Date32),
        (1_u8..38, 0_i8..4).prop_map(|(p, s)| DataType::Decimal128(p.max(s as u8), s)),
    ]
}

fn any_schema() -> impl Strategy<Value = SchemaRef> {
    let columns =
        proptest::sample::subsequence(vec!["a", "b", "c", "d", "e"], 0..=5).prop_shuffle();
    let fields = columns.prop_flat_map(|names| {
        let fields = names.into_iter().map(|name| {
            (any_type(), any::<bool>()).prop_map(move |(t, nullable)| Field::new(name, t, nullable))
        });
        fields.collect::<Vec<_>>()
    });
    fields.prop_map(|fields| Arc::new(Schema::new(fields)))
}

/// The columns that are there after a run.
fn after(columns: &[AlignedColumn], new: &SchemaRef) -> Vec<ColumnRecord> {
    let column = |column: &AlignedColumn| {
        let read = column.from.map(|place| new.field(place).data_type().clone());
        let data_type = column.cast.clone().or(read).expect("a type");
        ColumnRecord {
            name: column.name.clone(),
            r#type: data_type.to_string(),
            nullable: column.nullable,
        }
    };
    columns.iter().map(column).collect()
}

proptest! {
    /// No column of the target is lost or gets a type that holds less, and the same rows fit again.
    #[test]
    fn a_target_only_grows(there in any_schema(), new in any_schema()) {
        let expected = expectation(&there, Rule::Policy(LENIENT));
        let aligned = expected.align(&new);
        let columns = match &aligned.outcome {
            Outcome::Columns(columns) => after(columns, &new),
            Outcome::AsRead => ColumnRecord::of_schema(&new),
            Outcome::NewVersion => {
                prop_assert!(aligned.changes.iter().any(|c| c.kind == ChangeKind::Retyped));
                return Ok(());
            }
            Outcome::Refused(refusals) => panic!("{refusals:?}"),
        };
        for (old, column) in expected.columns.iter().zip(&columns) {
            prop_assert_eq!(&old.name, &column.name);
            let (old_type, own_type) = (old.data_type().unwrap(), column.data_type().unwrap());
            prop_assert!(matches!(fit(&old_type, &own_type), Fit::Same | Fit::Wider));
            prop_assert!(column.nullable || !old.nullable);
        }
        let again = Expectation { columns: columns.clone(), ..expected };
        let aligned = again.align(&new);
        let kept = aligned.changes.iter().all(|change| {
            matches!(change.action, ChangeAction::Fit | ChangeAction::Keep)
        });
        prop_assert!(kept, "{:?}", aligned.changes);
        if let Outcome::Columns(settled) = &aligned.outcome {
            prop_assert_eq!(after(settled, &new), columns);
        }
    }

    /// The same columns are no drift, by any rule.
    #[test]
    fn the_same_is_the_same(there in any_schema()) {
        for rule in [Rule::Report, Rule::Refuse, Rule::Policy(DriftPolicy::default())] {
            let aligned = expectation(&there, rule).align(&there);
            prop_assert!(aligned.changes.is_empty());
            prop_assert_eq!(aligned.outcome, Outcome::AsRead);
        }
    }
}

#[test]
fn a_column_of_nothing_but_null_is_of_the_targets_type() {
    use DataType::*;
    let there = schema(&[("id", Int64, true), ("a", Utf8, true)]);
    let new = schema(&[("id", Utf8, true), ("a", Utf8, true), ("b", Utf8, true)]);
    let untyped = ["id", "a", "b"].map(str::to_owned).into();
    let aligned = expectation(&there, Rule::Policy(LENIENT)).align_seen(&new, &untyped);
    let (fit, evolve) = (ChangeAction::Fit, ChangeAction::Evolve);
    let told = [(ChangeKind::Narrowed, "id", fit), (ChangeKind::Added, "b", evolve)];
    assert_eq!(kinds(&aligned.changes), told);
    assert_eq!(aligned.changes[1].to.as_deref(), Some("Utf8"));
    let Outcome::Columns(columns) = aligned.outcome else { panic!() };
    let casts: Vec<_> = columns.into_iter().map(|column| column.cast).collect();
    assert_eq!(casts, [Some(Int64), None, None]);
}

#[test]
fn a_column_of_nothing_but_null_is_not_refused() {
    let there = schema(&[("id", DataType::Int64, true)]);
    let new = schema(&[("id", DataType::Utf8, true)]);
    let expected = expectation(&there, Rule::Refuse);
    let aligned = expected.align_seen(&new, &["id".to_owned()].into());
    assert!(matches!(aligned.outcome, Outcome::Columns(_)), "{aligned:?}");
    assert_eq!(expected.align(&new).refusals().len(), 1);
}
