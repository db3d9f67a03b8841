//! What commands show that ask a daemon over its API.

use longshore_model::error::Result;
use serde_json::Value;

use super::run_lines::{attempt_text, executor_text, text};
use super::runs::RunsCommand;
use super::table::Table;
use super::{App, CommandError, show};
use crate::remote::{self, Client, RemoteArgs, SubmitArgs};

/// How many runs are listed, unless told.
const LISTED: u64 = 20;

/// `longshore --server URL runs ..`
pub(super) fn runs(
    app: &App,
    server: &RemoteArgs,
    command: Option<RunsCommand>,
    limit: Option<u64>,
) -> Result<()> {
    let client = server.client(&app.settings.state)?;
    match command {
        None => list(app, &client, limit.unwrap_or(LISTED)),
        Some(RunsCommand::Show { run }) => {
            let run = app.io.block_on(remote::find(&client, &run))?;
            answer(app, &app.io.block_on(remote::show(&client, &run))?, run_text)
        }
        Some(RunsCommand::Cancel { run }) => {
            let run = app.io.block_on(remote::find(&client, &run))?;
            let cancelled = app.io.block_on(remote::cancel(&client, &run))?;
            answer(app, &cancelled, |cancelled| cancel_text(&run, cancelled))
        }
        Some(RunsCommand::Retry { run }) => {
            let run = app.io.block_on(remote::find(&client, &run))?;
            let retried = app.io.block_on(remote::retry(&client, &run))?;
            answer(app, &retried, |retried| format!("run {}: tries it again", text(retried, "run")))
        }
    }
}

fn list(app: &App, client: &Client, limit: u64) -> Result<()> {
    let runs = app.io.block_on(remote::runs(client, limit))?;
    if app.json {
        show::json(&runs);
        return Ok(());
    }
    let mut table = Table::new(&["RUN", "STATE", "BEGAN", "ROWS", "JOB"]).align_right(3);
    remote::lines(&runs).into_iter().for_each(|line| table.add(line));
    show::answer(&table.to_text());
    Ok(())
}

/// `longshore submit JOB`
pub(super) fn submit(
    app: &App,
    server: &RemoteArgs,
    args: &SubmitArgs,
) -> Result<(), CommandError> {
    let client = server.client(&app.settings.state)?;
    let submitted = app.io.block_on(remote::submit(&client, args))?;
    let run = text(&submitted, "run");
    if args.wait {
        return wait_for(app, &client, &run);
    }
    Ok(answer(app, &submitted, |_| run)?)
}

/// `longshore wait RUN`
pub(super) fn wait(app: &App, server: &RemoteArgs, run: &str) -> Result<(), CommandError> {
    let client = server.client(&app.settings.state)?;
    let run = app.io.block_on(remote::find(&client, run))?;
    wait_for(app, &client, &run)
}

fn wait_for(app: &App, client: &Client, run: &str) -> Result<(), CommandError> {
    let (report, result) = app.io.block_on(remote::wait(client, run))?;
    answer(app, &report, remote::report_text)?;
    result.map_err(|error| CommandError { error, reported: true })
}

fn answer(app: &App, answer: &Value, as_text: impl FnOnce(&Value) -> String) -> Result<()> {
    if app.json {
        show::json(answer);
    } else {
        show::answer(&as_text(answer));
    }
    Ok(())
}

fn run_text(run: &Value) -> String {
    let mut lines = vec![format!(
        "run {}: {}, job {}, by {}",
        text(run, "run"),
        text(run, "state"),
        text(run, "job"),
        text(run, "owner")
    )];
    lines.extend(items(run, "executors").map(executor_text));
    for event in ["phases", "events"].iter().filter_map(|key| run[key].as_array()).flatten() {
        lines.push(format!("{}  {}", text(event, "at"), text(event, "text")));
    }
    let is_over = !run["finished"].is_null() || run["state"] == "interrupted";
    lines.extend(items(run, "attempts").map(|attempt| attempt_text(attempt, is_over)));
    for relation in items(run, "relations") {
        lines.push(format!(
            "{}: {} rows, {} of {} chunks",
            text(relation, "name"),
            relation["rows"],
            relation["done"],
            relation["chunks"]
        ));
    }
    let error = &run["report"]["error"];
    lines.extend(error["message"].as_str().map(|message| format!("error: {message}")));
    lines.extend(error["next_step"].as_str().map(|next| format!("next: {next}")));
    lines.join("\n")
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn cancel_text(run: &str, answer: &Value) -> String {
    if answer["is_over"] == true {
        return format!("run {run}: {}", text(answer, "state"));
    }
    let alive = items(answer, "alive").filter_map(Value::as_str);
    format!("run {run}: asked to stop; still alive: {}", alive.collect::<Vec<_>>().join(", "))
}
