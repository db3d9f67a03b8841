//! From a checked job to a plan for each relation.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::repartition::RepartitionExec;
use futures::{StreamExt, TryStreamExt, stream};
use longshore_model::config::files::Files;
use longshore_model::config::job::JobRelation;
use longshore_model::config::load::Load;
use longshore_model::config::target::To;
use longshore_model::config::{Job, Reach, Settings, job};
use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::relation::Consistency;
use longshore_model::watermark::Window;
use longshore_plugins::PluginSet;
use longshore_sandbox::{Relation, Snapshot, SnapshotResult};
use tokio::runtime::Handle;

use super::inputs::{ColumnPlan, InputPlan, PlanContext};
use crate::check::{QuestionRelation, RelationChecks, columns_to_keep};
use crate::decimal_width::widen_schema;
use crate::drift::{Alignment, Expectation, Outcome};
use crate::incremental::LoadState;
use crate::lineage::{ColumnLineage, InputColumn};
use crate::load_mode;
use crate::scan::{ComponentSource, DirectSource, FileSource, ScanPlan, Source};
use crate::transform::Rows;
use crate::write::Partitioning;

/// So many relations are worth a session of their own while they are planned.
const RELATIONS_PER_SESSION: usize = 16;

/// The most relations that are looked up at once. The source keeps what it found until they are planned.
const GROUP_LIMIT_RELATIONS: usize = 256;

/// The plan of a run.
pub struct RunPlan {
    /// Where rows come from.
    pub source: Arc<dyn Source>,
    /// The job's plugins.
    pub plugins: Arc<PluginSet>,
    /// The relations, in the job's order.
    pub relations: Vec<RelationPlan>,
    /// Chunks at the same time, in all.
    pub parallel: usize,
    /// Chunks of one relation at the same time.
    pub parallel_chunks: usize,
    /// Relations at the same time.
    pub parallel_relations: usize,
    /// What the run will see of the source.
    pub consistency: Consistency,
    /// The snapshot that it reads, or why there is none.
    pub snapshot: SnapshotResult,
}

impl RunPlan {
    /// The consistency, with what it rests on.
    pub fn explained_consistency(&self) -> String {
        let name = self.consistency.name();
        match (&self.snapshot, self.consistency) {
            (SnapshotResult::Opened(Snapshot { token, label }), _) => {
                format!("{name} ({label}, {token})")
            }
            (SnapshotResult::Unavailable(_), Consistency::Snapshot) => name.into(),
            (SnapshotResult::Unavailable(reason), _) => format!("{name} (no snapshot: {reason})"),
        }
    }
}

/// What a run would do with one relation.
pub struct RelationPlan {
    /// The relation, under its name in the target.
    pub relation: JobRelation,
    /// Makes the relation's rows; a partition for each chunk, if it is chunk-wise.
    pub physical: Arc<dyn ExecutionPlan>,
    /// The relation's columns at the source.
    pub columns: Vec<ColumnPlan>,
    /// Which of these each column of `written` comes from; none if it is not known, or too much to be told.
    pub lineage: Option<ColumnLineage>,
    /// The columns of the rows, as everybody but the encoder of Parquet knows them.
    pub written: SchemaRef,
    /// The columns that the relation has when its load mode is done.
    pub loaded: SchemaRef,
    /// The same in the order of readers: those that folders tell come last.
    pub published: SchemaRef,
    /// Estimated rows at the source.
    pub rows: Option<u64>,
    /// Estimated bytes at the source.
    pub bytes: Option<u64>,
    /// How the source is read: once, unless SQL names `data` more often.
    pub scans: Vec<ScanPlan>,
    /// Whether each chunk's rows can be made, and made again, alone.
    pub chunkwise: bool,
    /// The checks of its rows.
    pub checks: Arc<RelationChecks>,
    /// How its columns go with those of its target, if it is known what that holds.
    pub alignment: Option<Alignment>,
    /// Its columns of which nothing but NULL was seen.
    pub untyped: BTreeSet<String>,
    /// The columns that its checks, or those of other relations, need again before the commit.
    pub kept: Vec<usize>,
}

impl RelationPlan {
    /// Chunks over all scans.
    pub fn chunks(&self) -> usize {
        self.scans.iter().map(|scan| scan.chunks.len()).sum()
    }

    /// The windows of its incremental inputs.
    pub fn windows(&self) -> Vec<&Window> {
        let mut windows: Vec<&Window> = Vec::new();
        for window in self.scans.iter().filter_map(|scan| scan.window.as_ref()) {
            if !windows.iter().any(|other| other.relation == window.relation) {
                windows.push(window);
            }
        }
        windows
    }
}

/// Makes plans.
pub struct Planner<'a> {
    /// The job's plugins.
    pub plugins: Arc<PluginSet>,
    /// The operator's settings.
    pub settings: &'a Settings,
    /// Plans for no more rows of each relation than this: for a look at them.
    pub limit: Option<usize>,
    /// The plan's past, if the run resumes.
    pub resume: ResumeState,
    /// How far incremental relations have been loaded; without it, they are planned whole.
    pub loads: Option<LoadState>,
    /// What the target holds of each relation, in the job's order; nothing is known of those beyond.
    pub expected: Vec<Option<Expectation>>,
    /// What `now()` is in the job's SQL: the same for all of a run, also after an interruption and on other machines.
    pub now: DateTime<Utc>,
}

/// What a plan takes from before, and does not ask the source for.
#[derive(Debug, Default)]
pub struct ResumeState {
    /// The run's snapshot, or why there is none, if somebody else asked for it.
    pub snapshot: Option<SnapshotResult>,
    /// The scans of each relation, if the run resumes: it reads the same chunks.
    pub scans: Option<Vec<Vec<ScanPlan>>>,
}

impl<'a> Planner<'a> {
    /// A planner for whole runs.
    pub fn new(plugins: Arc<PluginSet>, settings: &'a Settings) -> Self {
        let (limit, resume, loads, expected) = Default::default();
        Self { plugins, settings, limit, resume, loads, expected, now: Utc::now() }
    }

    /// The job's source, of which nothing is asked yet. Call it on the runtime that serves connections.
    pub fn source(&self, job: &Job) -> Result<Arc<dyn Source>> {
        let from = match &job.source {
            job::Source::Connector(from) => from,
            job::Source::Files(files) => return self.files(job, files),
        };
        let connector = self.plugins.source.clone();
        let connector = connector.ok_or_else(|| Error::internal("a job without its connector"))?;
        let server = ComponentSource::new(connector, Handle::current());
        let Some(direct) = from.direct.clone() else { return Ok(Arc::new(server)) };
        let (secrets, policy) = (self.settings.secrets.clone(), self.settings.policy.clone());
        let by_server = job.incremental_tables();
        Ok(Arc::new(DirectSource::new(server, *direct, secrets, policy, by_server)))
    }

    fn files(&self, job: &Job, files: &Files) -> Result<Arc<dyn Source>> {
        let reach = Reach::new(&self.settings.policy, &job.folder);
        let source = FileSource::open(files, self.settings.secrets.as_deref(), reach)?;
        Ok(Arc::new(source))
    }

    /// Plans a whole run.
    pub async fn plan(&self, job: &Job) -> Result<RunPlan> {
        self.plan_on(job, self.source(job)?).await
    }

    /// Plans a whole run on its source, which is released if that fails.
    pub async fn plan_on(&self, job: &Job, source: Arc<dyn Source>) -> Result<RunPlan> {
        let planned = self.plan_from(job, source.clone()).await;
        if planned.is_err() {
            source.release().await;
        }
        planned
    }

    async fn plan_from(&self, job: &Job, source: Arc<dyn Source>) -> Result<RunPlan> {
        let parallel = Parallelism::of(job, self.settings);
        let snapshot = match &self.resume.snapshot {
            Some(snapshot) => snapshot.clone(),
            None => {
                let relations: Vec<Relation> = job.reads().into_iter().map(Into::into).collect();
                source.open_snapshot(&relations).await?
            }
        };
        let contexts: Vec<PlanContext<'_>> = job
            .relations
            .iter()
            .enumerate()
            .map(|(position, relation)| PlanContext {
                job,
                relation,
                source: &source,
                snapshot: &snapshot,
                transforms: &self.plugins.transforms,
                parallel: parallel.chunks,
                is_uncut: self.limit.is_some(),
                recorded: self.resume.scans.as_ref().and_then(|scans| scans.get(position)).cloned(),
                loads: self.loads.as_ref(),
                expected: self.expected.get(position).and_then(Option::as_ref),
                now: self.now,
            })
            .collect();
        // A session costs as much as several relations.
        let at_once = (contexts.len() / RELATIONS_PER_SESSION).min(parallel.run).max(1);
        let group_size = contexts.len().div_ceil(at_once).clamp(1, GROUP_LIMIT_RELATIONS);
        let planning = contexts.chunks(group_size).map(|group| self.plan_group(&source, group));
        let groups: Vec<Vec<RelationPlan>> =
            stream::iter(planning).buffered(at_once).try_collect().await?;
        let mut relations: Vec<RelationPlan> = groups.into_iter().flatten().collect();
        keep_columns(&mut relations).await?;
        let consistency = overall_consistency(&relations);
        check_demand(job, consistency, &snapshot)?;
        Ok(RunPlan {
            source,
            plugins: self.plugins.clone(),
            relations,
            parallel: parallel.run,
            parallel_chunks: parallel.chunks,
            parallel_relations: parallel.relations,
            consistency,
            snapshot,
        })
    }

    /// Plans relations one after the other; the source hears of all of them before.
    async fn plan_group(
        &self,
        source: &Arc<dyn Source>,
        group: &[PlanContext<'_>],
    ) -> Result<Vec<RelationPlan>> {
        let inputs = group.iter().flat_map(|asking| &asking.relation.inputs);
        let relations: Vec<Relation> = inputs.map(|input| input.relation.clone().into()).collect();
        source.prepare(&relations).await?;
        let mut planned = Vec::with_capacity(group.len());
        for asking in group {
            planned.push(self.plan_relation(asking).await?);
        }
        Ok(planned)
    }

    async fn plan_relation(&self, asking: &PlanContext<'_>) -> Result<RelationPlan> {
        let name = &asking.relation.name;
        let planned = self.plan_cut(asking).await.context(name.clone())?;
        let (chunks, rows) = (planned.chunks(), planned.rows);
        tracing::debug!(relation = name, chunks, rows, "a relation is planned");
        Ok(planned)
    }

    /// A relation whose chunks need the ones before them is not cut if it may stop early.
    async fn plan_cut(&self, asking: &PlanContext<'_>) -> Result<RelationPlan> {
        let planned = self.plan_rows(asking).await?;
        let depends_on_previous = planned.scans.iter().any(|scan| scan.depends_on_previous);
        if depends_on_previous && stops_early(&planned.physical) {
            self.plan_rows(&PlanContext { is_uncut: true, ..asking.clone() }).await
        } else {
            Ok(planned)
        }
    }

    async fn plan_rows(&self, asking: &PlanContext<'_>) -> Result<RelationPlan> {
        let relation = asking.relation;
        let inputs = asking.inputs().await?;
        let mut rows = asking.steps(asking.rows(&inputs).await?).await?;
        let untyped = untyped_columns(&rows, &inputs)?;
        // Versions have other columns than the rows that are read.
        let has_versions = matches!(relation.load, Some(Load::Scd2(_)));
        let mut alignment = None;
        if let Some(expected) = asking.expected {
            (rows, alignment) = align(rows, expected, &untyped, has_versions)?;
        }
        if let Some(limit) = self.limit {
            rows = rows.limit(limit)?;
        }
        let is_sink = matches!(asking.job.target.to, To::Sink(_));
        let lineage = rows.lineage();
        if is_sink && let Some(load) = &relation.load {
            // Of the rows as they are read: a sink joins them itself.
            load_mode::columns(load, &rows.schema()?)?;
            rows = load_mode::marked(rows, load, asking.now).await?;
        }
        let physical = rows.into_plan().await?;
        // Told before anything is read.
        refuse_twins(&physical.schema())?;
        let written = widen_schema(&physical.schema());
        let written =
            alignment.as_ref().map_or(written.clone(), |aligned| aligned.nullable(&written));
        let loaded = match &relation.load {
            None => written.clone(),
            Some(_) if is_sink => load_mode::without_mark(&written),
            Some(load) => load_mode::columns(load, &written)?,
        };
        if has_versions {
            alignment = asking.expected.map(|expected| expected.align_seen(&loaded, &untyped));
        }
        let published = Partitioning::table_schema(&asking.job.target.partition_by, &loaded)?;
        let chunkwise = is_chunkwise(&physical);
        let checks = Arc::new(RelationChecks::new(&relation.checks, &physical.schema())?);
        Ok(RelationPlan {
            relation: relation.clone(),
            chunkwise,
            checks,
            alignment,
            untyped,
            kept: Vec::new(),
            written,
            loaded,
            published,
            physical,
            rows: match inputs.as_slice() {
                [only] => only.described.rows,
                // A join makes any number of them.
                _ => None,
            },
            bytes: inputs.iter().map(|input| input.described.bytes).sum(),
            scans: inputs.iter().flat_map(|input| input.table.take_scans()).collect(),
            columns: inputs.iter().flat_map(InputPlan::columns).collect(),
            lineage,
        })
    }
}

/// Gives rows the columns that the target is expected to hold.
fn align(
    rows: Rows,
    expected: &Expectation,
    untyped: &BTreeSet<String>,
    has_versions: bool,
) -> Result<(Rows, Option<Alignment>)> {
    if has_versions {
        return Ok(match expected.typed(&rows.schema()?, untyped) {
            Some(columns) => (rows.align(&columns)?, None),
            None => (rows, None),
        });
    }
    let alignment = expected.align_seen(&rows.schema()?, untyped);
    let rows = match &alignment.outcome {
        Outcome::Columns(columns) => rows.align(columns)?,
        _ => rows,
    };
    Ok((rows, Some(alignment)))
}

/// The columns of rows that are, as they stand, columns of inputs of which nothing but NULL was seen.
fn untyped_columns(rows: &Rows, inputs: &[InputPlan]) -> Result<BTreeSet<String>> {
    if inputs.iter().all(|input| input.described.untyped.is_empty()) {
        return Ok(BTreeSet::new());
    }
    let Some(lineage) = rows.lineage() else { return Ok(BTreeSet::new()) };
    let is_untyped = |of: InputColumn| {
        inputs.get(of.input).is_some_and(|input| input.described.untyped.contains(&of.column))
    };
    let schema = rows.schema()?;
    let columns = schema.fields().iter().zip(&lineage.columns);
    let untyped = columns.filter(|(_, from)| from.sole_identity().is_some_and(is_untyped));
    Ok(untyped.map(|(field, _)| field.name().clone()).collect())
}

/// Has each relation keep the columns that checks need again.
async fn keep_columns(relations: &mut [RelationPlan]) -> Result<()> {
    let schemas: Vec<SchemaRef> = relations.iter().map(|plan| plan.physical.schema()).collect();
    let asked: Vec<QuestionRelation<'_>> = relations
        .iter()
        .zip(&schemas)
        .map(|(plan, schema)| QuestionRelation { relation: &plan.relation, schema })
        .collect();
    let kept = columns_to_keep(&asked).await?;
    for (plan, columns) in relations.iter_mut().zip(kept) {
        plan.kept = columns.into_iter().collect();
    }
    Ok(())
}

/// No format can tell two columns of one name apart.
fn refuse_twins(schema: &SchemaRef) -> Result<()> {
    let names = || schema.fields().iter().map(|field| field.name());
    let twin = names().enumerate().find(|(place, name)| names().take(*place).any(|n| n == *name));
    match twin {
        None => Ok(()),
        Some((_, name)) => Err(Error::config(format!("two columns are called `{name}`"))
            .with_hint("name them apart in the query or an `sql` step: SELECT a AS b")),
    }
}

struct Parallelism {
    run: usize,
    chunks: usize,
    relations: usize,
}

impl Parallelism {
    /// The job's numbers; what it leaves open comes from the settings.
    fn of(job: &Job, settings: &Settings) -> Self {
        let automatic = settings.parallel;
        let run = match (job.parallel.relations, job.parallel.chunks) {
            (Some(relations), Some(chunks)) => relations * chunks,
            (one, other) => automatic.max(one.or(other).unwrap_or(1)),
        };
        Self {
            run,
            chunks: job.parallel.chunks.unwrap_or(run),
            relations: job.parallel.relations.unwrap_or(run),
        }
    }
}

/// Whether partition n of the plan needs chunk n of the source and nothing else.
fn is_chunkwise(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let partitions = plan.properties().partitioning.partition_count();
    match plan.children().as_slice() {
        [] => true,
        [input] => {
            !plan.is::<RepartitionExec>()
                && input.properties().partitioning.partition_count() == partitions
                && is_chunkwise(input)
        }
        _ => false,
    }
}

/// Whether a plan leaves rows unread once it has enough.
fn stops_early(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.fetch().is_some() || plan.children().into_iter().any(stops_early)
}

/// The weakest of what the relations see. A run of one chunk sees one instant, whatever it is.
fn overall_consistency(relations: &[RelationPlan]) -> Consistency {
    let scans = || relations.iter().flat_map(|relation| &relation.scans);
    let weakest = scans().map(|scan| scan.consistency).min().unwrap_or(Consistency::Snapshot);
    let chunks: usize = relations.iter().map(RelationPlan::chunks).sum();
    match weakest {
        Consistency::PerChunk if chunks <= 1 => Consistency::Snapshot,
        weakest => weakest,
    }
}

fn check_demand(job: &Job, consistency: Consistency, snapshot: &SnapshotResult) -> Result<()> {
    let reason = match snapshot {
        SnapshotResult::Opened(_) => String::new(),
        SnapshotResult::Unavailable(reason) => format!(" (no snapshot: {reason})"),
    };
    match job.consistency {
        Some(demanded) if consistency < demanded => Err(Error::config(format!(
            "`consistency`: the job demands {}, this source gives {}{reason}",
            demanded.name(),
            consistency.name()
        ))
        .with_hint("demand less, or move one relation in one chunk")),
        _ => Ok(()),
    }
}
