//! The preparation of a run: everything before its first chunk is read. It reserves targets, plans,
//! checks what is in the target, and finds the parts that an interruption has left intact.

use std::collections::HashMap;
use std::sync::Arc;

use longshore_engine::catalog::Table;
use longshore_engine::drift::{Alignment, Expectation};
use longshore_engine::plan::{Planner, RelationPlan, ResumeState, RunPlan};
use longshore_engine::write::WriteResult;
use longshore_model::config::target::Mode;
use longshore_model::config::{Record, Settings};
use longshore_model::error::{Class, Error, Result};
use longshore_model::part::{Part, RelationTarget};
use longshore_plugins::Plugin;
use longshore_sandbox::tape::TapeFolder;

use super::cluster::{ClusterRun, PluginFile, RunSpec, cluster_of};
use super::destination::{Destination, quarantine_target};
use super::drift::{ExpectedColumns, check_columns};
use super::plan_record::{BuiltBy, PlanRecord};
use super::relation_tasks::{RelationTasks, RelationTasksBuilder};
use super::runner::ActiveRun;
use super::snapshot_holder::SnapshotLease;
use crate::ledger::{Task, TaskProgress};
use crate::phase::Phase;
use crate::retry::Work;

/// A run that can be read.
pub(super) struct Preparation {
    pub(super) targets: Vec<RelationTarget>,
    pub(super) plan: RunPlan,
    pub(super) tasks: Vec<RelationTasks>,
}

impl ActiveRun<'_> {
    /// Prepares the run: by its plan in the ledger, or by a new one.
    pub(super) async fn prepare(&self, lease: &SnapshotLease<'_>) -> Result<Preparation> {
        // Before anything is asked of the source: a target that cannot be written ends the run.
        let is_planned = self.phase()? == Phase::Reading;
        if !is_planned {
            self.pass_interrupted().await?;
        }
        let mut targets = self.reserve(is_planned).await?;
        let plan = if is_planned {
            self.plan_again(lease).await?
        } else {
            let expected = self.expect(&mut targets).await?;
            self.plan_anew(lease, expected).await?
        };
        let tasks = match self.ask_for_sums(&plan).await {
            Ok(()) => self.tasks(&plan, &mut targets).await,
            Err(error) => Err(error),
        };
        match tasks {
            Ok(tasks) => Ok(Preparation { targets, plan, tasks }),
            Err(error) => {
                plan.source.release().await;
                Err(error)
            }
        }
    }

    /// The targets of the relations: those that the run has reserved, or new ones.
    async fn reserve(&self, is_planned: bool) -> Result<Vec<RelationTarget>> {
        let reserved = self.ledger().targets(self.id)?;
        if is_planned && reserved.len() == self.job.relations.len() {
            return Ok(reserved);
        }
        // What a process that died here had reserved, and had not recorded, is given back.
        if self.may_be_in_target() || matches!(self.destination, Destination::Sink(_)) {
            self.target().discard(self.id).await?;
        }
        let mut targets = Vec::new();
        for relation in &self.job.relations {
            let mode = self.job.target.mode;
            targets.push(self.target().reserve(self.id, &relation.name, mode).await?);
            self.set_in_target();
        }
        self.ledger().reserve(self.id, &targets)?;
        Ok(targets)
    }

    /// What the relations' targets hold. A relation of which there are versions goes to the last one.
    async fn expect(&self, targets: &mut [RelationTarget]) -> Result<Vec<Option<Expectation>>> {
        let accepted = self.ledger().accepted_schemas(&self.job.name)?;
        let expected = ExpectedColumns::of_job(self.job, self.target(), &accepted).await?;
        for (target, expected) in targets.iter_mut().zip(&expected) {
            if !matches!(target.mode, Mode::Version | Mode::Error)
                && let Some(expected) = expected
            {
                target.name.clone_from(&expected.name);
            }
        }
        self.ledger().reserve(self.id, targets)?;
        let expected: Vec<_> =
            expected.into_iter().map(|own| own.map(|own| own.expectation)).collect();
        self.ledger().expect(self.id, &expected)?;
        Ok(expected)
    }

    /// Makes the plan that the run began with once more, if its snapshot and its plugins are still
    /// there.
    async fn plan_again(&self, lease: &SnapshotLease<'_>) -> Result<RunPlan> {
        let record = self.ledger().planned(self.id)?;
        lease.resume(&record, self.is_all_read(&record)?).await?;
        let built_by = record.built_by.clone();
        let mut planner = Planner::new(self.plugins().await?.clone(), self.runner.settings);
        planner.resume = record.resume_state(self.job)?;
        planner.expected = self.ledger().expected(self.id)?;
        planner.now = self.created;
        let source = planner.source(self.job)?;
        let plan = planner.plan_on_own_thread(self.job, source).await?;
        if let Some(difference) = built_by.difference(&BuiltBy::new(&plan)) {
            plan.source.release().await;
            return Err(Error::new(Class::Stale, difference));
        }
        Ok(plan)
    }

    /// Plans, and records the plan.
    async fn plan_anew(
        &self,
        lease: &SnapshotLease<'_>,
        expected: Vec<Option<Expectation>>,
    ) -> Result<RunPlan> {
        // Before the snapshot: what another run has published by then is seen in it.
        let loads = self.load_state().await?;
        let planner = Planner::new(self.plugins().await?.clone(), self.runner.settings);
        let mut planner = Planner { expected, now: self.created, ..planner };
        let source = planner.source(self.job)?;
        let snapshot = match source.connector().filter(|_| source.needs_holder()) {
            Some(connector) => lease.begin(self.job, connector.plugin.digest()).await,
            None => None,
        };
        planner.resume = ResumeState { snapshot, ..ResumeState::default() };
        planner.loads = Some(loads);
        let plan = planner.plan_on_own_thread(self.job, source).await?;
        for warning in self.runner.catalog.warnings(&plan.plugins.digests()) {
            tracing::warn!("run {}: {warning}", self.id);
            self.ledger().event(self.id, &warning)?;
        }
        for window in plan.relations.iter().flat_map(RelationPlan::windows) {
            for warning in &window.warnings {
                let text = format!("{}: {warning}", window.relation);
                tracing::warn!("run {}: {text}", self.id);
                self.ledger().event(self.id, &text)?;
            }
        }
        self.tell_drift(&plan)?;
        self.runner.lineage().tell_planned(self.id, self.job, &plan).await;
        let record = PlanRecord::new(&plan, lease.is_kept().await);
        self.ledger().plan(self.id, &record)?;
        lease.keep().await;
        Ok(plan)
    }

    /// Refuses a relation that was loaded into another target: its watermark says nothing of this one.
    async fn check_watermark(&self, plan: &RelationPlan, target: &RelationTarget) -> Result<()> {
        let Destination::Files { folder, .. } = &self.destination else { return Ok(()) };
        let before = plan.windows().into_iter().find_map(|window| window.before.as_ref());
        let Some(before) = before.filter(|_| target.mode.adds_beside()) else { return Ok(()) };
        let list = || folder.list(&target.name);
        if !self.retry().run(Work::Request, "looking what is there", list).await?.is_empty() {
            return Ok(());
        }
        let url = folder.url(&target.name);
        let up_to = before.value.as_ref().map(|value| format!(" up to {value}"));
        let up_to = up_to.unwrap_or_default();
        let text = format!("{url} is empty, and by its watermark it was loaded{up_to}");
        Err(Error::config(text).with_hint(format!(
            "`longshore state reset {} {}` loads all of it; several targets need a job file each",
            self.job.name, target.relation
        )))
    }

    /// Whether nothing is left to be read of the source.
    fn is_all_read(&self, record: &PlanRecord) -> Result<bool> {
        let tasks = self.ledger().tasks(self.id)?;
        let mut relations = record.scans.iter().enumerate();
        Ok(relations.all(|(relation, scans)| {
            let chunks = scans.iter().map(|scan| scan.chunks.len()).sum::<usize>().max(1);
            let is_done = |chunk| {
                let task = tasks.get(&Task { relation, chunk });
                task.is_some_and(|task| task.written.is_some())
            };
            (0..chunks).all(is_done)
        }))
    }

    /// Prepares the target for what is planned; gives the tasks of the relations.
    async fn tasks(
        &self,
        plan: &RunPlan,
        targets: &mut [RelationTarget],
    ) -> Result<Vec<RelationTasks>> {
        if self.job.target.reads_first() {
            self.scratch.create()?;
        }
        for (relation, target) in plan.relations.iter().zip(targets.iter()) {
            let (url, alignment) = (self.target().url(&target.name), relation.alignment.as_ref());
            check_columns(&url, target.mode, alignment)?;
        }
        self.reserve_versions(plan, targets).await?;
        for (relation, target) in plan.relations.iter().zip(targets.iter()) {
            // A sink joins the rows itself, as they are read.
            let schema = match &self.destination {
                Destination::Sink(_) => &relation.written,
                Destination::Files { .. } => &relation.loaded,
            };
            self.check_layout(target).await?;
            self.check_watermark(relation, target).await?;
            // It answered before: if it does not now, that will pass.
            let begin = || self.target().begin(target, schema);
            self.retry().run(Work::Request, "preparing", begin).await?;
            if relation.checks.has_quarantine() {
                let target = quarantine_target(target);
                let begin = || self.target().begin(&target, schema);
                self.retry().run(Work::Request, "preparing", begin).await?;
            }
        }
        if plan.relations.iter().any(|relation| !relation.kept.is_empty()) {
            self.scratch.create()?;
        }
        if let Some(registrar) = &self.registrar {
            registrar.check(&self.tables(plan, targets)?).await?;
            registrar.release().await;
        }
        let builder = RelationTasksBuilder {
            run: self.id,
            plan,
            destination: &self.destination,
            targets,
            ledger: self.ledger(),
            retry: self.retry(),
            tapes: self.tapes(),
            tasks: self.intact_tasks(targets).await?,
            scratch: self.scratch.clone(),
            cluster: self.open_on_cluster(plan, targets).await?,
            left_out_limit: self.job.left_out_limit(),
        };
        Ok(builder.build())
    }

    /// Hands the run to its cluster, if it has one.
    async fn open_on_cluster(
        &self,
        plan: &RunPlan,
        targets: &[RelationTarget],
    ) -> Result<Option<Arc<dyn ClusterRun>>> {
        let clusters = self.runner.clusters.as_ref();
        let url = cluster_of(self.job, self.runner.settings, clusters)?;
        let (Some(url), Some(clusters)) = (url, clusters) else { return Ok(None) };
        let (settings, targets) = (self.runner.settings, targets.to_vec());
        let expected = self.ledger().expected(self.id)?;
        let record = PlanRecord::new(plan, false);
        let run = (self.id, self.created);
        let spec = RunSpec::new(run, self.job, settings, record, expected, targets)?;
        let file = |(_, plugin): (String, &Plugin)| PluginFile {
            digest: plugin.digest().to_owned(),
            path: plugin.path().to_owned(),
        };
        let plugins = plan.plugins.all().map(file).collect();
        let scratch = self.scratch.path();
        clusters.open(url, &settings.cluster, spec, plugins, scratch).await.map(Some)
    }

    /// Reserves the names of new versions, for relations that do not go with what is there. Done again, it gives
    /// the same.
    async fn reserve_versions(&self, plan: &RunPlan, targets: &mut [RelationTarget]) -> Result<()> {
        for (relation, target) in plan.relations.iter().zip(targets.iter_mut()) {
            let is_new = relation.alignment.as_ref().is_some_and(Alignment::is_new_version);
            if is_new && target.mode != Mode::Version {
                *target = self.target().reserve(self.id, &target.relation, Mode::Version).await?;
            }
        }
        self.ledger().retarget(self.id, targets)
    }

    /// The tables that the folders of the relations become, if they do.
    pub(super) fn tables(&self, plan: &RunPlan, targets: &[RelationTarget]) -> Result<Vec<Table>> {
        let by = &self.job.target.partition_by;
        let registered = plan.relations.iter().zip(targets).filter(|_| self.registrar.is_some());
        registered.map(|(relation, target)| Table::new(target, &relation.loaded, by)).collect()
    }

    /// The tasks in the ledger. A task whose parts are not as they were is no longer done.
    async fn intact_tasks(
        &self,
        targets: &[RelationTarget],
    ) -> Result<HashMap<Task, TaskProgress>> {
        let mut tasks = self.ledger().tasks(self.id)?;
        let (mut kept, started) = (0, tasks.len());
        for (task, progress) in &mut tasks {
            let Some(written) = &progress.written else { continue };
            if self.is_intact(&targets[task.relation], written).await? {
                kept += 1;
            } else {
                progress.written = None;
                self.ledger().redo(self.id, *task)?;
            }
        }
        if started > 0 {
            let text = format!("{kept} of {started} started chunks are kept");
            tracing::info!("run {}: {text}", self.id);
            self.ledger().event(self.id, &text)?;
        }
        Ok(tasks)
    }

    /// Whether all that a task has written is as it was.
    async fn is_intact(&self, target: &RelationTarget, written: &WriteResult) -> Result<bool> {
        if let Some(checks) = &written.checks {
            let quarantine: Vec<Part> = checks.quarantine.iter().cloned().map(Part::from).collect();
            if !checks.kept.iter().all(|file| file.is_intact(self.scratch.path()))
                || !self.are_intact(&quarantine_target(target), &quarantine).await?
            {
                return Ok(false);
            }
        }
        self.are_intact(target, &written.parts).await
    }

    async fn are_intact(&self, target: &RelationTarget, parts: &[Part]) -> Result<bool> {
        for part in parts {
            let check = || self.destination.read_into().is_intact(target, part);
            if !self.retry().run(Work::Request, "looking what is kept", check).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The folder in which failures are recorded, if the job wants it. A run does not fail because it
    /// cannot be written.
    fn tapes(&self) -> Option<Arc<TapeFolder>> {
        let Settings { state, limits, .. } = self.runner.settings;
        match self.job.record {
            Record::Never => None,
            Record::OnFailure => TapeFolder::create(state, self.id, limits.tape_mib)
                .inspect_err(|error| tracing::warn!("{error}: failures are not recorded"))
                .ok()
                .map(Arc::new),
        }
    }
}
