//! From a checked job to a plan for each relation.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::repartition::RepartitionExec;
use longshore_model::config::connector::Connector;
use longshore_model::config::job::JobRelation;
use longshore_model::config::target::{Sink, To};
use longshore_model::config::{
    Access, Job, PluginRequirement, PolicyScope, Reach, Settings, Step, job,
};
use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::relation::Consistency;
use longshore_plugins::{Catalog, Secrets, bind};
use longshore_sandbox::{Hold, Snapshot};
use semver::Version;
use tokio::runtime::Handle;

use super::inputs::{ColumnPlan, InputPlan, PlanContext};
use crate::catalog::Registrar;
use crate::destination::BoundSink;
use crate::scan::{ComponentSource, DirectReader, FileSource, ScanPlan, Source};
use crate::transform::{BoundTransform, Rows};
use crate::write::Partitioning;

/// What stands for a digest where the host reads itself.
const NO_COMPONENT: &str = "-";

/// What a run would do.
pub struct RunPlan {
    /// Where rows come from.
    pub source: Arc<Source>,
    /// The transforms in the sandbox, in the order of the job's steps.
    pub transforms: Vec<Arc<BoundTransform>>,
    /// The sink, if rows do not go into files.
    pub sink: Option<Arc<BoundSink>>,
    /// The catalog that folders become tables of.
    pub registrar: Option<Arc<Registrar>>,
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
    /// The digests of its plugins: of the connector, of the transforms, of the sink, of the registrar.
    pub fn digests(&self) -> Vec<&str> {
        let source = std::iter::once(self.source.digest().unwrap_or(NO_COMPONENT));
        let transforms = self.transforms.iter().map(|bound| bound.plugin.digest.as_str());
        let sink = self.sink.iter().map(|bound| bound.plugin.digest.as_str());
        let registrar = self.registrar.iter().map(|bound| bound.plugin().digest.as_str());
        source.chain(transforms).chain(sink).chain(registrar).collect()
    }

    /// The consistency, with what it rests on.
    pub fn explained_consistency(&self) -> String {
        let name = self.consistency.name();
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
    /// The columns that are published.
    pub published: SchemaRef,
    /// Estimated rows at the source.
    pub rows: Option<u64>,
    /// Estimated bytes at the source.
    pub bytes: Option<u64>,
    /// How the source is read: once, unless SQL names `data` more often.
    pub scans: Vec<ScanPlan>,
    /// Whether each chunk's rows can be made, and made again, alone.
    pub chunkwise: bool,
}

impl RelationPlan {
    /// Chunks over all scans.
    pub fn chunks(&self) -> usize {
        self.scans.iter().map(|scan| scan.chunks.len()).sum()
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
    /// What is known from before.
    pub resume: ResumeState,
    /// Nothing is read and nobody is asked: secrets have no values, and nothing is granted.
    pub is_dry: bool,
}

/// What a plan takes from before, and does not ask the source for.
#[derive(Debug, Default)]
pub struct ResumeState {
    /// The snapshot, if somebody else asked the source for it.
    pub hold: Option<Hold>,
    /// The digests of the plugins that the run began with, as [`RunPlan::digests`] gives them.
    pub plugins: Vec<String>,
    /// The scans of each relation, if the run resumes: it reads the same chunks.
    pub scans: Option<Vec<Vec<ScanPlan>>>,
}

impl<'a> Planner<'a> {
    /// A planner for whole runs.
    pub fn new(catalog: &'a Catalog, settings: &'a Settings) -> Self {
        Self { catalog, settings, limit: None, resume: ResumeState::default(), is_dry: false }
    }

    /// Opens files, or chooses the job's connector and works out what it is granted. Asks nothing of the
    /// source. Call it on the runtime that serves connections.
    pub fn source(&self, job: &Job) -> Result<Arc<Source>> {
        let from = match &job.source {
            job::Source::Connector(from) => from,
            job::Source::Files(files) => {
                let reach = Reach::new(&self.settings.policy, &job.folder);
                let secrets = self.settings.secrets.as_deref();
                let opened = FileSource::open(files, secrets, reach)?;
                return Ok(Arc::new(Source::Files(Box::new(opened))));
            }
        };
        let source = self.connector(from, 0).context("source")?;
        let secrets = self.settings.secrets.clone();
        let direct = from.direct.clone();
        let direct = direct.map(|direct| {
            Box::new(DirectReader::new(*direct, secrets, self.settings.policy.clone()))
        });
        Ok(Arc::new(Source::Component(Box::new(source), direct)))
    }

    /// Chooses a connector, the one at this place among the run's plugins, and works out what it is
    /// granted.
    fn connector(&self, from: &Connector, position: usize) -> Result<ComponentSource> {
        let find = |wanted: &PluginRequirement| self.catalog.connector(&from.scheme, wanted);
        let plugin = self.choose(position, &from.plugin, find)?;
        let described = &plugin.described;
        let powers = self.powers(&described.name, &plugin.version, &plugin.digest)?;
        let (config, mut grant) = bind(
            &from.config,
            &described.config_schema,
            &described.secrets,
            &described.endpoints,
            self.secrets(),
            &powers,
        )?;
        if self.is_dry {
            grant.endpoints.clear();
            return Ok(ComponentSource::new(plugin, config, grant, Handle::current()));
        }
        grant.odbc = plugin.asks_for_odbc.then(|| powers.odbc(&from.config));
        if from.kerberos.is_some() && !plugin.asks_for_kerberos {
            let error = format!("`kerberos`: {} does not log in by Kerberos", described.name);
            return Err(Error::config(error).with_hint("remove it"));
        }
        grant.kerberos = from.kerberos.clone();
        Ok(ComponentSource::new(plugin, config, grant, Handle::current()))
    }

    /// The catalog that the job's folders become tables of, if it names one. Call it on the runtime
    /// that serves connections.
    pub fn registrar(&self, job: &Job) -> Result<Option<Arc<Registrar>>> {
        let Some(register) = &job.register else { return Ok(None) };
        // Its target is files: there is no sink before it.
        let source =
            self.connector(&register.connector, 1 + plugin_steps(job)).context("register")?;
        Ok(Some(Arc::new(Registrar::new(source, register.base.clone()))))
    }

    fn secrets(&self) -> Secrets<'_> {
        if self.is_dry {
            Secrets::Unread
        } else {
            Secrets::Folder(self.settings.secrets.as_deref())
        }
    }

    fn powers(&self, name: &str, version: &Version, digest: &str) -> Result<PolicyScope<'_>> {
        self.settings.policy.powers(name, version, digest)
    }

    /// The plugin that the run began with, if it is still there, or the one that the job wants.
    fn choose<T>(
        &self,
        position: usize,
        wanted: &PluginRequirement,
        find: impl Fn(&PluginRequirement) -> Result<T>,
    ) -> Result<T> {
        let begun = self.resume.plugins.get(position);
        let begun = begun.and_then(|digest| find(&wanted.pinned(digest)).ok());
        begun.map_or_else(|| find(wanted), Ok)
    }

    /// Chooses the job's transforms and works out what they are granted.
    pub fn transforms(&self, job: &Job) -> Result<Vec<Arc<BoundTransform>>> {
        let mut bound = Vec::new();
        for (index, step) in job.steps.iter().enumerate() {
            let Step::Plugin { wanted, config } = step else { continue };
            let at = format!("transform[{index}]");
            let find = |wanted: &PluginRequirement| self.catalog.transform(wanted);
            let plugin = self.choose(1 + bound.len(), wanted, find).context(at.clone())?;
            let described = &plugin.described;
            let powers = self.powers(&described.name, &plugin.version, &plugin.digest);
            let (config, grant) = bind(
                config,
                &described.config_schema,
                &described.secrets,
                &[],
                self.secrets(),
                &powers.context(at.clone())?,
            )
            .context(at)?;
            bound.push(Arc::new(BoundTransform { plugin, config, grant }));
        }
        Ok(bound)
    }

    /// Chooses the job's sink, if its target is one, and works out what it is granted.
    pub fn sink(&self, job: &Job) -> Result<Option<Arc<BoundSink>>> {
        let To::Sink(sink) = &job.target.to else { return Ok(None) };
        let Sink { scheme, plugin: wanted, config } = sink;
        let position = 1 + plugin_steps(job);
        let find = |wanted: &PluginRequirement| self.catalog.sink(scheme, wanted);
        let plugin = self.choose(position, wanted, find).context("target")?;
        let described = &plugin.described;
        let powers = self.powers(&described.name, &plugin.version, &plugin.digest);
        let powers = powers.context("target")?;
        let access = Access::new(&self.settings.policy, &job.folder);
        for field in &described.endpoints {
            access.bound_sink(sink, &field.field, field.default_port, &powers)?;
        }
        let (config, grant) = bind(
            config,
            &described.config_schema,
            &described.secrets,
            &described.endpoints,
            self.secrets(),
            &powers,
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
        let registrar = self.registrar(job)?;
        let planned = self.plan_from(job, source.clone(), transforms).await;
        match planned {
            Ok(plan) => Ok(RunPlan { sink, registrar, ..plan }),
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
        let hold = match &self.resume.hold {
            Some(hold) => hold.clone(),
            None => source.hold(job.reads()).await?,
        };
        let mut relations = Vec::new();
        for (position, relation) in job.relations.iter().enumerate() {
            let recorded =
                self.resume.scans.as_ref().and_then(|scans| scans.get(position)).cloned();
            let asking = PlanContext {
                job,
                relation,
                source: &source,
                hold: &hold,
                transforms: &transforms,
                parallel: parallel.chunks,
                is_uncut: self.limit.is_some(),
                recorded,
            };
            let planned = self.plan_relation(asking).await.context(relation.name.clone())?;
            let (chunks, rows) = (planned.chunks(), planned.rows);
            tracing::debug!(relation = relation.name, chunks, rows, "a relation is planned");
            relations.push(planned);
        }
        let consistency = overall_consistency(&relations);
        check_demand(job, consistency, &hold)?;
        Ok(RunPlan {
            source,
            transforms,
            sink: None,
            registrar: None,
            relations,
            parallel: parallel.run,
            parallel_chunks: parallel.chunks,
            parallel_relations: parallel.relations,
            consistency,
            hold,
        })
    }

    async fn plan_relation(&self, asking: PlanContext<'_>) -> Result<RelationPlan> {
        let planned = self.plan_rows(&asking).await?;
        let depends_on_previous = planned.scans.iter().any(|scan| scan.depends_on_previous);
        match depends_on_previous && stops_early(&planned.physical) {
            true => self.plan_rows(&PlanContext { is_uncut: true, ..asking }).await,
            false => Ok(planned),
        }
    }

    async fn plan_rows(&self, asking: &PlanContext<'_>) -> Result<RelationPlan> {
        let relation = asking.relation;
        let mut inputs = Vec::new();
        for (number, input) in relation.inputs.iter().enumerate() {
            let read = asking.read(number, input).await;
            inputs.push(match relation.sql {
                None => read?,
                Some(_) => read.context(input.name.clone())?,
            });
        }
        let rows = match (&relation.sql, inputs.as_slice()) {
            (None, [only]) => Rows::Table(only.table.clone()),
            (None, _) => return Err(Error::internal("several inputs, and no SQL over them")),
            (Some(sql), _) => {
                let names = relation.inputs.iter().map(|input| input.name.as_str());
                let tables = inputs.iter().map(|input| input.table.clone() as _);
                Rows::over(names.zip(tables), sql).await.context("sql")?
            }
        };
        let mut rows = asking.steps(rows).await?;
        if let Some(limit) = self.limit {
            rows = rows.limit(limit)?;
        }
        let physical = rows.into_plan().await?;
        // Told before anything is read.
        refuse_twins(&physical.schema())?;
        let published =
            Partitioning::table_schema(&asking.job.target.partition_by, &physical.schema())?;
        let chunkwise = is_chunkwise(&physical);
        Ok(RelationPlan {
            relation: relation.clone(),
            chunkwise,
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
        })
    }
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

/// How many of the job's steps are plugins.
fn plugin_steps(job: &Job) -> usize {
    job.steps.iter().filter(|step| matches!(step, Step::Plugin { .. })).count()
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

fn check_demand(job: &Job, consistency: Consistency, hold: &Hold) -> Result<()> {
    let reason = match hold {
        Hold::Held(_) => String::new(),
        Hold::Unavailable(reason) => format!(" (no snapshot: {reason})"),
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
