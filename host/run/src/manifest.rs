//! The manifest: the record of what a run published.

use std::collections::BTreeMap;

use arrow::datatypes::SchemaRef;
use longshore_engine::check::ChunkChecks;
use longshore_engine::drift::ColumnRecord;
use longshore_engine::plan::{RelationPlan, RunPlan};
use longshore_engine::scan::LeftOut;
use longshore_engine::write::WriteResult;
use longshore_model::config::job::{Input, JobRelation};
use longshore_model::config::target::Mode;
use longshore_model::config::{Job, ParameterRecord, Step};
use longshore_model::part::{Part, RelationTarget};
use longshore_model::relation::{Consistency, Relation};
use longshore_model::schema_change::SchemaChange;
use longshore_plugins::Plugin;
use longshore_sandbox::{Snapshot, SnapshotResult};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::destination::quarantine_target;
use crate::check_result::CheckResult;
use crate::incremental::WindowRecord;
use crate::load_record::LoadRecord;
use crate::trigger::Trigger;

/// The manifest's own version.
pub(super) const FORMAT: u32 = 3;

/// What a run published.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The manifest's version.
    pub format: u32,
    /// The program's version.
    pub longshore: String,
    /// The run's id.
    pub run: String,
    /// What asked for it. Absent: a dropped file, or a command in the foreground.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// The job.
    pub job: JobRecord,
    /// When the run began, in RFC 3339.
    pub started: String,
    /// When its last part was written.
    pub finished: String,
    /// How long that took.
    pub seconds: f64,
    /// What the run saw of the source.
    pub consistency: Consistency,
    /// The instant that was read, if the source held one.
    pub snapshot: Option<SnapshotRecord>,
    /// Chunks at the same time.
    pub parallel: usize,
    /// Threads that computed.
    pub threads: usize,
    /// The plugins.
    pub plugins: Vec<PluginRecord>,
    /// Rows published.
    pub rows: u64,
    /// Bytes published.
    pub bytes: u64,
    /// Rows per second.
    pub rows_per_second: u64,
    /// When the run restarted, or resumed after an interruption, and why.
    pub interruptions: Vec<String>,
    /// The relations.
    pub relations: Vec<RelationRecord>,
}

/// The instant that was read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SnapshotRecord {
    /// Its id at the source.
    pub id: String,
    /// The source and its version.
    pub source: String,
}

/// The job, without its secrets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobRecord {
    /// Its name.
    pub name: String,
    /// SHA-256 of its file.
    pub digest: String,
    /// The values of its parameters.
    #[serde(default, skip_serializing_if = "ParameterRecord::is_empty")]
    pub parameters: ParameterRecord,
    /// Where rows came from, as the connector saw it.
    pub source: Value,
    /// What happened to them.
    pub transform: Vec<Value>,
    /// Where they went.
    pub target: String,
    /// The only file in the target's folder, if the target is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The files' format; `sink` where they went into a sink.
    pub format: String,
    /// The columns whose values are in the names of folders, and not in the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partition_by: Vec<String>,
    /// What it did with an existing target. Older manifests do not say it.
    #[serde(default)]
    pub mode: Option<Mode>,
}

/// A plugin that took part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PluginRecord {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the component.
    pub digest: String,
}

/// A relation that was published.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RelationRecord {
    /// Its name in the job.
    pub name: String,
    /// Its name in the target.
    pub published_as: String,
    /// The table of a catalog that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_as: Option<String>,
    /// What was read.
    pub source: Value,
    /// How it was divided into chunks.
    pub strategy: Vec<String>,
    /// The number of its chunks.
    pub chunks: usize,
    /// How often its tasks were retried.
    pub retries: u32,
    /// Its rows.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
    /// What was loaded of its incremental tables and queries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incremental: Vec<WindowRecord>,
    /// Its columns.
    pub schema: Vec<ColumnRecord>,
    /// How they differed from those that were there before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<SchemaChange>,
    /// What its checks came to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckResult>,
    /// What its load mode did with what was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadRecord>,
    /// The rows that could not be read and were left out, if there are any.
    #[serde(default, skip_serializing_if = "LeftOut::is_empty")]
    pub left_out: LeftOut,
    /// The rows that failed checks and are beside it, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<QuarantineRecord>,
    /// Its files.
    pub parts: Vec<Part>,
}

/// Rows that failed checks, and are not in the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QuarantineRecord {
    /// Their folder in the target.
    pub folder: String,
    /// How many they are.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their files.
    pub parts: Vec<Part>,
}

impl QuarantineRecord {
    fn new(target: &RelationTarget, parts: Vec<Part>) -> Option<Self> {
        let (rows, bytes) =
            parts.iter().fold((0, 0), |(rows, bytes), part| (rows + part.rows, bytes + part.bytes));
        let folder = quarantine_target(target).name;
        (!parts.is_empty()).then_some(Self { folder, rows, bytes, parts })
    }
}

/// The output of a relation: its parts, when all of its tasks are done.
#[derive(Debug)]
pub(super) struct RelationOutput {
    pub(super) parts: Vec<Part>,
    /// What the checks found, by task.
    pub(super) measures: BTreeMap<usize, ChunkChecks>,
    /// What they came to.
    pub(super) checks: Vec<CheckResult>,
    /// The rows that could not be read, by task.
    pub(super) left_out: BTreeMap<usize, LeftOut>,
    pub(super) retries: u32,
    pub(super) schema: SchemaRef,
    /// The files in its folder that the parts take the place of.
    pub(super) replaced: Vec<String>,
    /// What its load mode did.
    pub(super) load: Option<LoadRecord>,
}

impl RelationOutput {
    /// That of a relation of which nothing is written yet.
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self {
            parts: Vec::new(),
            measures: BTreeMap::new(),
            checks: Vec::new(),
            left_out: BTreeMap::new(),
            retries: 0,
            schema,
            replaced: Vec::new(),
            load: None,
        }
    }

    /// Adds what a task has written.
    pub(super) fn add(&mut self, task: usize, written: WriteResult) {
        self.parts.extend(written.parts);
        self.left_out.insert(task, written.left_out);
        self.measures.extend(written.checks.map(|checks| (task, checks)));
    }

    /// How many rows could not be read and were left out.
    pub(super) fn left_out_rows(&self) -> u64 {
        self.left_out.values().map(|left_out| left_out.rows).sum()
    }

    /// These rows.
    pub(super) fn left_out(&self) -> LeftOut {
        let mut all = LeftOut::default();
        self.left_out.values().cloned().for_each(|left_out| all.append(left_out));
        all
    }

    /// The parts of rows in quarantine.
    pub(super) fn quarantine(&self) -> Vec<Part> {
        let parts = self.measures.values().flat_map(|found| &found.quarantine);
        parts.cloned().map(Part::from).collect()
    }
}

/// What asked for a run, its moments, and what happened to it.
pub(super) struct RunHistory<'a> {
    pub(super) run: &'a str,
    pub(super) trigger: Option<Trigger>,
    pub(super) started: String,
    pub(super) finished: String,
    pub(super) seconds: f64,
    pub(super) threads: usize,
    pub(super) interruptions: Vec<String>,
}

impl Manifest {
    pub(super) fn new(
        history: RunHistory<'_>,
        job: &Job,
        plan: &RunPlan,
        finished: &[RelationOutput],
        targets: &[RelationTarget],
    ) -> Self {
        let relations: Vec<RelationRecord> = plan
            .relations
            .iter()
            .zip(finished)
            .zip(targets)
            .map(|((plan, finished), target)| record(job, plan, finished, target))
            .collect();
        let rows = relations.iter().map(|relation| relation.rows).sum();
        Self {
            format: FORMAT,
            longshore: env!("CARGO_PKG_VERSION").to_owned(),
            run: history.run.to_owned(),
            trigger: history.trigger,
            job: job_record(job, plan),
            started: history.started,
            finished: history.finished,
            seconds: history.seconds,
            consistency: plan.consistency,
            snapshot: match &plan.snapshot {
                SnapshotResult::Opened(Snapshot { token, label }) => {
                    Some(SnapshotRecord { id: token.clone(), source: label.clone() })
                }
                SnapshotResult::Unavailable(_) => None,
            },
            parallel: plan.parallel,
            threads: history.threads,
            plugins: plugins(plan),
            rows,
            bytes: relations.iter().map(|relation| relation.bytes).sum(),
            rows_per_second: (rows as f64 / history.seconds.max(1e-9)) as u64,
            interruptions: history.interruptions,
            relations,
        }
    }
}

fn record(
    job: &Job,
    plan: &RelationPlan,
    finished: &RelationOutput,
    target: &RelationTarget,
) -> RelationRecord {
    RelationRecord {
        name: plan.relation.name.clone(),
        published_as: target.name.clone(),
        registered_as: None,
        source: source(&plan.relation),
        strategy: plan.scans.iter().map(|scanned| scanned.strategy.clone()).collect(),
        chunks: plan.chunks(),
        retries: finished.retries,
        rows: finished.parts.iter().map(|part| part.rows).sum(),
        bytes: finished.parts.iter().map(|part| part.bytes).sum(),
        incremental: plan.windows().into_iter().map(WindowRecord::new).collect(),
        schema: ColumnRecord::of_schema(&finished.schema),
        checks: finished.checks.clone(),
        load: finished.load.clone(),
        drift: plan.alignment.as_ref().map_or_else(Vec::new, |aligned| aligned.changes.clone()),
        left_out: finished.left_out(),
        quarantine: QuarantineRecord::new(target, finished.quarantine()),
        parts: finished.parts.iter().map(|part| published(job, part)).collect(),
    }
}

/// A part as readers see it: a single file has a name of its own.
fn published(job: &Job, part: &Part) -> Part {
    let file = job.target.file.as_ref().unwrap_or(&part.file);
    Part { file: file.clone(), ..part.clone() }
}

fn source(relation: &JobRelation) -> Value {
    let input = |input: &Input| match &input.relation {
        Relation::Table(table) => serde_json::json!({ "table": table }),
        Relation::Query(query) => serde_json::json!({ "query": query }),
    };
    match (&relation.sql, relation.inputs.as_slice()) {
        (None, [only]) => input(only),
        (sql, inputs) => {
            let inputs = inputs.iter().map(|own| (own.name.clone(), input(own)));
            serde_json::json!({ "sql": sql, "from": inputs.collect::<Map<_, _>>() })
        }
    }
}

fn job_record(job: &Job, plan: &RunPlan) -> JobRecord {
    let steps = job.steps.iter().enumerate().map(|(index, step)| match step {
        Step::Sql(sql) => serde_json::json!({ "sql": sql }),
        Step::Plugin { wanted, .. } => {
            let bound = plan.plugins.transforms.get(&index);
            let config = bound.map(|bound| json_or_null(&bound.config));
            serde_json::json!({ "plugin": wanted.to_string(), "config": config })
        }
    });
    JobRecord {
        name: job.name.clone(),
        digest: job.digest.clone(),
        parameters: job.parameters.clone(),
        source: json_or_null(plan.source.config()),
        transform: steps.collect(),
        target: job.target.url.clone(),
        file: job.target.file.clone(),
        format: job.target.format_name().to_owned(),
        partition_by: job.target.partition_by.clone(),
        mode: Some(job.target.mode),
    }
}

/// A config as its plugin got it. It names secrets, and does not hold them.
fn json_or_null(config: &str) -> Value {
    serde_json::from_str(config).unwrap_or(Value::Null)
}

fn plugins(plan: &RunPlan) -> Vec<PluginRecord> {
    let record = |plugin: &Plugin| PluginRecord {
        name: plugin.name().to_owned(),
        version: plugin.info.version().to_owned(),
        digest: plugin.digest().to_owned(),
    };
    plan.plugins.all().map(|(_, plugin)| record(plugin)).collect()
}
