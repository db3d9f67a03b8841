//! `longshore runs`, `submit` and `wait`, of a daemon that is asked over its API.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use longshore_model::config::Arguments;
use longshore_model::config::document::DOCUMENT_LIMIT_BYTES;
use longshore_model::config::small_file::read_small_file;
use longshore_model::error::{Class, Error, ErrorReport, Result};
use longshore_model::format::grouped;
use longshore_run::RunReport;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::client::Client;
use crate::run_choice::only_run;

/// The most runs that the beginning of an id is compared with.
const FOUND: usize = 500;

/// How often it is looked whether a run has ended.
const LOOK_MILLIS: u64 = 500;

/// How long a daemon that does not answer is waited for: it may be restarting.
const PATIENCE_SECS: u64 = 60;

#[derive(Args)]
pub(crate) struct SubmitArgs {
    /// The job file
    pub(crate) job: PathBuf,
    /// The value of a parameter that the job declares; can be given for each of them
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// The same key never gives a second run
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Wait for the run, and end as it ends
    #[arg(long)]
    pub(crate) wait: bool,
}

/// Runs as the lines of a table: id, state, beginning, rows, job.
pub(crate) fn lines(runs: &Value) -> Vec<[String; 5]> {
    let rows = runs.as_array().into_iter().flatten().map(|run| {
        let text = |key: &str| run[key].as_str().unwrap_or_default().to_owned();
        let began = text("created").get(..19).unwrap_or_default().to_owned();
        let rows = run["report"]["rows"].as_u64().or(run["rows_read"].as_u64());
        [text("run"), text("state"), began, rows.map(grouped).unwrap_or_default(), text("job")]
    });
    rows.collect()
}

/// The newest runs.
pub(crate) async fn runs(client: &Client, limit: u64) -> Result<Value> {
    let mut page = client.get(&format!("/runs?limit={limit}")).await?;
    Ok(page["runs"].take())
}

/// The run whose id begins so. Where there is none, the daemon says so when it is asked.
pub(crate) async fn find(client: &Client, beginning: &str) -> Result<String> {
    let mut page =
        client.get(&format!("/runs?search={}&limit={FOUND}", segment(beginning)?)).await?;
    let runs = page["runs"].take();
    let ids = runs.as_array().into_iter().flatten().filter_map(|run| run["run"].as_str());
    let found: Vec<String> =
        ids.filter(|id| id.starts_with(beginning)).map(str::to_owned).collect();
    Ok(only_run(beginning, &found)?.unwrap_or_else(|| beginning.to_owned()))
}

/// A run with all that is known of it.
pub(crate) async fn show(client: &Client, run: &str) -> Result<Value> {
    client.get(&format!("/runs/{}", segment(run)?)).await
}

pub(crate) async fn cancel(client: &Client, run: &str) -> Result<Value> {
    client.post(&format!("/runs/{}/cancel", segment(run)?), &json!({})).await
}

pub(crate) async fn retry(client: &Client, run: &str) -> Result<Value> {
    client.post(&format!("/runs/{}/retry", segment(run)?), &json!({})).await
}

/// Submits a job file; gives the run.
pub(crate) async fn submit(client: &Client, args: &SubmitArgs) -> Result<Value> {
    let text = read_small_file("the job file", &args.job, DOCUMENT_LIMIT_BYTES)?;
    let document = String::from_utf8(text)
        .map_err(|_| Error::config(format!("{}: not UTF-8 text", args.job.display())))?;
    let parameters: BTreeMap<String, Value> = Arguments::of_flags(&args.params)?.into_values();
    let mut body = json!({
        "name": stem(&args.job),
        "format": format(&args.job),
        "document": document,
        "parameters": parameters,
    });
    if let Some(key) = &args.key {
        body["key"] = json!(key);
    }
    client.post("/runs", &body).await
}

/// Waits for the end of a run; gives its report.
pub(crate) async fn wait(client: &Client, run: &str) -> Result<(Value, Result<()>)> {
    let mut answered = Instant::now();
    loop {
        match show(client, run).await {
            Ok(found) if found["finished"].is_string() => return Ok(ending(found)),
            Ok(_) => answered = Instant::now(),
            Err(error) if is_passing(&error) && answered.elapsed().as_secs() < PATIENCE_SECS => {}
            Err(error) => return Err(error),
        }
        sleep(Duration::from_millis(LOOK_MILLIS)).await;
    }
}

fn is_passing(error: &Error) -> bool {
    error.class().is_transient()
}

/// The report of a run that has ended, and how a command ends that waited for it.
fn ending(mut run: Value) -> (Value, Result<()>) {
    let report = run["report"].take();
    let error = serde_json::from_value::<ErrorReport>(report["error"].clone());
    let result = match error {
        Ok(error) => Err(told(error)),
        Err(_) if report["status"] == "succeeded" => Ok(()),
        Err(_) => Err(Error::new(Class::Internal, format!("the run is {}", run["state"]))),
    };
    (report, result)
}

fn told(report: ErrorReport) -> Error {
    let error = Error::new(report.class, report.message).with_exit_code(report.exit_code);
    match report.next_step {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// A report as text, as `longshore run` shows it.
pub(crate) fn report_text(report: &Value) -> String {
    let report = serde_json::from_value::<RunReport>(report.clone());
    report.map(|report| report.to_text()).unwrap_or_default()
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The format that a file's ending names, as the API calls it.
fn format(path: &Path) -> String {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if ending == "yml" { "yaml".to_owned() } else { ending }
}

/// A run's id, as a part of a path.
fn segment(run: &str) -> Result<&str> {
    let is_id = run.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if is_id && !run.is_empty() {
        return Ok(run);
    }
    Err(Error::not_found(format!("no run has the id `{run}`"))
        .with_hint("`longshore runs` lists the runs"))
}
