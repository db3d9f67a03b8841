//! `longshore validate JOB`: everything that can be told without a connection. It needs no secret, and
//! compiles no plugin but the job's connector.

use std::path::Path;

use longshore_engine::scan::{ComponentSource, Source as _};
use longshore_engine::transform::check_query;
use longshore_model::config::Step;
use longshore_model::config::job::{Job, Source};
use longshore_model::error::{Class, Error, Result, ResultExt};
use longshore_model::format::counted;
use longshore_plugins::{Catalog, Plugins, Resolver};
use longshore_sandbox::Sandbox;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Handle;

use super::params::ParamArgs;
use super::{App, show};

/// What is read by the host itself.
const FILES: &str = "files";

pub(super) fn validate(app: &App, path: &Path, params: &ParamArgs) -> Result<()> {
    let job = params.read_job(app, path)?;
    let mut faults = Vec::new();
    check_queries(&job, &mut faults);
    let source = check_plugins(app, &job, &mut faults)?;
    Error::all(faults).context(path.display().to_string())?;
    if app.json {
        show::json(&as_json(&job, &source))
    } else {
        show::answer(&as_text(&job, &source))
    }
    Ok(())
}

fn as_json(job: &Job, source: &str) -> Value {
    let mut answer = json!({
        "valid": true,
        "job": job.name,
        "connector": source.split(' ').next(),
        "relations": job.relations.iter().map(|r| &r.name).collect::<Vec<_>>(),
    });
    if !job.parameters.is_empty() {
        answer["parameters"] = json!(job.parameters);
    }
    answer
}

fn as_text(job: &Job, source: &str) -> String {
    let relations = counted(job.relations.len() as u64, "relation");
    let mut text = format!("{}: valid: {relations} from {source} to {}", job.name, job.target.url);
    if !job.parameters.is_empty() {
        text += &format!("\nparameters: {}", job.parameters);
    }
    text
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

/// Checks the plugins and what the job says to them; gives what the source is called.
fn check_plugins(app: &App, job: &Job, faults: &mut Vec<Error>) -> Result<String> {
    if !job.uses_plugins() {
        return Ok(FILES.to_owned());
    }
    let (sandbox, _cache) = sandbox(app)?;
    let plugins = Plugins::new(sandbox, &app.settings.plugins);
    let plugins = plugins.signed_by(app.settings.policy.signers());
    let catalog = app.io.block_on(plugins.load())?;
    let (source, found) = check_bound(app, job, &catalog);
    faults.extend(found);
    Ok(source)
}

/// A sandbox, with its cache if that is a folder for a while: a cache that cannot be used is no fault of
/// the job's.
fn sandbox(app: &App) -> Result<(Sandbox, Option<TempDir>)> {
    let _on_io = app.io.enter();
    if let Ok(sandbox) = Sandbox::new(&app.settings.cache, app.settings.limits) {
        return Ok((sandbox, None));
    }
    let folder = tempfile::tempdir().map_err(|error| Error::io("a folder for a while", error))?;
    Ok((Sandbox::new(folder.path(), app.settings.limits)?, Some(folder)))
}

fn check_bound(app: &App, job: &Job, catalog: &Catalog) -> (String, Vec<Error>) {
    let resolver = Resolver { is_dry: true, ..Resolver::new(catalog, &app.settings) };
    let mut faults: Vec<Error> = Vec::new();
    faults.extend(resolver.transforms(job).err());
    faults.extend(resolver.sink(job).err());
    faults.extend(resolver.registrar(job).err());
    let Some(source) = resolver.source(job).transpose() else { return (FILES.to_owned(), faults) };
    let tested = app.io.block_on(async {
        let source = ComponentSource::new(source?.compile().await?, Handle::current());
        let title = format!("{} {}", source.name(), source.version());
        Ok((title, wrong_config(job, source.test().await)))
    });
    match tested {
        Ok((title, wrong)) => {
            faults.extend(wrong);
            (title, faults)
        }
        Err(error) => {
            faults.push(error);
            (String::new(), faults)
        }
    }
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
