//! A run on an executor: planned again by its spec, as a run is that resumes. Attempts write parts into the run's
//! staging; nothing here writes a ledger, or commits.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use longshore_engine::destination::staged_path;
use longshore_engine::plan::{Planner, ResumeState, RunPlan};
use longshore_engine::scan::{Lane, ReadCounter, Slots};
use longshore_engine::transform::SqlTurn;
use longshore_engine::write::{Attempt, ChunkNumbers, WriteResult};
use longshore_model::config::Settings;
use longshore_model::error::{Error, Result};
use longshore_model::part::RelationTarget;
use longshore_plugins::{Catalog, Resolver};
use tokio::sync::Semaphore;

use super::{AttemptOrder, RunSpec};
use crate::destination::Destination;
use crate::plan_record::BuiltBy;
use crate::relation_tasks::relation_parts;
use crate::relation_writer::{AttemptAdmission, RelationWriter};
use crate::scratch::Scratch;

/// A run on an executor.
pub struct ExecutorRun {
    plan: RunPlan,
    relations: Vec<Relation>,
    destination: Destination,
    targets: Vec<RelationTarget>,
    scratch: Scratch,
}

struct Relation {
    writer: RelationWriter,
    slots: Arc<Slots>,
}

/// The plan of a relation that is made as a whole, and what it runs in. Others have their turn when this is dropped.
pub struct WholePlan {
    /// The plan.
    pub plan: Arc<dyn ExecutionPlan>,
    /// What it runs in.
    pub context: Arc<TaskContext>,
    _turn: SqlTurn,
}

impl ExecutorRun {
    /// Plans a run by its spec; what it needs of this machine's disk is in `scratch`, which is its own. Call it on the
    /// runtime that serves connections.
    pub async fn open(
        spec: RunSpec,
        catalog: &Catalog,
        settings: &Settings,
        scratch: PathBuf,
    ) -> Result<Self> {
        let policy = spec.job.policy(&settings.policy);
        let job = spec.job.check(&policy)?;
        // Secrets come with the job: none of this machine's is for it.
        let settings = Settings { secrets: None, policy, ..settings.clone() };
        let pinned = spec.built_by.plugins.clone();
        let resolver = Resolver { pinned, ..Resolver::new(catalog, &settings) };
        let plugins = Arc::new(resolver.resolve(&job).await?);
        let scratch = Scratch::at(scratch);
        let destination = Destination::open(&job, &plugins, &settings, Some(&scratch)).await?;
        let scans = spec.scans.into_iter();
        let restored = scans.map(|scans| scans.into_iter().map(|scan| scan.restored()).collect());
        let mut planner = Planner::new(plugins, &settings);
        planner.resume =
            ResumeState { snapshot: Some(spec.snapshot), scans: Some(restored.collect()) };
        planner.expected = spec.expected;
        planner.now = spec.began;
        let source = planner.source(&job)?;
        let plan = planner.plan_on_own_thread(&job, source).await?;
        if let Some(difference) = spec.built_by.difference(&BuiltBy::new(&plan)) {
            plan.source.release().await;
            return Err(Error::config(difference)
                .with_hint("give the executors the program and the plugins of the driver"));
        }
        if destination.reads_into_scratch() || plan.relations.iter().any(|own| !own.kept.is_empty())
        {
            scratch.create()?;
        }
        // The driver hands out no more chunks than that; a relation that is made as a whole has all of its own.
        let places = Arc::new(Semaphore::new(plan.parallel));
        let relations = plan.relations.iter().zip(&spec.targets).enumerate();
        let relations = relations.map(|(index, (relation, target))| {
            let parts = relation_parts(&destination, &scratch, index, relation, target);
            let slots = Slots::new(places.clone(), plan.parallel_chunks, relation.columns.len());
            Relation { writer: RelationWriter::new(relation, parts), slots: Arc::new(slots) }
        });
        let relations = relations.collect();
        Ok(Self { plan, relations, destination, targets: spec.targets, scratch })
    }

    /// Carries out an attempt; `count` tells meanwhile how many rows it has read. What it wrote is out of sight.
    pub async fn attempt(&self, order: AttemptOrder, count: &ReadCounter) -> Result<WriteResult> {
        let Relation { writer, slots } = self.relation(order)?;
        let attempt = Arc::new(Attempt(order.attempt));
        let admitted = writer.admit(slots, self.scratch.path()).await?;
        let configure = |config: SessionConfig| config.with_extension(attempt);
        writer.execute(admitted, order.chunk, slots, count, configure).await
    }

    /// The plan of a relation that is made as a whole, to execute a part of it. The parts that a partition of it writes
    /// are numbered as `numbers` says.
    pub async fn whole(
        &self,
        order: AttemptOrder,
        count: &ReadCounter,
        numbers: Vec<usize>,
    ) -> Result<WholePlan> {
        let Relation { writer, slots } = self.relation(order)?;
        let AttemptAdmission::Whole(plan, turn) = writer.admit(slots, self.scratch.path()).await?
        else {
            return Err(Error::internal("a relation of chunks is no whole"));
        };
        let lane = Arc::new(Lane::new(slots.clone()).counting(count.clone()));
        let attempt = Arc::new(Attempt(order.attempt));
        let numbers = Arc::new(ChunkNumbers(numbers));
        let context = turn.task_context(|config| {
            config.with_extension(lane).with_extension(attempt).with_extension(numbers)
        })?;
        Ok(WholePlan { plan, context, _turn: turn })
    }

    /// Where the files lie that its driver needs.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// The files in scratch of what an attempt has written: its driver needs them in the run's own scratch folder.
    pub fn scratch_files(&self, order: AttemptOrder, written: &WriteResult) -> Vec<PathBuf> {
        let kept = written.checks.iter().flat_map(|checks| &checks.kept);
        let mut files: Vec<PathBuf> = kept.map(|file| PathBuf::from(&file.name)).collect();
        if let (true, Some(target)) =
            (self.destination.reads_into_scratch(), self.targets.get(order.relation))
        {
            files.extend(written.parts.iter().map(|part| staged_path(target, &part.file).into()));
        }
        files
    }

    /// Removes the files in scratch of what an attempt has written.
    pub fn remove_scratch_files(&self, order: AttemptOrder, written: &WriteResult) {
        for file in self.scratch_files(order, written) {
            let path = self.scratch.path().join(file);
            if let Err(error) = fs::remove_file(&path) {
                tracing::debug!("{}: {error}", path.display());
            }
        }
    }

    /// Removes what an attempt has written, and nobody wants. A sink does so itself: a later attempt takes its place, or
    /// the commit leaves it out.
    pub async fn discard(&self, order: AttemptOrder, written: &WriteResult) {
        self.remove_scratch_files(order, written);
        let Destination::Files { folder, scratch: None, .. } = &self.destination else { return };
        let Some(target) = self.targets.get(order.relation) else { return };
        for part in &written.parts {
            if let Err(error) = folder.remove_part(target, &part.file, Some(&part.token)).await {
                tracing::warn!("{error}: what an attempt wrote that is not wanted stays");
            }
        }
    }

    fn relation(&self, order: AttemptOrder) -> Result<&Relation> {
        let relation = self.relations.get(order.relation);
        let relation = relation
            .ok_or_else(|| Error::internal("an attempt at a relation that the job has not"))?;
        relation.writer.set_frugal(order.is_frugal);
        Ok(relation)
    }

    /// Lets go of the sessions of the source and of a sink, of what has spilled, and of empty folders.
    pub async fn close(&self) {
        self.plan.source.release().await;
        match &self.destination {
            Destination::Sink(sink) => sink.close().await,
            Destination::Files { folder, .. } => {
                for target in &self.targets {
                    folder.remove_empty_folders(target).await;
                }
            }
        }
        if let Err(error) = self.scratch.remove() {
            tracing::warn!("{error}");
        }
    }
}
