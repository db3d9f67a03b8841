//! A job as it is understood: with the values of its parameters, with what it leaves out, and without secrets.

use longshore_model::config::job::{Input, JobRelation, Source};
use longshore_model::config::target::To;
use longshore_model::config::{Job, Settings, Step};
use longshore_model::error::Result;
use longshore_model::relation::Relation;
use longshore_plugins::{Binding, Catalog, Resolver};
use serde_json::{Map, Value, json};

/// What stands for a secret that is written in the job itself.
const HIDDEN: &str = "(hidden)";

/// What is said where the program chooses.
const AUTOMATIC: &str = "automatic";

/// The parts of a job, in the order of a job file.
pub fn understood(
    job: &Job,
    catalog: &Catalog,
    settings: &Settings,
) -> Result<Vec<(&'static str, Value)>> {
    let resolver = Resolver { is_dry: true, ..Resolver::new(catalog, settings) };
    let mut parts = vec![("name", json!(job.name))];
    if !job.parameters.is_empty() {
        parts.push(("parameters", json!(job.parameters)));
    }
    parts.push((
        "source",
        match (&job.source, resolver.source(job)?) {
            (Source::Connector(connector), Some(binding)) => shown(&connector.config, &binding),
            (Source::Files(files), _) => files.shown.clone(),
            (Source::Connector(_), None) => Value::Null,
        },
    ));
    parts.push(("relations", job.relations.iter().map(relation).collect()));
    if !job.steps.is_empty() {
        let plugins = resolver.transforms(job)?;
        let step = |(index, step): (usize, &Step)| match (step, plugins.get(&index)) {
            (Step::Plugin { wanted, config }, Some(binding)) => {
                json!({ "plugin": wanted.to_string(), "config": shown(config, binding) })
            }
            (Step::Plugin { wanted, .. }, None) => json!({ "plugin": wanted.to_string() }),
            (Step::Sql(sql), _) => json!({ "sql": sql }),
        };
        parts.push(("transform", job.steps.iter().enumerate().map(step).collect()));
    }
    parts.push(("target", target(job, &resolver)?));
    let or_automatic = |value: Option<u64>| value.map_or(json!(AUTOMATIC), |value| json!(value));
    let (rows, bytes) = (or_automatic(job.chunk.rows), or_automatic(job.chunk.bytes));
    parts.push(("chunk", json!({ "rows": rows, "bytes": bytes })));
    let relations = or_automatic(job.parallel.relations.map(|count| count as u64));
    let chunks = or_automatic(job.parallel.chunks.map(|count| count as u64));
    parts.push(("parallel", json!({ "relations": relations, "chunks": chunks })));
    Ok(parts)
}

/// A plugin's config. Its secrets are shown by where they are found, and hidden where they stand in the job.
fn shown(config: &Map<String, Value>, binding: &Binding) -> Value {
    let secrets = binding.plugin.info.secrets();
    let value = |(key, value): (&String, &Value)| {
        let is_hidden = value.is_string() && secrets.contains(key);
        let value = if is_hidden { json!(HIDDEN) } else { without_password(value) };
        (key.clone(), value)
    };
    Value::Object(config.iter().map(value).collect())
}

/// A URL without the password that it may hold.
fn without_password(value: &Value) -> Value {
    let Some((scheme, rest)) = value.as_str().and_then(|text| text.split_once("://")) else {
        return value.clone();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@').and_then(|(login, at)| Some((login.split_once(':')?.0, at))) {
        Some((user, at)) => json!(format!("{scheme}://{user}@{at}{path}")),
        None => value.clone(),
    }
}

fn relation(relation: &JobRelation) -> Value {
    let mut parts = Map::new();
    parts.insert("as".into(), json!(relation.name));
    match (&relation.sql, relation.inputs.as_slice()) {
        (None, [only]) => parts.extend(input(only)),
        (sql, inputs) => {
            parts.insert("sql".into(), json!(sql));
            let from = inputs.iter().map(|own| Value::Object(input(own)));
            parts.insert("from".into(), from.collect());
        }
    }
    if !relation.checks.is_empty() {
        let checks = relation.checks.iter().map(|check| json!(check.to_string()));
        parts.insert("checks".into(), checks.collect());
    }
    Value::Object(parts)
}

fn input(input: &Input) -> Map<String, Value> {
    let mut parts = Map::new();
    match &input.relation {
        // The files that the source's URL names.
        Relation::Table(table) if table.is_empty() => None,
        Relation::Table(table) => parts.insert("table".into(), json!(table)),
        Relation::Query(query) => parts.insert("query".into(), json!(query)),
    };
    if let Some(column) = &input.chunk_by {
        parts.insert("chunk_by".into(), json!(column));
    }
    parts
}

fn target(job: &Job, resolver: &Resolver<'_>) -> Result<Value> {
    let target = &job.target;
    let mut parts = Map::new();
    if let (To::Sink(sink), Some(binding)) = (&target.to, resolver.sink(job)?)
        && let Value::Object(config) = shown(&sink.config, &binding)
    {
        parts = config;
    }
    parts.insert("url".into(), json!(target.url));
    parts.insert("mode".into(), json!(target.mode.name()));
    if matches!(target.to, To::Folder(..)) {
        parts.insert("format".into(), json!(target.format_name()));
    }
    if !target.partition_by.is_empty() {
        parts.insert("partition_by".into(), json!(target.partition_by));
    }
    Ok(Value::Object(parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        let shown = |url: &str| without_password(&json!(url)).as_str().unwrap().to_owned();
        assert_eq!(shown("postgres://a:b@c:d@host:1/x?y=@"), "postgres://a@host:1/x?y=@");
        for url in ["postgres://a@host/x", "tpch:", "s3://b/c:d@e", "no url"] {
            assert_eq!(shown(url), url);
        }
    }
}
