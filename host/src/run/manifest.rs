//! The manifest: the record of what a run published.

use arrow::datatypes::SchemaRef;
use serde::Serialize;
use serde_json::Value;

use crate::config::Job;
use crate::config::Step;
use crate::plan::{RelationPlan, RunPlan, consistency_name};
use crate::sandbox::{Hold, Relation, Snapshot};
use crate::write::Part;

/// The manifest's own version.
const FORMAT: u32 = 1;

/// What a run published.
#[derive(Debug, Serialize)]
pub struct Manifest {
    format: u32,
    longshore: &'static str,
    run: String,
    job: JobRecord,
    started: String,
    finished: String,
    seconds: f64,
    consistency: &'static str,
    /// The instant that was read, if the source held one.
    snapshot: Option<SnapshotRecord>,
    parallel: usize,
    plugins: Vec<PluginRecord>,
    rows: u64,
    bytes: u64,
    relations: Vec<RelationRecord>,
}

#[derive(Debug, Serialize)]
struct SnapshotRecord {
    id: String,
    source: String,
}

/// The job, without its secrets.
#[derive(Debug, Serialize)]
struct JobRecord {
    name: String,
    source: Value,
    transform: Vec<Value>,
    target: String,
}

#[derive(Debug, Serialize)]
struct PluginRecord {
    name: String,
    version: String,
    digest: String,
}

#[derive(Debug, Serialize)]
struct RelationRecord {
    name: String,
    published_as: String,
    source: Value,
    strategy: Vec<String>,
    chunks: usize,
    retries: u32,
    rows: u64,
    bytes: u64,
    schema: Vec<FieldRecord>,
    parts: Vec<Part>,
}

#[derive(Debug, Serialize)]
struct FieldRecord {
    name: String,
    r#type: String,
    nullable: bool,
}

/// A relation's parts, when all of its tasks are done.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) parts: Vec<Part>,
    pub(super) retries: u32,
    pub(super) schema: SchemaRef,
}

/// When a run began and how long it took.
pub(super) struct Times {
    pub(super) started: String,
    pub(super) finished: String,
    pub(super) seconds: f64,
}

impl Manifest {
    pub(super) fn new(
        run: &str,
        job: &Job,
        plan: &RunPlan,
        finished: &[Finished],
        published_as: &[String],
        times: Times,
    ) -> Self {
        let relations: Vec<RelationRecord> = plan
            .relations
            .iter()
            .zip(finished)
            .zip(published_as)
            .map(|((plan, finished), published_as)| record(plan, finished, published_as))
            .collect();
        Self {
            format: FORMAT,
            longshore: env!("CARGO_PKG_VERSION"),
            run: run.to_owned(),
            job: job_record(job, plan),
            started: times.started,
            finished: times.finished,
            seconds: times.seconds,
            consistency: consistency_name(plan.consistency),
            snapshot: match &plan.hold {
                Hold::Held(Snapshot { token, label }) => {
                    Some(SnapshotRecord { id: token.clone(), source: label.clone() })
                }
                Hold::Unavailable(_) => None,
            },
            parallel: plan.parallel,
            plugins: plugins(plan),
            rows: relations.iter().map(|relation| relation.rows).sum(),
            bytes: relations.iter().map(|relation| relation.bytes).sum(),
            relations,
        }
    }
}

fn record(plan: &RelationPlan, finished: &Finished, published_as: &str) -> RelationRecord {
    RelationRecord {
        name: plan.relation.name.clone(),
        published_as: published_as.to_owned(),
        source: match &plan.relation.relation {
            Relation::Table(table) => serde_json::json!({ "table": table }),
            Relation::Query(query) => serde_json::json!({ "query": query }),
        },
        strategy: plan.scans.iter().map(|scanned| scanned.strategy.clone()).collect(),
        chunks: plan.chunks(),
        retries: finished.retries,
        rows: finished.parts.iter().map(|part| part.rows).sum(),
        bytes: finished.parts.iter().map(|part| part.bytes).sum(),
        schema: finished
            .schema
            .fields()
            .iter()
            .map(|field| FieldRecord {
                name: field.name().clone(),
                r#type: field.data_type().to_string(),
                nullable: field.is_nullable(),
            })
            .collect(),
        parts: finished.parts.clone(),
    }
}

fn job_record(job: &Job, plan: &RunPlan) -> JobRecord {
    let mut bound = plan.transforms.iter();
    let steps = job.steps.iter().map(|step| match step {
        Step::Sql(sql) => serde_json::json!({ "sql": sql }),
        Step::Plugin { name, .. } => {
            let config = bound.next().map(|bound| json_or_null(&bound.config));
            serde_json::json!({ "plugin": name, "config": config })
        }
    });
    JobRecord {
        name: job.name.clone(),
        source: json_or_null(plan.source.config()),
        transform: steps.collect(),
        target: job.target.folder.display().to_string(),
    }
}

/// A config as its plugin got it: secrets are only named in it.
fn json_or_null(config: &str) -> Value {
    serde_json::from_str(config).unwrap_or(Value::Null)
}

fn plugins(plan: &RunPlan) -> Vec<PluginRecord> {
    let source = plan.source.plugin();
    let mut plugins = vec![PluginRecord {
        name: source.described.name.clone(),
        version: source.described.version.clone(),
        digest: source.digest.clone(),
    }];
    plugins.extend(plan.transforms.iter().map(|bound| PluginRecord {
        name: bound.plugin.described.name.clone(),
        version: bound.plugin.described.version.clone(),
        digest: bound.plugin.digest.clone(),
    }));
    plugins
}
