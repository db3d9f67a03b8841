//! Everything that can be told of a job without a connection. It needs no secret, and compiles no plugin but the
//! job's connector.

use longshore_engine::check::check_regex;
use longshore_engine::scan::{ComponentSource, Source as _};
use longshore_engine::transform::{check_condition, check_query};
use longshore_model::config::checks::Rule;
use longshore_model::config::job::{Job, JobRelation, Source};
use longshore_model::config::load::{Load, Merge};
use longshore_model::config::{Settings, Step};
use longshore_model::error::{Class, Error, Result, ResultExt};
use longshore_plugins::{Catalog, Plugins, Resolver};
use longshore_sandbox::Sandbox;
use tempfile::TempDir;
use tokio::runtime::Handle;

/// The name of a source that the host itself reads.
const FILES: &str = "files";

/// What is told of a job without a connection.
pub struct Validation {
    /// What its source is called.
    pub source: String,
    /// All that is wrong with it.
    pub faults: Vec<Error>,
}

/// Checks a job, with the plugins in the plugin folders.
pub async fn validate(job: &Job, settings: &Settings) -> Result<Validation> {
    if !job.uses_plugins() {
        return Ok(validate_with(job, &Catalog::default(), settings).await);
    }
    let (sandbox, _cache) = sandbox(settings)?;
    let plugins = Plugins::new(sandbox, &settings.plugins);
    let plugins = plugins.signed_by(settings.policy.signers());
    let catalog = plugins.load().await?;
    Ok(validate_with(job, &catalog, settings).await)
}

/// The same, with these plugins.
pub async fn validate_with(job: &Job, catalog: &Catalog, settings: &Settings) -> Validation {
    let mut faults = Vec::new();
    check_queries(job, &mut faults);
    check_checks(job, &mut faults);
    let source = if job.uses_plugins() {
        check_bound(job, catalog, settings, &mut faults).await
    } else {
        FILES.to_owned()
    };
    Validation { source, faults }
}

/// The queries that are carried out here.
fn check_queries(job: &Job, faults: &mut Vec<Error>) {
    for relation in &job.relations {
        faults.extend(check_load(relation).err());
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

/// The regular expressions and the queries of checks.
fn check_checks(job: &Job, faults: &mut Vec<Error>) {
    let names = job.relations.iter().map(|relation| relation.name.as_str());
    let tables: Vec<&str> = names.chain(["data"]).collect();
    for check in job.relations.iter().flat_map(|relation| &relation.checks) {
        let checked = match &check.rule {
            Rule::Pattern { regex, .. } => check_regex(regex),
            Rule::Sql(sql) => check_query(sql, &tables),
            _ => continue,
        };
        faults.extend(checked.context(format!("check `{}`", check.name)).err());
    }
}

/// The condition of a load mode.
fn check_load(relation: &JobRelation) -> Result<()> {
    let Some(Load::Merge(Merge { deleted: Some(sql), .. })) = &relation.load else { return Ok(()) };
    check_condition(sql).context(format!("`{}`: `merge.deleted`", relation.name))
}

/// A sandbox, with its cache if that is a folder for a while: a cache that cannot be used is no fault of
/// the job's.
fn sandbox(settings: &Settings) -> Result<(Sandbox, Option<TempDir>)> {
    if let Ok(sandbox) = Sandbox::new(&settings.cache, settings.limits) {
        return Ok((sandbox, None));
    }
    let folder = tempfile::tempdir().map_err(|error| Error::io("a folder for a while", error))?;
    Ok((Sandbox::new(folder.path(), settings.limits)?, Some(folder)))
}

/// Checks the plugins and what the job says to them; gives what the source is called.
async fn check_bound(
    job: &Job,
    catalog: &Catalog,
    settings: &Settings,
    faults: &mut Vec<Error>,
) -> String {
    let resolver = Resolver { is_dry: true, ..Resolver::new(catalog, settings) };
    faults.extend(resolver.transforms(job).err());
    faults.extend(resolver.sink(job).err());
    faults.extend(resolver.registrar(job).err());
    let Some(source) = resolver.source(job).transpose() else { return FILES.to_owned() };
    let tested = async {
        let source = ComponentSource::new(source?.compile().await?, Handle::current());
        let title = format!("{} {}", source.name(), source.version());
        Ok((title, wrong_config(job, source.test().await)))
    };
    match tested.await {
        Ok((title, wrong)) => {
            faults.extend(wrong);
            title
        }
        Err(error) => {
            faults.push(error);
            String::new()
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
