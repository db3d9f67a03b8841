//! Events as OpenLineage has them: <https://openlineage.io/spec/2-0-2/OpenLineage.json>.

use chrono::Utc;
use longshore_model::config::{Job, Step};
use longshore_model::relation::Relation;
use serde_json::{Map, Value, json};
use strum::IntoStaticStr;

use super::facet::{PRODUCER, facet};
use super::job_lineage::JobLineage;
use crate::report::rfc3339;

/// The schemas of events.
const SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs";

/// Between the queries of a job.
const BETWEEN_QUERIES: &str = ";\n\n";

/// What happened to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE")]
pub(super) enum EventType {
    /// It has begun.
    Start,
    /// It is known what it reads and writes.
    Running,
    /// It has published.
    Complete,
    /// It has failed.
    Fail,
    /// It was cancelled.
    Abort,
}

/// An event of a run, without what it reads and writes.
pub(super) fn run_event(kind: EventType, run: &Value, job: &Value) -> Value {
    let kind: &str = kind.into();
    json!({
        "eventType": kind, "eventTime": rfc3339(Utc::now()), "producer": PRODUCER,
        "schemaURL": format!("{SCHEMA}/RunEvent"), "run": run, "job": job,
    })
}

/// The event that tells of a job what each of its runs reads and writes.
pub fn job_event(job: &Job, namespace: &str, lineage: &JobLineage) -> Value {
    json!({
        "eventTime": rfc3339(Utc::now()), "producer": PRODUCER,
        "schemaURL": format!("{SCHEMA}/JobEvent"), "job": job_json(job, namespace),
        "inputs": lineage.inputs_json(), "outputs": lineage.outputs_json(),
    })
}

/// A job, as events name it.
pub(super) fn job_json(job: &Job, namespace: &str) -> Value {
    let kind = json!({ "processingType": "BATCH", "integration": "LONGSHORE", "jobType": "JOB" });
    let mut facets = Map::new();
    facets.insert("jobType".into(), facet("2-0-4", "JobTypeJobFacet", kind));
    let queries = queries(job);
    if !queries.is_empty() {
        let sql = json!({ "query": queries.join(BETWEEN_QUERIES) });
        facets.insert("sql".into(), facet("1-1-0", "SQLJobFacet", sql));
    }
    json!({ "namespace": namespace, "name": job.name, "facets": facets })
}

/// The job's queries, in the order in which rows pass them.
fn queries(job: &Job) -> Vec<&str> {
    let inputs = job.relations.iter().flat_map(|relation| &relation.inputs);
    let read = inputs.filter_map(|input| match &input.relation {
        Relation::Query(query) => Some(query.as_str()),
        Relation::Table(_) => None,
    });
    let joined = job.relations.iter().filter_map(|relation| relation.sql.as_deref());
    let steps = job.steps.iter().filter_map(|step| match step {
        Step::Sql(sql) => Some(sql.as_str()),
        Step::Plugin { .. } => None,
    });
    read.chain(joined).chain(steps).map(str::trim).collect()
}
