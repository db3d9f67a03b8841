//! `longshore plugin check PLUGIN`: the conformance suite, for a component of whatever language.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use longshore_model::config::job::Source;
use longshore_model::config::target::To;
use longshore_model::config::{Job, Step};
use longshore_model::error::{Error, Result};
use longshore_model::format::counted;
use longshore_plugins::{Plugin, PluginKind};
use longshore_sandbox::Relation;
use serde_json::{Map, Value, json};

use super::params::ParamArgs;
use super::{App, CommandError, plugin, show};
use crate::conformance;
use crate::conformance::{Outcome, SuiteInputs};

/// A component, and what it is held against.
#[derive(Args)]
pub(super) struct Subject {
    /// A component's file, or a plugin's name
    plugin: String,
    /// The plugin's config, as JSON, such as '{"url": "calendar:"}'; secrets as in a job
    #[arg(long, value_name = "JSON", conflicts_with = "job")]
    with: Option<String>,
    /// A job file that uses the plugin: its config is taken from it
    #[arg(long, value_name = "JOB")]
    job: Option<PathBuf>,
    #[command(flatten)]
    params: ParamArgs,
    /// For a connector: a table to read, with some thousand rows [default: the first one listed]
    #[arg(long, value_name = "NAME")]
    table: Vec<String>,
    /// For a connector: a query to read
    #[arg(long, value_name = "SQL")]
    query: Vec<String>,
}

impl Subject {
    /// The plugin, with the config and the relations that are to be used.
    pub(super) fn read<'a>(&self, app: &'a App) -> Result<(Arc<Plugin>, SuiteInputs<'a>)> {
        let plugin = plugin::find(app, &self.plugin)?;
        let job = self.job.as_deref();
        let job = job.map(|path| self.params.read_job(app, path)).transpose()?;
        let config = match &job {
            Some(job) => Some(config_of(job, &plugin)?),
            None => self.with.as_deref().map(parse).transpose()?,
        };
        let mut relations = job.iter().flat_map(Job::reads).map(Relation::from).collect::<Vec<_>>();
        relations.extend(self.table.iter().cloned().map(Relation::Table));
        relations.extend(self.query.iter().cloned().map(Relation::Query));
        Ok((plugin, SuiteInputs { config, relations, settings: &app.settings }))
    }
}

pub(super) fn check(app: &App, subject: &Subject) -> Result<(), CommandError> {
    let (plugin, given) = subject.read(app)?;
    let outcomes = app.io.block_on(conformance::check(&plugin, &given))?;
    answer(app, &plugin, &outcomes, given.config.is_some())
}

fn parse(text: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(text).map_err(|error| {
        Error::config(format!("`--with`: not a JSON object: {error}"))
            .with_hint("write it as in '{\"url\": \"calendar:\"}'")
    })
}

/// The config that a job gives the plugin.
fn config_of(job: &Job, plugin: &Plugin) -> Result<Map<String, Value>> {
    let config = match (plugin.kind(), &job.target.to) {
        (PluginKind::Connector, _) => match &job.source {
            Source::Connector(from) => Some(from.config.clone()),
            Source::Files(_) => None,
        },
        (PluginKind::Sink, To::Sink(sink)) => Some(sink.config.clone()),
        (PluginKind::Sink, To::Folder(..)) => None,
        (PluginKind::Transform, _) => job.steps.iter().find_map(|step| match step {
            Step::Plugin { wanted, config } if wanted.name.as_deref() == Some(plugin.name()) => {
                Some(config.clone())
            }
            _ => None,
        }),
    };
    config.ok_or_else(|| {
        Error::config(format!("the job does not use {}", plugin.name()))
            .with_hint("name a job that does, or give the plugin's config with --with")
    })
}

fn answer(
    app: &App,
    plugin: &Plugin,
    outcomes: &[Outcome],
    is_whole: bool,
) -> Result<(), CommandError> {
    let broken = outcomes.iter().filter(|outcome| outcome.fault.is_some()).count();
    if app.json {
        show::json(&json!({
            "plugin": plugin.name(),
            "version": plugin.version.to_string(),
            "digest": plugin.digest(),
            "whole": is_whole,
            "kept": broken == 0,
            "promises": outcomes.iter().map(|outcome| json!({
                "promise": outcome.promise,
                "fault": outcome.fault,
            })).collect::<Vec<_>>(),
        }));
    } else {
        show::answer(&format!("{}, a {}", plugin.title(), plugin::kind(plugin)));
        outcomes.iter().for_each(|outcome| show::answer(&line(outcome)));
        if !is_whole {
            show::answer("only looked at: give its config with --with or --job to run it");
        }
    }
    if broken == 0 {
        if !app.json {
            show::answer(&format!("{} kept", counted(outcomes.len() as u64, "promise")));
        }
        return Ok(());
    }
    let error = Error::data(format!(
        "{}: {broken} of {} are broken",
        plugin.name(),
        counted(outcomes.len() as u64, "promise")
    ))
    .with_hint("fix the plugin: docs/how-to/write-a-plugin.md and wit/ define the contract");
    Err(CommandError { error, reported: true })
}

fn line(outcome: &Outcome) -> String {
    match &outcome.fault {
        None => format!("  kept    {}", outcome.promise),
        Some(fault) => format!("  BROKEN  {}: {fault}", outcome.promise),
    }
}
