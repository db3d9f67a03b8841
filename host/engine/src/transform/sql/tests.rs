//! Values of parameters, as literals of SQL steps: they come back as they were.

use std::fs;

use arrow::array::{Array, AsArray};
use arrow::util::display::array_value_to_string;
use longshore_model::config::{Arguments, Job, Policy, Step};
use proptest::prelude::*;
use serde_json::json;

use super::{session_context, session_state};

/// The value of a parameter, when a step has carried out what its job made of it.
fn evaluated(kind: &str, value: &str) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.json");
    let job = json!({
        "parameters": { "p": { "type": kind, "default": value } },
        "source": { "url": "file:///data/" },
        "transform": [{ "sql": "SELECT {{ p }} AS p /* '{' */ -- \"" }],
        "target": { "url": "file:///lake" },
    });
    fs::write(&path, job.to_string()).unwrap();
    let job = Job::read(&path, &Arguments::none(), &Policy::default()).unwrap();
    let [Step::Sql(sql)] = job.steps.as_slice() else { panic!("no step") };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let batches = runtime.block_on(async {
        session_context(session_state().unwrap())
            .unwrap()
            .sql(sql)
            .await
            .unwrap()
            .collect()
            .await
            .unwrap()
    });
    let column = batches[0].column(0);
    let text = match column.as_string_opt::<i32>() {
        Some(texts) => texts.value(0).to_owned(),
        None => array_value_to_string(column, 0).unwrap(),
    };
    (column.data_type().to_string(), text)
}

#[test]
fn a_value_has_the_type_of_its_parameter() {
    for (kind, value, data_type, text) in [
        ("integer", "-9223372036854775808", "Int64", "-9223372036854775808"),
        ("integer", "7", "Int64", "7"),
        ("decimal", "-12.50", "Decimal128(4, 2)", "-12.50"),
        ("decimal", "7", "Decimal128(1, 0)", "7"),
        ("date", "0001-01-01", "Date32", "0001-01-01"),
        ("timestamp", "9999-12-31 23:59:59.999999", "Timestamp(µs)", "9999-12-31T23:59:59.999999"),
        ("boolean", "true", "Boolean", "true"),
    ] {
        let found = evaluated(kind, value);
        assert_eq!(found, (data_type.to_owned(), text.to_owned()), "{kind} {value}");
    }
}

proptest! {
    #[test]
    fn a_text_comes_back_from_sql(text in "([ -~\0-\u{1f}é☃😀]|''|\\\\'|--|/\\*|\\*/|\\$\\$|\\{\\{ p \\}\\}){0,24}") {
        prop_assert_eq!(evaluated("text", &text).1, text);
    }
}
