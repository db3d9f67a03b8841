//! `longshore validate JOB`: everything that can be told without a connection. It needs no secret, and no plugins
//! but the job's.

use std::path::Path;
use std::sync::Arc;

use longshore_engine::plan::Planner;
use longshore_engine::transform::check_query;
use longshore_model::config::connector::Connector;
use longshore_model::config::job::{Job, Source};
use longshore_model::config::target::To;
use longshore_model::config::{PluginRequirement, Step};
use longshore_model::error::{Class, Error, Result, ResultExt};
use longshore_model::format::counted;
use longshore_plugins::{Catalog, Plugins};
use longshore_sandbox::Sandbox;
use serde_json::json;

use super::{App, show};

/// Schemes whose plugins are not called like them.
const OTHER_NAMES: [(&[&str], &str); 4] = [
    (&["postgres", "postgresql"], "postgres-sink"),
    (&["http", "https"], "http-sink"),
    (&["hive"], "impala"),
    (&["mysql", "mariadb", "sqlserver", "mssql", "oracle", "vertica", "sqlite"], "odbc"),
];

/// What is read by the host itself.
const FILES: &str = "files";

pub(super) fn validate(app: &App, path: &Path) -> Result<()> {
    let job = Job::read(path, &app.settings.policy)?;
    let mut faults = Vec::new();
    check_queries(&job, &mut faults);
    let source = check_plugins(app, &job, &mut faults)?;
    Error::all(faults).context(path.display().to_string())?;
    let relations = job.relations.len() as u64;
    if app.json {
        show::json(&json!({
            "valid": true,
            "job": job.name,
            "connector": source.split(' ').next(),
            "relations": job.relations.iter().map(|r| &r.name).collect::<Vec<_>>(),
        }))
    } else {
        show::answer(&format!(
            "{}: valid: {} from {source} to {}",
            job.name,
            counted(relations, "relation"),
            job.target.url
        ))
    }
    Ok(())
}

/// The queries that are carried out here.
fn check_queries(job: &Job, faults: &mut Vec<Error>) {
    for relation in &job.relations {
        let Some(sql) = &relation.sql else { continue };
        let names: Vec<&str> = relation.inputs.iter().map(|input| input.name.as_str()).collect();
        faults.extend(check_query(sql, &names).context("`sql`").err());
    }
    for (index, step) in job.steps.iter().enumerate() {
        let Step::Sql(sql) = step else { continue };
        faults
            .extend(check_query(sql, &["data"]).context(format!("`transform[{index}].sql`")).err());
    }
}

/// The plugins and what the job says to them; what the source is called.
fn check_plugins(app: &App, job: &Job, faults: &mut Vec<Error>) -> Result<String> {
    let likely = load(app, Some(names(job)))?;
    let (source, found) = check_bound(app, job, likely.as_ref());
    if found.is_empty() {
        return Ok(source);
    }
    // A plugin may be called as it likes: what is missing may be in another file.
    let all = load(app, None)?;
    let (source, found) = check_bound(app, job, all.as_ref());
    faults.extend(found);
    Ok(source)
}

/// The names of the files that the job's plugins are most likely in.
fn names(job: &Job) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |scheme: &str, wanted: &PluginRequirement| {
        names.extend(wanted.name.clone());
        names.push(scheme.to_owned());
        let other = OTHER_NAMES.iter().find(|(schemes, _)| schemes.contains(&scheme));
        names.extend(other.map(|(_, name)| (*name).to_owned()));
    };
    if let Source::Connector(Connector { scheme, plugin, .. }) = &job.source {
        add(scheme, plugin);
    }
    if let To::Sink(sink) = &job.target.to {
        add(&sink.scheme, &sink.plugin);
    }
    if let Some(register) = &job.register {
        add(&register.connector.scheme, &register.connector.plugin);
    }
    for step in &job.steps {
        if let Step::Plugin { wanted, .. } = step {
            names.extend(wanted.name.clone());
        }
    }
    names
}

/// The plugins of these names, or all.
fn load(app: &App, names: Option<Vec<String>>) -> Result<Arc<Catalog>> {
    if names.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Arc::default());
    }
    let _on_io = app.io.enter();
    let own = Sandbox::new(&app.settings.cache, app.settings.limits);
    // A cache that cannot be used is no fault of the job's.
    let (sandbox, _folder) = match own {
        Ok(sandbox) => (sandbox, None),
        Err(_) => {
            let folder =
                tempfile::tempdir().map_err(|error| Error::io("a folder for a while", error))?;
            (Sandbox::new(folder.path(), app.settings.limits)?, Some(folder))
        }
    };
    let plugins = Plugins::new(sandbox, &app.settings.plugins);
    let plugins = plugins.signed_by(app.settings.policy.signers());
    let plugins = match names {
        Some(names) => plugins.only(names),
        None => plugins,
    };
    app.io.block_on(plugins.load())
}

fn check_bound(app: &App, job: &Job, catalog: &Catalog) -> (String, Vec<Error>) {
    let planner = Planner { is_dry: true, ..Planner::new(catalog, &app.settings) };
    let mut faults: Vec<Error> = Vec::new();
    faults.extend(planner.transforms(job).err());
    faults.extend(planner.sink(job).err());
    let source = app.io.block_on(async {
        faults.extend(planner.registrar(job).err());
        if let Source::Files(_) = job.source {
            return FILES.to_owned();
        }
        match planner.source(job) {
            Err(error) => {
                faults.push(error);
                String::new()
            }
            Ok(source) => {
                faults.extend(wrong_config(job, source.test().await));
                format!("{} {}", source.name(), source.version())
            }
        }
    });
    (source, faults)
}

/// What a connector says of its config before it asks for a connection, which it is not granted.
fn wrong_config(job: &Job, tested: Result<String>) -> Option<Error> {
    let error = tested.err().filter(|error| error.class() == Class::Config)?;
    // What it says may be about a secret, which has no value here.
    let Source::Connector(connector) = &job.source else { return None };
    let has_other_secrets =
        connector.config.iter().any(|(key, value)| key != "password" && value.is_object());
    (!has_other_secrets).then(|| error.with_context("source"))
}
