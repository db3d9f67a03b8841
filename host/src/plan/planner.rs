//! From a checked job to a plan for each relation.

use std::sync::{Arc, Mutex, PoisonError};

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::repartition::RepartitionExec;
use semver::Version;

use super::relation_table::RelationTable;
use crate::config::job::JobRelation;
use crate::config::target::{Sink, To};
use crate::config::{Job, Powers, Settings, Step, Wanted};
use crate::error::{Error, Result, ResultExt};
use crate::plugin::{Catalog, bind};
use crate::sandbox::{ChunkWish, Column, Consistency, Hold, Relation, Snapshot};
use crate::scan::{Scanned, Source};
use crate::target::BoundSink;
use crate::transform::{BoundTransform, Rows};
use crate::write::parquet_type;

/// The most chunks of one relation.
pub const CHUNK_LIMIT: u32 = 10_000;

/// Automatic chunks are not smaller than this at the source.
const MIN_CHUNK_BYTES: u64 = 16 << 20;

/// Automatic chunks are not larger than this at the source: as Parquet it becomes a part of 128 to
/// 512 MiB, which readers like.
const MAX_CHUNK_BYTES: u64 = 1 << 30;

/// Automatic chunks where the relation's size is not known.
const DEFAULT_CHUNK_BYTES: u64 = 64 << 20;

/// So many times more chunks than are read at the same time: nobody waits long for the last one.
const CHUNKS_PER_SLOT: u64 = 4;

/// What a run would do.
pub struct RunPlan {
    /// Where rows come from.
    pub source: Arc<Source>,
    /// The transforms in the sandbox, in the order of the job's steps.
    pub transforms: Vec<Arc<BoundTransform>>,
    /// The sink, if rows do not go into files.
    pub sink: Option<Arc<BoundSink>>,
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
    /// The instant that it reads, or why none is held.
    pub hold: Hold,
}

impl RunPlan {
    /// The digests of its plugins: of the connector, of the transforms, of the sink.
    pub fn digests(&self) -> Vec<&str> {
        let source = std::iter::once(self.source.plugin().digest.as_str());
        let transforms = self.transforms.iter().map(|bound| bound.plugin.digest.as_str());
        let sink = self.sink.iter().map(|bound| bound.plugin.digest.as_str());
        source.chain(transforms).chain(sink).collect()
    }

    /// The consistency, with what it rests on.
    pub fn explained_consistency(&self) -> String {
        let name = consistency_name(self.consistency);
        match (&self.hold, self.consistency) {
            (Hold::Held(Snapshot { token, label }), _) => format!("{name} ({label}, {token})"),
            (Hold::Unavailable(_), Consistency::Snapshot) => name.into(),
            (Hold::Unavailable(reason), _) => format!("{name} (no snapshot: {reason})"),
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
    /// Estimated rows at the source.
    pub rows: Option<u64>,
    /// Estimated bytes at the source.
    pub bytes: Option<u64>,
    /// How the source is read: once, unless SQL names `data` more often.
    pub scans: Vec<Scanned>,
    /// Whether each chunk's rows can be made, and made again, alone.
    pub chunkwise: bool,
}

/// A column on its way from the source.
pub struct ColumnPlan {
    /// Its name.
    pub name: String,
    /// Its type in Arrow.
    pub arrow: String,
    /// Its type in a Parquet file, if nothing happens to it on the way.
    pub parquet: String,
    /// What the source says of it.
    pub source: Column,
}

impl RelationPlan {
    /// Chunks over all scans.
    pub fn chunks(&self) -> usize {
        self.scans.iter().map(|scanned| scanned.chunks.len()).sum()
    }
}

/// Makes plans.
pub struct Planner<'a> {
    /// The plugins.
    pub catalog: &'a Catalog,
    /// The operator's settings.
    pub settings: &'a Settings,
    /// Plans for no more rows of each relation than this: for a look at them.
    pub limit: Option<usize>,
    /// What stands already.
    pub given: Given,
}

/// What a plan need not ask the source for.
#[derive(Debug, Default)]
pub struct Given {
    /// What the source holds for the run, if somebody else asked it.
    pub hold: Option<Hold>,
    /// The digests of the plugins that the run began with, as [`RunPlan::digests`] gives them.
    pub plugins: Vec<String>,
    /// How each relation was cut when the run began; it goes on with the same chunks.
    pub scans: Option<Vec<Vec<Scanned>>>,
}

impl<'a> Planner<'a> {
    /// A planner for whole runs.
    pub fn new(catalog: &'a Catalog, settings: &'a Settings) -> Self {
        Self { catalog, settings, limit: None, given: Given::default() }
    }

    /// Chooses the job's connector and works out what it is granted. Asks nothing of the source.
    pub fn source(&self, job: &Job) -> Result<Arc<Source>> {
        let find = |wanted: &Wanted| self.catalog.connector(&job.source.scheme, wanted);
        let plugin = self.choose(0, &job.source.plugin, find).context("source")?;
        let described = &plugin.described;
        let (config, grant) = bind(
            &job.source.config,
            &described.config_schema,
            &described.secrets,
            &described.endpoints,
            self.settings.secrets.as_deref(),
            &self.powers(&described.name, &plugin.version, &plugin.digest).context("source")?,
        )
        .context("source")?;
        Ok(Arc::new(Source::new(plugin, config, grant)))
    }

    fn powers(&self, name: &str, version: &Version, digest: &str) -> Result<Powers<'_>> {
        self.settings.policy.powers(name, version, digest)
    }

    /// The plugin that the run began with, if it is still there, or the one that the job wants.
    fn choose<T>(
        &self,
        position: usize,
        wanted: &Wanted,
        find: impl Fn(&Wanted) -> Result<T>,
    ) -> Result<T> {
        let begun = self.given.plugins.get(position);
        let begun = begun.and_then(|digest| find(&wanted.pinned(digest)).ok());
        begun.map_or_else(|| find(wanted), Ok)
    }

    /// Chooses the job's transforms and works out what they are granted.
    pub fn transforms(&self, job: &Job) -> Result<Vec<Arc<BoundTransform>>> {
        let mut bound = Vec::new();
        for (index, step) in job.steps.iter().enumerate() {
            let Step::Plugin { wanted, config } = step else { continue };
            let at = format!("transform[{index}]");
            let find = |wanted: &Wanted| self.catalog.transform(wanted);
            let plugin = self.choose(1 + bound.len(), wanted, find).context(at.clone())?;
            let described = &plugin.described;
            let powers = self.powers(&described.name, &plugin.version, &plugin.digest);
            let (config, grant) = bind(
                config,
                &described.config_schema,
                &described.secrets,
                &[],
                self.settings.secrets.as_deref(),
                &powers.context(at.clone())?,
            )
            .context(at)?;
            bound.push(Arc::new(BoundTransform { plugin, config, grant }));
        }
        Ok(bound)
    }

    /// Chooses the job's sink, if its target is one, and works out what it is granted.
    pub fn sink(&self, job: &Job) -> Result<Option<Arc<BoundSink>>> {
        let To::Sink(Sink { scheme, plugin: wanted, config }) = &job.target.to else {
            return Ok(None);
        };
        let position = 1 + job.steps.iter().filter(|s| matches!(s, Step::Plugin { .. })).count();
        let find = |wanted: &Wanted| self.catalog.sink(scheme, wanted);
        let plugin = self.choose(position, wanted, find).context("target")?;
        let described = &plugin.described;
        let (config, grant) = bind(
            config,
            &described.config_schema,
            &described.secrets,
            &described.endpoints,
            self.settings.secrets.as_deref(),
            &self.powers(&described.name, &plugin.version, &plugin.digest).context("target")?,
        )
        .context("target")?;
        Ok(Some(Arc::new(BoundSink { plugin, config, grant })))
    }

    /// Plans a whole run.
    pub async fn plan(&self, job: &Job) -> Result<RunPlan> {
        self.plan_on(job, self.source(job)?).await
    }

    /// Plans a whole run on its source.
    pub async fn plan_on(&self, job: &Job, source: Arc<Source>) -> Result<RunPlan> {
        let (transforms, sink) = (self.transforms(job)?, self.sink(job)?);
        let planned = self.plan_from(job, source.clone(), transforms).await;
        match planned {
            Ok(plan) => Ok(RunPlan { sink, ..plan }),
            Err(error) => {
                source.release().await;
                Err(error)
            }
        }
    }

    async fn plan_from(
        &self,
        job: &Job,
        source: Arc<Source>,
        transforms: Vec<Arc<BoundTransform>>,
    ) -> Result<RunPlan> {
        let parallel = Parallelism::of(job, self.settings);
        let wanted: Vec<Relation> = job.relations.iter().map(|r| r.relation.clone()).collect();
        let hold = match &self.given.hold {
            Some(hold) => hold.clone(),
            None => source.hold(&wanted).await?,
        };
        let mut relations = Vec::new();
        for (position, relation) in job.relations.iter().enumerate() {
            let recorded = self.given.scans.as_ref().and_then(|scans| scans.get(position)).cloned();
            let asking = Asking {
                job,
                relation,
                source: &source,
                hold: &hold,
                transforms: &transforms,
                parallel: parallel.chunks,
                recorded,
            };
            let planned = self.plan_relation(asking).await;
            relations.push(planned.context(relation.name.clone())?);
        }
        let consistency = overall_consistency(&relations);
        check_demand(job, consistency, &hold)?;
        Ok(RunPlan {
            source,
            transforms,
            sink: None,
            relations,
            parallel: parallel.run,
            parallel_chunks: parallel.chunks,
            parallel_relations: parallel.relations,
            consistency,
            hold,
        })
    }

    async fn plan_relation(&self, asking: Asking<'_>) -> Result<RelationPlan> {
        let Asking { job, relation, source, hold, transforms, parallel, recorded } = asking;
        let described = source.describe(&relation.relation).await?;
        let wish = ChunkWish {
            rows: job.chunk.rows,
            bytes: job.chunk.bytes.unwrap_or_else(|| automatic_bytes(described.bytes, parallel)),
            parallel: u32::try_from(parallel).unwrap_or(u32::MAX),
            max_chunks: CHUNK_LIMIT,
            key: relation.chunk_by.clone(),
        };
        let table = Arc::new(RelationTable {
            source: source.clone(),
            relation: relation.relation.clone(),
            schema: described.schema.clone(),
            columns: described.columns.clone(),
            wish,
            snapshot: match hold {
                Hold::Held(snapshot) => Some(snapshot.token.clone()),
                Hold::Unavailable(_) => None,
            },
            recorded: recorded.map(|scans| Mutex::new(scans.into())),
            scanned: Mutex::default(),
        });
        let mut rows = Rows::Table(table.clone());
        let mut transforms = transforms.iter();
        for (index, step) in job.steps.iter().enumerate() {
            let at = format!("transform[{index}]");
            rows = match step {
                Step::Sql(sql) => rows.sql(sql).await.context(at)?,
                Step::Plugin { wanted, .. } => {
                    let bound = transforms.next();
                    let bound = bound.ok_or_else(|| {
                        Error::internal(format!("transform `{wanted}` is not bound"))
                    })?;
                    rows.transform(bound.clone()).await.context(at)?
                }
            };
        }
        if let Some(limit) = self.limit {
            rows = rows.limit(limit)?;
        }
        let physical = rows.into_plan().await?;
        let scans =
            std::mem::take(&mut *table.scanned.lock().unwrap_or_else(PoisonError::into_inner));
        let chunkwise = is_chunkwise(&physical);
        let fields = described.schema.fields().iter().zip(described.columns);
        Ok(RelationPlan {
            relation: relation.clone(),
            chunkwise,
            physical,
            columns: fields
                .map(|(field, source)| ColumnPlan {
                    name: field.name().clone(),
                    arrow: field.data_type().to_string(),
                    parquet: parquet_type(field),
                    source,
                })
                .collect(),
            rows: described.rows,
            bytes: described.bytes,
            scans,
        })
    }
}

/// What a relation's plan is made from.
struct Asking<'a> {
    job: &'a Job,
    relation: &'a JobRelation,
    source: &'a Arc<Source>,
    hold: &'a Hold,
    transforms: &'a [Arc<BoundTransform>],
    parallel: usize,
    recorded: Option<Vec<Scanned>>,
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

fn automatic_bytes(bytes: Option<u64>, parallel: usize) -> u64 {
    match bytes {
        Some(bytes) => {
            (bytes / (parallel as u64 * CHUNKS_PER_SLOT)).clamp(MIN_CHUNK_BYTES, MAX_CHUNK_BYTES)
        }
        None => DEFAULT_CHUNK_BYTES,
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

/// The weakest of what the relations see. A run of one chunk sees one instant, whatever it is.
fn overall_consistency(relations: &[RelationPlan]) -> Consistency {
    let scans = || relations.iter().flat_map(|relation| &relation.scans);
    let weakest = scans()
        .map(|scanned| scanned.consistency)
        .min_by_key(|consistency| *consistency as u8)
        .unwrap_or(Consistency::Snapshot);
    let chunks: usize = relations.iter().map(RelationPlan::chunks).sum();
    match weakest {
        Consistency::PerChunk if chunks <= 1 => Consistency::Snapshot,
        weakest => weakest,
    }
}

fn check_demand(job: &Job, consistency: Consistency, hold: &Hold) -> Result<()> {
    let reason = match hold {
        Hold::Held(_) => String::new(),
        Hold::Unavailable(reason) => format!(" (no snapshot: {reason})"),
    };
    match job.consistency {
        Some(demanded) if (consistency as u8) < (demanded as u8) => Err(Error::config(format!(
            "`consistency`: the job demands {}, this source gives {}{reason}",
            consistency_name(demanded),
            consistency_name(consistency)
        ))
        .with_hint("demand less, or move one relation in one chunk")),
        _ => Ok(()),
    }
}

/// The word for a consistency.
pub fn consistency_name(consistency: Consistency) -> &'static str {
    match consistency {
        Consistency::Unknown => "unknown",
        Consistency::PerChunk => "per-chunk",
        Consistency::Snapshot => "snapshot",
    }
}

/// The consistency that a word means.
pub fn consistency_of(name: &str) -> Consistency {
    match name {
        "snapshot" => Consistency::Snapshot,
        "per-chunk" => Consistency::PerChunk,
        _ => Consistency::Unknown,
    }
}
