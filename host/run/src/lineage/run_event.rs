//! The events of one run. Later ones say again what earlier ones said: the ledger keeps it from one process to the
//! next.

use longshore_model::config::lineage::JobRun;
use longshore_model::config::{Job, ParentRun};
use longshore_model::error::ErrorReport;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::dataset::{add_assertions, add_published};
use super::event::{EventType, job_json, run_event};
use super::facet::facet;
use super::job_lineage::JobLineage;
use super::run_uuid::run_uuid;
use crate::check_result::CheckReport;
use crate::report::RelationReport;
use crate::trigger::Trigger;

/// The largest event. Collectors refuse what is too large.
pub(super) const EVENT_LIMIT_BYTES: usize = 8 << 20;

/// What is left out of an event that is too large, in this order.
const DISPENSABLE: [&str; 2] = ["columnLineage", "schema"];

/// The facts that all events of a run tell.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunEvents {
    run: Value,
    job: Value,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
    /// The relations that the outputs are, by their names in the job.
    #[serde(default)]
    relations: Vec<String>,
    /// The inputs whose rows are published as they are, with the output that has them.
    copies: Vec<(usize, usize)>,
}

/// The facts that only the last event tells.
pub(super) struct FinalFacts<'a> {
    pub(super) error: Option<&'a ErrorReport>,
    pub(super) published: &'a [RelationReport],
    pub(super) checks: &'a [CheckReport],
}

impl RunEvents {
    /// The facts that are known when a run begins.
    pub(super) fn begin(
        run: &str,
        job: &Job,
        namespace: &str,
        trigger: Option<&Trigger>,
        parent: Option<&ParentRun>,
    ) -> Self {
        let mut facets = Map::new();
        let engine = json!({ "name": "Longshore", "version": env!("CARGO_PKG_VERSION") });
        facets
            .insert("processing_engine".into(), facet("1-1-1", "ProcessingEngineRunFacet", engine));
        let id = json!({ "key": "longshore.run", "value": run, "source": "LONGSHORE" });
        facets.insert("tags".into(), facet("1-0-0", "TagsRunFacet", json!({ "tags": [id] })));
        if let Some(scheduled) = trigger.and_then(|trigger| trigger.scheduled.as_deref()) {
            let nominal = json!({ "nominalStartTime": scheduled });
            facets.insert("nominalTime".into(), facet("1-0-1", "NominalTimeRunFacet", nominal));
        }
        if let Some(parent) = parent {
            facets.insert("parent".into(), parent_facet(parent));
        }
        Self {
            run: json!({ "runId": run_uuid(run), "facets": facets }),
            job: job_json(job, namespace),
            inputs: Vec::new(),
            outputs: Vec::new(),
            relations: Vec::new(),
            copies: Vec::new(),
        }
    }

    /// Adds what the run reads and writes.
    pub(super) fn plan(&mut self, lineage: &JobLineage) {
        self.inputs = lineage.inputs_json();
        self.outputs = lineage.outputs_json();
        self.relations = lineage.outputs.iter().map(|output| output.relation.clone()).collect();
        self.copies = lineage.copies.clone();
        for facet in DISPENSABLE {
            if self.bytes() <= EVENT_LIMIT_BYTES {
                return;
            }
            tracing::warn!("the lineage of the run is too large: it is told without `{facet}`");
            for dataset in self.inputs.iter_mut().chain(&mut self.outputs) {
                dataset["facets"].as_object_mut().map(|facets| facets.remove(facet));
            }
        }
    }

    /// How large its events are, about.
    fn bytes(&self) -> usize {
        json!([self.inputs, self.outputs]).to_string().len()
    }

    /// Adds how the run has ended.
    pub(super) fn end(&mut self, FinalFacts { error, published, checks }: FinalFacts<'_>) {
        if let Some(error) = error {
            let error = json!({ "message": error.message, "programmingLanguage": "Rust" });
            self.run["facets"]["errorMessage"] = facet("1-0-1", "ErrorMessageRunFacet", error);
        }
        for (output, relation) in self.outputs.iter_mut().zip(published) {
            add_published(output, relation);
        }
        for (output, relation) in self.outputs.iter_mut().zip(&self.relations) {
            add_assertions(output, checks.iter().filter(|check| check.relation == *relation));
        }
        for (input, output) in &self.copies {
            let (Some(input), Some(relation)) =
                (self.inputs.get_mut(*input), published.get(*output))
            else {
                continue;
            };
            let rows = json!({ "rowCount": relation.rows });
            input["inputFacets"]["inputStatistics"] =
                facet("1-0-0", "InputStatisticsInputDatasetFacet", rows);
        }
    }

    /// An event, which happens now.
    pub(super) fn event(&self, kind: EventType) -> Value {
        let mut event = run_event(kind, &self.run, &self.job);
        event["inputs"] = json!(self.inputs);
        event["outputs"] = json!(self.outputs);
        event
    }
}

fn parent_facet(parent: &ParentRun) -> Value {
    let run = |of: &JobRun| json!({ "run": { "runId": of.run }, "job": { "namespace": of.namespace, "name": of.job } });
    let mut says = run(&parent.run);
    if let Some(root) = &parent.root {
        says["root"] = run(root);
    }
    facet("1-2-0", "ParentRunFacet", says)
}
