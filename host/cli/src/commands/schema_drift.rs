//! `longshore schema diff` and `longshore schema accept`: the columns of a job's source beside those of its target.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use longshore_engine::drift::Alignment;
use longshore_model::config::{Job, nearest_or_all};
use longshore_model::error::{Error, Result};
use longshore_model::format::counted;
use longshore_run::ledger::Ledger;
use longshore_run::{RelationDrift, drift_of_job};
use serde_json::{Value, json};

use super::params::ParamArgs;
use super::{App, CommandError, show};

#[derive(Subcommand)]
pub(super) enum SchemaCommand {
    /// Show how the columns of a job's source differ from those of its target; the exit code is 4 if they do
    Diff {
        /// The job file; `-` for standard input
        job: PathBuf,
        #[command(flatten)]
        params: ParamArgs,
    },
    /// Accept the columns that the source has now: runs take them, although the job refuses such changes
    Accept {
        /// The job file; `-` for standard input
        job: PathBuf,
        /// The relation whose columns to accept; all of the job's, if absent
        relation: Option<String>,
        #[command(flatten)]
        params: ParamArgs,
    },
}

pub(super) fn schema(app: &App, command: &SchemaCommand) -> Result<(), CommandError> {
    match command {
        SchemaCommand::Diff { job, params } => diff(app, job, params),
        SchemaCommand::Accept { job, relation, params } => {
            Ok(accept(app, job, relation.as_deref(), params)?)
        }
    }
}

fn drift(app: &App, job: &Job) -> Result<Vec<RelationDrift>> {
    app.io.block_on(async { drift_of_job(job, app.resolve(job).await?, &app.settings).await })
}

fn diff(app: &App, path: &Path, params: &ParamArgs) -> Result<(), CommandError> {
    let job = params.read_job(app, path)?;
    let relations = drift(app, &job)?;
    if app.json {
        let relations: Vec<Value> = relations.iter().map(relation_json).collect();
        show::json(&json!({ "job": job.name, "relations": relations }));
    } else {
        show::answer(&relations.iter().map(relation_text).collect::<String>());
    }
    let drifted: Vec<&RelationDrift> = relations.iter().filter(|own| own.is_drifted()).collect();
    if drifted.is_empty() {
        return Ok(());
    }
    let refused = |own: &&RelationDrift| {
        own.alignment.as_ref().is_some_and(|aligned| !aligned.refusals().is_empty())
    };
    let error = Error::data(format!(
        "the columns of {} differ from the target's",
        counted(drifted.len() as u64, "relation")
    ));
    let error = if drifted.iter().any(refused) {
        error.with_hint("a run is refused: change `schema` in the job, or accept the columns with `longshore schema accept JOB`")
    } else {
        error.with_hint("a run goes on as shown above")
    };
    Err(CommandError { error, reported: true })
}

fn accept(app: &App, path: &Path, relation: Option<&str>, params: &ParamArgs) -> Result<()> {
    let job = params.read_job(app, path)?;
    if let Some(name) = relation
        && job.relations.iter().all(|own| own.name != name)
    {
        return Err(unknown(&job, name));
    }
    let relations = drift(app, &job)?;
    let ledger = Ledger::open(&app.settings.state)?;
    let is_new = relations.iter().all(|own| own.target.is_none());
    let mut accepted = Vec::new();
    for own in &relations {
        let is_meant = match relation {
            Some(name) => own.relation == name,
            None => own.is_drifted() || is_new,
        };
        if is_meant {
            accepted.push((own, own.accept(&job, &ledger)?));
        }
    }
    if app.json {
        let shown = |(own, aligned): &(&RelationDrift, Alignment)| json!({ "relation": own.relation, "columns": own.columns, "changes": aligned.changes });
        let accepted: Vec<Value> = accepted.iter().map(shown).collect();
        show::json(&json!({ "job": job.name, "accepted": accepted }));
        return Ok(());
    }
    if accepted.is_empty() {
        show::answer("nothing to accept: the source has the columns of the target");
    }
    for (own, aligned) in &accepted {
        show::answer(&accepted_text(own, aligned));
    }
    Ok(())
}

fn unknown(job: &Job, name: &str) -> Error {
    let names: Vec<&str> = job.relations.iter().map(|own| own.name.as_str()).collect();
    Error::config(format!("the job has no relation `{name}`")).with_hint(nearest_or_all(
        name,
        "relations",
        &names,
    ))
}

fn relation_json(own: &RelationDrift) -> Value {
    let changes = own.alignment.as_ref().map(|aligned| &aligned.changes);
    let refusals = own.alignment.iter().flat_map(Alignment::refusals);
    json!({
        "relation": own.relation,
        "target": own.target,
        "columns": own.columns,
        "changes": changes.cloned().unwrap_or_default(),
        "refused": refusals.map(|refusal| &refusal.cause).collect::<Vec<_>>(),
    })
}

fn relation_text(own: &RelationDrift) -> String {
    let mut text = format!("{}: ", own.relation);
    let _ = match (&own.target, own.is_drifted()) {
        (None, _) => writeln!(text, "nothing is published yet"),
        (Some(target), false) => writeln!(text, "the columns of {target}"),
        (Some(target), true) => writeln!(text, "other columns than {target}"),
    };
    for change in own.alignment.iter().flat_map(|aligned| &aligned.changes) {
        let _ = writeln!(text, "  {change}");
    }
    text
}

fn accepted_text(own: &RelationDrift, aligned: &Alignment) -> String {
    let columns = counted(own.columns.len() as u64, "column");
    let mut text = format!("{}: its {columns} are accepted\n", own.relation);
    for change in &aligned.changes {
        let _ = writeln!(text, "  {change}");
    }
    text
}
