//! `longshore state`: the watermarks of incremental relations.

use std::path::Path;

use clap::Subcommand;
use longshore_model::config::incremental::WatchedValue;
use longshore_model::config::{Arguments, Job};
use longshore_model::error::{Error, Result};
use longshore_model::watermark::Watermark;
use longshore_run::ledger::{Ledger, WatermarkEntry};
use serde_json::json;

use super::table::Table;
use super::{App, show};

#[derive(Subcommand)]
pub(super) enum StateCommand {
    /// List the watermarks of all jobs
    List,
    /// Show the watermarks of a job
    Show {
        /// The job's name, or its file
        job: String,
        /// The table or query, by its name in the job; all of them if absent
        relation: Option<String>,
    },
    /// Set a watermark: the next run loads what is greater
    Set {
        /// The job's name, or its file
        job: String,
        /// The table or query, by its name in the job
        relation: String,
        /// The value, as in `incremental.initial`
        #[arg(allow_negative_numbers = true)]
        value: String,
    },
    /// Take watermarks away: the next run begins anew
    Reset {
        /// The job's name, or its file
        job: String,
        /// The table or query, by its name in the job; all of them if absent
        relation: Option<String>,
    },
}

pub(super) fn state(app: &App, command: StateCommand) -> Result<()> {
    let ledger = Ledger::open(&app.settings.state)?;
    match command {
        StateCommand::List => {
            show_entries(app, &ledger.watermarks(None)?);
            Ok(())
        }
        StateCommand::Show { job, relation } => {
            show_entries(app, &entries(&ledger, &JobRef::of(app, &job)?, relation.as_deref())?);
            Ok(())
        }
        StateCommand::Set { job, relation, value } => {
            set(app, &ledger, &JobRef::of(app, &job)?, &relation, &value)
        }
        StateCommand::Reset { job, relation } => {
            reset(app, &ledger, &JobRef::of(app, &job)?, relation.as_deref())
        }
    }
}

/// A job, by its name or by its file.
struct JobRef {
    name: String,
    /// The job, where it is named by its file.
    job: Option<Job>,
}

impl JobRef {
    fn of(app: &App, text: &str) -> Result<Self> {
        let path = Path::new(text);
        if !path.is_file() {
            return Ok(Self { name: text.to_owned(), job: None });
        }
        let job = Job::read(path, &Arguments::none(), &app.settings.policy)?;
        Ok(Self { name: job.name.clone(), job: Some(job) })
    }

    /// The incremental relations that its file names.
    fn relations(&self) -> impl Iterator<Item = (&str, &WatchedValue)> {
        let relations = self.job.iter().flat_map(|job| &job.relations);
        relations
            .flat_map(|relation| &relation.inputs)
            .filter_map(|input| Some((input.name.as_str(), &input.incremental.as_ref()?.by)))
    }
}

/// The watermarks of a job; an error if there are none.
fn entries(ledger: &Ledger, job: &JobRef, relation: Option<&str>) -> Result<Vec<WatermarkEntry>> {
    let mut entries = ledger.watermarks(Some(&job.name))?;
    entries.retain(|entry| relation.is_none_or(|relation| entry.relation == relation));
    if entries.is_empty() {
        let of = relation.map(|relation| format!(", relation `{relation}`")).unwrap_or_default();
        return Err(Error::not_found(format!("no watermark of the job `{}`{of}", job.name))
            .with_hint("`longshore state list` lists all of them"));
    }
    Ok(entries)
}

fn show_entries(app: &App, entries: &[WatermarkEntry]) {
    if app.json {
        show::json(&entries);
        return;
    }
    if entries.is_empty() {
        show::answer(&format!("no watermarks in {}", app.settings.state.display()));
        return;
    }
    let mut table = Table::new(&["JOB", "RELATION", "COLUMN", "WATERMARK", "BY", "SINCE"]);
    for WatermarkEntry { job, relation, watermark, run, updated } in entries {
        let column = watermark.as_ref().map_or("-", |mark| column_text(mark.column.as_deref()));
        let value = watermark.as_ref().and_then(|mark| mark.value.as_deref()).unwrap_or("none");
        let by = run.as_deref().unwrap_or("by hand");
        let since = updated.get(..19).unwrap_or(updated);
        table.add([job, relation, column, value, by, since].map(str::to_owned));
    }
    show::answer(&table.to_text());
}

fn column_text(column: Option<&str>) -> &str {
    column.unwrap_or("time of change")
}

fn set(app: &App, ledger: &Ledger, job: &JobRef, relation: &str, value: &str) -> Result<()> {
    let column = watched_column(ledger, job, relation)?;
    let mark = Watermark { column, value: Some(value.to_owned()), ..Watermark::default() };
    ledger.set_watermark(&job.name, relation, Some(&mark))?;
    if app.json {
        show::json(&json!({ "job": job.name, "relation": relation, "watermark": mark }));
    } else {
        let column = column_text(mark.column.as_deref());
        show::answer(&format!(
            "{relation}: the next run loads what has a greater {column} than {value}"
        ));
    }
    Ok(())
}

/// The column that a relation's values are in: by the job's file, or by the watermark that is there.
fn watched_column(ledger: &Ledger, job: &JobRef, relation: &str) -> Result<Option<String>> {
    if let Some((_, watched)) = job.relations().find(|(name, _)| *name == relation) {
        return Ok(match watched {
            WatchedValue::Column(column) => Some(column.clone()),
            WatchedValue::Modified => None,
        });
    }
    let known = ledger.watermarks(Some(&job.name))?;
    let known = known.into_iter().find(|entry| entry.relation == relation);
    known.and_then(|entry| entry.watermark).map(|mark| mark.column).ok_or_else(|| {
        Error::not_found(format!("the job `{}` has no incremental relation `{relation}`", job.name))
            .with_hint(
                "give the job's file in place of its name, and a relation as the file names it",
            )
    })
}

fn reset(app: &App, ledger: &Ledger, job: &JobRef, relation: Option<&str>) -> Result<()> {
    let named: Vec<String> = job
        .relations()
        .map(|(name, _)| name.to_owned())
        .filter(|name| relation.is_none_or(|relation| relation == name))
        .collect();
    let relations = match named.as_slice() {
        [] => {
            let known = entries(ledger, job, relation)?;
            known.into_iter().map(|entry| entry.relation).collect()
        }
        _ => named,
    };
    for relation in &relations {
        ledger.set_watermark(&job.name, relation, None)?;
    }
    if app.json {
        show::json(&json!({ "job": job.name, "reset": relations }));
    } else {
        let relations = relations.join(", ");
        show::answer(&format!("{relations}: the next run begins anew"));
    }
    Ok(())
}
