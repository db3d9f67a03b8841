//! Jobs are built, or read from files and texts, and can be looked at before they run.

use longshore::report::Consistency;
use longshore::{Class, Status, Transfer};
use serde_json::json;

use crate::support::{Lake, settings};

const JOB: &str = "
name: nations
parameters:
  region: integer
source: { url: 'tpch:' }
tables: [nation]
transform:
  - sql: SELECT n_name FROM data WHERE n_regionkey = {{ region }}
target: { url: 'file:///tmp/never' }
";

fn nations(lake: &Lake) -> Transfer {
    let transfer = Transfer::from_text("nations.yaml", JOB).unwrap();
    transfer.target("url", lake.url()).settings(&settings())
}

#[test]
fn a_job_of_a_text_takes_parameters_and_other_values() {
    let lake = Lake::new();
    let report = nations(&lake).param("region", 3).target("format", "csv").run_blocking().unwrap();
    assert_eq!((report.job.as_str(), report.rows), ("nations", 5));
    assert!(lake.path().join("nation").is_dir());
    assert_eq!(report.parameters.values()["region"], json!(3));
}

#[test]
fn a_job_of_a_file_runs_as_the_program_runs_it() {
    let lake = Lake::new();
    let file = lake.beside("job.yaml");
    std::fs::write(&file, JOB.replace("file:///tmp/never", &lake.url())).unwrap();
    let transfer = Transfer::from_file(&file).unwrap().settings(&settings());
    assert_eq!(transfer.param("region", "0").run_blocking().unwrap().rows, 5);
}

#[test]
fn a_parameter_without_a_value_says_how_it_is_given() {
    let error = nations(&Lake::new()).run_blocking().unwrap_err();
    assert_eq!(error.class(), Class::Config);
    assert!(error.hint().unwrap().contains("param(\"region\", ..)"), "{:?}", error.hint());
}

#[test]
fn a_fault_in_a_text_has_its_line() {
    let text = JOB.replace("tables:", "tabels:");
    let error = Transfer::from_text("nations.yaml", &text).unwrap().run_blocking().unwrap_err();
    assert!(error.to_string().contains("line 6"), "{error}");
    assert_eq!(error.object(), Some("nations.yaml"));
    let error = Transfer::from_text("nations.yaml", "a: [").unwrap_err();
    assert_eq!(error.object(), Some("nations.yaml"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Transfer::from_file("/nowhere/job.yaml").unwrap_err();
    assert_eq!(error.class(), Class::Config);
    assert!(error.to_string().contains("/nowhere/job.yaml"), "{error}");
}

#[tokio::test]
async fn a_job_is_checked_before_it_runs() {
    let lake = Lake::new();
    lake.region().validate().await.unwrap();
    let step = json!({ "sql": "SELECT FROM WHERE" });
    let error = lake.region().transform(step).target("formt", "csv").validate().await.unwrap_err();
    assert_eq!(error.class(), Class::Config);
    assert!(lake.files().is_empty());
}

#[tokio::test]
async fn a_plan_tells_what_a_run_would_do() {
    let lake = Lake::new();
    let plan = lake.region().set("chunk.rows", 2).plan().await.unwrap();
    assert_eq!((plan.job.as_str(), plan.consistency), ("transfer", Consistency::Snapshot));
    let [relation] = plan.relations.as_slice() else { panic!("{plan:?}") };
    assert_eq!((relation.name.as_str(), relation.rows), ("region", Some(5)));
    assert_eq!(relation.columns[0].arrow_type, "Int64");
    assert_eq!(plan.to_json()["relations"][0]["name"], "region");
    assert!(lake.files().is_empty());
}

#[tokio::test]
async fn a_preview_gives_the_first_rows_in_arrow() {
    let lake = Lake::new();
    let previews = lake.region().preview(2).await.unwrap();
    let [preview] = previews.as_slice() else { panic!("{previews:?}") };
    let rows: usize = preview.batches.iter().map(|batch| batch.num_rows()).sum();
    assert_eq!((preview.name.as_str(), rows), ("region", 2));
    assert_eq!(preview.batches[0].schema().field(0).name(), "r_regionkey");
    assert!(lake.files().is_empty());
}

#[tokio::test]
async fn a_connection_is_tested() {
    let lake = Lake::new();
    let answer = lake.region().test_connection().await.unwrap();
    assert!(answer.relations.contains(&"lineitem".to_owned()));
    assert!(lake.files().is_empty());
}

#[test]
fn a_report_says_what_json_prints() {
    let report = Lake::new().region().run_blocking().unwrap();
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((report.status, &json["status"]), (Status::Succeeded, &json!("succeeded")));
    assert_eq!(json["relations"][0]["rows"], 5);
    let read: longshore::Report = serde_json::from_value(json).unwrap();
    assert_eq!(read.relations[0].relation, "region");
}

#[test]
fn a_password_in_a_job_is_not_shown() {
    let transfer = Transfer::copy("postgres://me@db/shop", "file:///lake");
    let transfer = transfer.source("password", "hunter2");
    assert!(!format!("{transfer:?}").contains("hunter2"));
}
