//! The runner: plans a job, runs its tasks, commits. A run that was interrupted is taken up again
//! where the ledger says it was.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use futures::FutureExt;
use futures::future::join_all;
use longshore_engine::catalog::{Registrar, Table};
use longshore_engine::destination::{Target, manifest_path};
use longshore_engine::plan::{Given, Planner, RunPlan};
use longshore_model::config::place::Place;
use longshore_model::config::settings::cores;
use longshore_model::config::target::{Mode, To};
use longshore_model::config::territory::real_path;
use longshore_model::config::{Job, Record, Settings};
use longshore_model::error::{Class, Error, Result};
use longshore_model::part::Spot;
use longshore_plugins::Catalog;
use longshore_sandbox::tape;
use longshore_sandbox::tape::TapeFolder;
use tokio::runtime::Handle;

use super::commit::{
    Commit, CommitTargets, RelationCommit, commit, published_report, roll_forward,
};
use super::control::RunControl;
use super::destination::Destination;
use super::drift::check_columns;
use super::execution::Execution;
use super::manifest::{Manifest, RelationRecord, RunTiming};
use super::progress::Progress;
use super::record::{BuiltBy, given, to_record};
use super::relation_tasks::{RelationTasks, RelationTasksBuilder};
use super::report::{RunReport, Status};
use super::snapshot_holder::{HolderLauncher, SnapshotLease};
use super::stopped::Stopped;
use crate::ledger::{Ledger, NewRun, Owner, RunLock, Task};
use crate::phase::{Outcome, Phase, Stop, StopAction};
use crate::retry::{Recovery, Retry, RunRetries, Work};

/// How often a run looks whether another process asked to cancel it.
const CANCEL_LOOK_MILLIS: u64 = 500;

/// A new run's id: when it began, and something that tells it from all others.
pub fn new_run_id() -> Result<String> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|error| Error::resource(error.to_string()))?;
    Ok(format!("{}-{}", Utc::now().format("%Y%m%dT%H%M%SZ"), hex::encode(random)))
}

/// Runs jobs.
pub struct Runner<'a> {
    /// The plugins, as they were when the run began here.
    pub catalog: &'a Catalog,
    /// The operator's settings.
    pub settings: &'a Settings,
    /// The runtime that computes: decodes, transforms, encodes.
    pub compute: &'a Handle,
    /// Where everything is written down first.
    pub ledger: &'a Ledger,
    /// Who runs it.
    pub owner: Owner,
    /// Keeps snapshots beyond the life of this process, if anybody does.
    pub keeper: Option<&'a HolderLauncher>,
    /// Whether the run may have been begun before, in another process.
    pub is_taken_up: bool,
    /// Folders of Longshore's own, in which no target lies.
    pub own_folders: &'a [PathBuf],
}

/// One run under way.
struct Run<'a> {
    runner: &'a Runner<'a>,
    id: &'a str,
    job: &'a Job,
    destination: Destination,
    registrar: Option<Arc<Registrar>>,
    /// When it began, perhaps in another process.
    created: DateTime<Utc>,
    control: RunControl,
    /// Nothing of it can be in the target yet.
    is_new: bool,
    /// It has a place in the target.
    has_reserved: AtomicBool,
    _live: RunLock,
}

impl Runner<'_> {
    /// Runs a job, or goes on with a run that was interrupted. `watch` is called with the progress
    /// when a plan is made, again if the run is begun anew.
    pub async fn run(
        &self,
        id: &str,
        job: &Job,
        mut watch: impl FnMut(Arc<Progress>),
        control: &RunControl,
    ) -> (RunReport, Result<()>) {
        let (created, control) = (Utc::now(), control.of_run());
        let (tried, created) = match catch_panic(self.open(id, job, control.clone())).await {
            Err(error) => (Err(error), created),
            Ok(mut run) => {
                let cancel_flag = CancelFlag { ledger: self.ledger, run: id, control: &control };
                let tried = tokio::select! {
                    tried = catch_panic(run.work(&mut watch)) => tried,
                    never = cancel_flag.watch() => match never {},
                };
                (run.end(tried).await, run.created)
            }
        };
        let (status, error) = match tried {
            Ok(report) => return (report, Ok(())),
            Err(Stopped::Failed(error) | Stopped::Unprepared(error)) => (Status::Failed, error),
            Err(Stopped::Interrupted(error)) => (Status::Interrupted, error),
            Err(Stopped::Cancelled) => {
                let error = Error::cancelled("the run was cancelled");
                let error = match control.exit_code() {
                    Some(exit_code) => error.with_exit_code(exit_code),
                    None => error,
                };
                (Status::Cancelled, error)
            }
        };
        let report = self.unpublished(id, job, status, created, &error);
        let state = match status {
            Status::Interrupted => return (report, Err(error)),
            Status::Cancelled => Outcome::Cancelled,
            _ => Outcome::Failed,
        };
        if let Err(error) = self.ledger.finish(id, state, &report) {
            tracing::error!("{error}");
        }
        (report, Err(error))
    }

    /// Gives up a run that no process works on any more: what it left in its target, and its holder.
    pub async fn give_up(&self, id: &str, job: &Job, why: Error) -> Result<RunReport> {
        let run = match self.open(id, job, RunControl::default()).await {
            Ok(run) => run,
            Err(
                Stopped::Failed(error) | Stopped::Interrupted(error) | Stopped::Unprepared(error),
            ) => return Err(error),
            Err(Stopped::Cancelled) => return Err(Error::internal("cancelled before it began")),
        };
        SnapshotLease::new(self.keeper, id).end().await;
        run.target().discard(id).await?;
        let (status, state) = match why.class() {
            Class::Cancelled => (Status::Cancelled, Outcome::Cancelled),
            _ => (Status::Failed, Outcome::Failed),
        };
        let report = self.unpublished(id, job, status, run.created, &why);
        self.ledger.finish(id, state, &report)?;
        Ok(report)
    }

    async fn open<'a>(
        &'a self,
        id: &'a str,
        job: &'a Job,
        control: RunControl,
    ) -> Result<Run<'a>, Stopped> {
        let new =
            NewRun { id, job: &job.name, digest: &job.digest, file: &job.file, owner: self.owner };
        let live = self.ledger.live(id)?.ok_or_else(|| under_way(id))?;
        check_target(job, self.own_folders)?;
        let is_new = self.ledger.entry(id)?.is_none() && !self.is_taken_up;
        self.ledger.begin(&new)?;
        let recorded = self.ledger.entry(id)?;
        let created = recorded.and_then(|run| DateTime::parse_from_rfc3339(&run.created).ok());
        let mut planner = Planner::new(self.catalog, self.settings);
        if let Some(record) = self.ledger.planned(id)? {
            planner.given.plugins = BuiltBy::read(&record).plugins;
        }
        let destination = Destination::open(job, &planner, self.settings).await?;
        let registrar = planner.registrar(job)?;
        let created = created.map_or_else(Utc::now, |created| created.to_utc());
        Ok(Run {
            runner: self,
            id,
            job,
            destination,
            registrar,
            created,
            control,
            is_new,
            has_reserved: AtomicBool::new(false),
            _live: live,
        })
    }

    /// The report of a run that published nothing.
    fn unpublished(
        &self,
        id: &str,
        job: &Job,
        status: Status,
        created: DateTime<Utc>,
        error: &Error,
    ) -> RunReport {
        RunReport {
            run: id.to_owned(),
            job: job.name.clone(),
            status,
            started: moment(created),
            seconds: seconds_since(created),
            rows: 0,
            bytes: 0,
            consistency: None,
            relations: Vec::new(),
            interruptions: self.interruptions(id),
            manifest: None,
            tapes: tape::kept(&self.settings.state, id),
            error: Some(error.report()),
        }
    }

    fn interruptions(&self, id: &str) -> Vec<String> {
        let details = self.ledger.details(id).ok().flatten();
        details.map(|run| run.events.into_iter().map(|e| e.text).collect()).unwrap_or_default()
    }
}

impl Run<'_> {
    fn ledger(&self) -> &Ledger {
        self.runner.ledger
    }

    fn retry(&self) -> Retry {
        Retry::new(self.runner.settings.retry, self.runner.owner)
    }

    fn target(&self) -> &dyn Target {
        self.destination.target()
    }

    fn places(&self) -> CommitTargets<'_> {
        CommitTargets { target: self.target(), registrar: self.registrar.as_deref() }
    }

    async fn work(&mut self, watch: &mut impl FnMut(Arc<Progress>)) -> Result<RunReport, Stopped> {
        let retry = self.retry();
        let recorded = self.ledger().entry(self.id)?;
        if recorded.is_some_and(|run| run.phase == Phase::Committing) {
            tracing::info!("run {}: going on with its commit", self.id);
            self.ledger().event(self.id, "taken up again in the middle of its commit")?;
            SnapshotLease::new(self.runner.keeper, self.id).end().await;
            return Ok(roll_forward(self.ledger(), self.places(), retry, self.id).await?);
        }
        match self.published().await? {
            Some(report) => Ok(report),
            None => self.try_until_done(watch).await,
        }
    }

    /// The report of a run that was published by a process whose ledger is lost.
    async fn published(&self) -> Result<Option<RunReport>> {
        if self.is_new || self.ledger().planned(self.id)?.is_some() {
            return Ok(None);
        }
        let Some(text) = self.target().manifest(self.id).await? else { return Ok(None) };
        let manifest: Manifest = serde_json::from_slice(&text)?;
        tracing::info!("run {}: its manifest is there: it was published", self.id);
        let mode = self.job.target.mode;
        let spot = |relation: &RelationRecord| Spot {
            run: self.id.to_owned(),
            relation: relation.name.clone(),
            name: relation.published_as.clone(),
            mode,
        };
        let spots: Vec<Spot> = manifest.relations.iter().map(spot).collect();
        if let Err(error) = self.target().release(self.id, &spots).await {
            tracing::warn!("{error}: its staging stays");
        }
        let at = self.target().url(&manifest_path(self.id));
        Ok(Some(published_report(self.target(), manifest, at)))
    }

    /// What comes of it, in the ledger and in the target.
    async fn end(&self, tried: Result<RunReport, Stopped>) -> Result<RunReport, Stopped> {
        match tried {
            Ok(mut report) => {
                report.tapes = tape::kept(&self.runner.settings.state, self.id);
                // It is published, whatever the ledger says to that.
                if let Err(error) = self.ledger().finish(self.id, Outcome::Succeeded, &report) {
                    tracing::error!("run {}: published, but {error}", self.id);
                }
                Ok(report)
            }
            Err(Stopped::Interrupted(error)) => Err(Stopped::Interrupted(error)),
            Err(stopped) => {
                SnapshotLease::new(self.runner.keeper, self.id).end().await;
                self.discard().await;
                Err(stopped)
            }
        }
    }

    /// Whatever happened, nothing of the run stays in the target.
    async fn discard(&self) {
        if self.is_new && !self.has_reserved.load(Ordering::Relaxed) {
            // It came to nothing: why it did not is what people want to know.
            let gave_up = async { Ok(self.target().discard(self.id).await?) };
            if let Err(Stopped::Failed(error)) = catch_panic(gave_up).await {
                tracing::debug!("{error}: nothing was left there");
            }
            return;
        }
        let clean_up = async {
            let discard = || self.target().discard(self.id);
            Ok(self.retry().run(Work::CleanUp, "cleaning up", discard).await?)
        };
        if let Err(Stopped::Failed(error)) = catch_panic(clean_up).await {
            tracing::error!("{error}: remove what run {} left there", self.id);
        }
    }

    async fn try_until_done(
        &mut self,
        watch: &mut impl FnMut(Arc<Progress>),
    ) -> Result<RunReport, Stopped> {
        let mut retries = RunRetries::new(self.retry());
        loop {
            let holding = SnapshotLease::new(self.runner.keeper, self.id);
            let tried = self.try_once(&holding, watch).await;
            let (error, recovery) = match tried {
                Err(Stopped::Interrupted(error)) => return Err(Stopped::Interrupted(error)),
                Err(Stopped::Unprepared(error)) => {
                    let recovery = retries.after_preparation(&error);
                    (error, recovery)
                }
                Err(Stopped::Failed(error)) => {
                    let recovery = retries.after_reading(&error);
                    (error, recovery)
                }
                tried => {
                    holding.end().await;
                    return tried;
                }
            };
            match recovery {
                Recovery::Prepare(wait) => {
                    let text = format!("{error}: trying again in {} ms", wait.as_millis());
                    tracing::warn!("run {}: {text}", self.id);
                    self.ledger().event(self.id, &text)?;
                    self.pause(wait).await?;
                }
                Recovery::Restart(wait) => {
                    holding.end().await;
                    tracing::warn!("{error}: beginning anew in {} ms", wait.as_millis());
                    self.ledger().restart(self.id, &error.to_string())?;
                    self.target().discard(self.id).await?;
                    self.pause(wait).await?;
                }
                Recovery::GiveUp => {
                    holding.end().await;
                    return Err(Stopped::Failed(error));
                }
            }
        }
    }

    async fn try_once(
        &mut self,
        holding: &SnapshotLease<'_>,
        watch: &mut impl FnMut(Arc<Progress>),
    ) -> Result<RunReport, Stopped> {
        let (spots, plan, loads) = tokio::select! {
            prepared = self.prepare(holding) => prepared.map_err(Stopped::Unprepared)?,
            stopped = self.stopping_before_reading() => return Err(stopped),
        };
        watch(Arc::new(Progress {
            relations: loads.iter().map(|load| load.progress.clone()).collect(),
        }));
        let (ledger, retry) = (self.ledger(), self.retry());
        let execution = Execution::new(self.id, &loads, ledger, retry, self.runner.compute);
        let finished = execution.run(plan.parallel_relations, self.stopping(&loads)).await;
        plan.source.release().await;
        let finished = finished?;
        let telling = RunTiming {
            run: self.id,
            started: moment(self.created),
            finished: moment(Utc::now()),
            seconds: seconds_since(self.created),
            threads: cores(),
            interruptions: self.runner.interruptions(self.id),
        };
        let manifest = Manifest::new(telling, self.job, &plan, &finished, &spots);
        let tables = self.tables(&plan, &spots)?;
        let relations = spots
            .into_iter()
            .zip(&finished)
            .map(|(spot, finished)| RelationCommit::new(spot, &finished.parts))
            .collect();
        let record = Commit { manifest, relations, tables, registering: false };
        Ok(commit(ledger, self.places(), retry, record).await?)
    }

    /// All that comes before reading: places in the target, a plan, tasks.
    async fn prepare(
        &self,
        holding: &SnapshotLease<'_>,
    ) -> Result<(Vec<Spot>, RunPlan, Vec<RelationTasks>)> {
        // Before anything is asked of the source: a target that cannot be written ends the run.
        let spots = self.reserve().await?;
        let plan = self.plan(holding, &spots).await?;
        let retry = self.retry();
        let made_ready = async {
            for (relation, spot) in plan.relations.iter().zip(&spots) {
                let schema = relation.physical.schema();
                // A catalog knows its tables' columns itself.
                if spot.mode == Mode::Append && self.registrar.is_none() {
                    check_columns(self.target(), spot, &schema).await?;
                }
                // It answered before: if it does not now, that will pass.
                retry
                    .run(Work::Request, "preparing", || self.target().begin(spot, &schema))
                    .await?;
            }
            if let Some(registrar) = &self.registrar {
                registrar.check(&self.tables(&plan, &spots)?).await?;
                registrar.release().await;
            }
            self.loads(&plan, &spots).await
        };
        match made_ready.await {
            Ok(loads) => Ok((spots, plan, loads)),
            Err(error) => {
                plan.source.release().await;
                Err(error)
            }
        }
    }

    /// The tables that the relations' folders become, if they do.
    fn tables(&self, plan: &RunPlan, spots: &[Spot]) -> Result<Vec<Table>> {
        let by = &self.job.target.partition_by;
        let of = plan.relations.iter().zip(spots).filter(|_| self.registrar.is_some());
        of.map(|(relation, spot)| Table::new(spot, &relation.physical.schema(), by)).collect()
    }

    /// The places of the relations: those that the run has, or new ones.
    async fn reserve(&self) -> Result<Vec<Spot>> {
        let held = self.ledger().spots(self.id)?;
        let again =
            held.len() == self.job.relations.len() && self.ledger().planned(self.id)?.is_some();
        if again {
            return Ok(held);
        }
        // What a run that died here had reserved and not written down is given back.
        let is_known = !self.is_new || self.has_reserved.load(Ordering::Relaxed);
        if is_known || matches!(self.destination, Destination::Sink(_)) {
            self.target().discard(self.id).await?;
        }
        let mut spots = Vec::new();
        for relation in &self.job.relations {
            let mode = self.job.target.mode;
            spots.push(self.target().reserve(self.id, &relation.name, mode).await?);
            self.has_reserved.store(true, Ordering::Relaxed);
        }
        self.ledger().reserve(self.id, &spots)?;
        Ok(spots)
    }

    /// A new plan, or the one that the run began with, if what it rests on still stands.
    async fn plan(&self, holding: &SnapshotLease<'_>, spots: &[Spot]) -> Result<RunPlan> {
        let mut planner = Planner::new(self.runner.catalog, self.runner.settings);
        if let Some(record) = self.ledger().planned(self.id)? {
            holding.take_up(&record.hold, self.is_all_read(&record)?).await?;
            planner.given = given(&record, self.job)?;
            let source = planner.source(self.job)?;
            let plan = planner.plan_aside(self.job, source).await?;
            if BuiltBy::of(&plan) != BuiltBy::read(&record) {
                plan.source.release().await;
                return Err(Error::new(Class::Stale, "Longshore or a plugin is another one now"));
            }
            return Ok(plan);
        }
        let source = planner.source(self.job)?;
        let hold = match source.digest().filter(|_| source.needs_holder()) {
            Some(digest) => holding.begin(self.job, digest).await,
            None => None,
        };
        planner.given = Given { hold, ..Given::default() };
        let plan = planner.plan_aside(self.job, source).await?;
        for warning in self.runner.catalog.warnings(&plan.digests()) {
            tracing::warn!("run {}: {warning}", self.id);
            self.ledger().event(self.id, &warning)?;
        }
        let record = to_record(&plan, spots, holding.is_kept().await)?;
        self.ledger().plan(self.id, &record)?;
        holding.keep().await;
        Ok(plan)
    }

    /// Whether nothing is left to be read of the source.
    fn is_all_read(&self, record: &crate::ledger::PlanRecord) -> Result<bool> {
        let tasks = self.ledger().tasks(self.id)?;
        let mut relations = record.relations.iter().enumerate();
        Ok(relations.all(|(relation, record)| {
            let chunks = record.scans.iter().map(|scan| scan.chunks.len()).sum::<usize>().max(1);
            let done = |chunk| {
                let task = tasks.get(&Task { relation, chunk });
                task.is_some_and(|task| task.parts.is_some())
            };
            (0..chunks).all(done)
        }))
    }

    /// The relations' tasks; those that were done and whose parts are as they were need not be done
    /// again.
    async fn loads(&self, plan: &RunPlan, spots: &[Spot]) -> Result<Vec<RelationTasks>> {
        let mut tasks = self.ledger().tasks(self.id)?;
        let (mut kept, begun) = (0, tasks.len());
        let retry = self.retry();
        for (task, progress) in &mut tasks {
            let Some(parts) = &progress.parts else { continue };
            let mut intact = true;
            for part in parts {
                let look = || self.target().is_intact(&spots[task.relation], part);
                intact &= retry.run(Work::Request, "looking what is kept", look).await?;
            }
            match intact {
                true => kept += 1,
                false => {
                    progress.parts = None;
                    self.ledger().redo(self.id, *task)?;
                }
            }
        }
        if begun > 0 {
            let text = format!("taken up again: {kept} of {begun} begun chunks are kept");
            tracing::info!("run {}: {text}", self.id);
            self.ledger().event(self.id, &text)?;
        }
        let loading = RelationTasksBuilder {
            run: self.id,
            plan,
            destination: &self.destination,
            spots,
            ledger: self.ledger(),
            retry,
            tapes: self.tapes(),
            tasks,
        };
        Ok(loading.loads())
    }

    /// Where failures are recorded, if the job wants it. That they cannot be stops no run.
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

    /// Waits, unless the run is asked to stop.
    async fn pause(&self, wait: Duration) -> Result<(), Stopped> {
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            stopped = self.stopping_before_reading() => Err(stopped),
        }
    }

    /// Resolves when a run that reads nothing is asked to stop.
    async fn stopping_before_reading(&self) -> Stopped {
        match Phase::Planning.on_stop(self.control.stopped().await) {
            StopAction::Discard => Stopped::Cancelled,
            _ => interrupted(),
        }
    }

    /// Resolves when a run that reads is asked to stop: at once, or when it is drained.
    async fn stopping(&self, loads: &[RelationTasks]) -> Stopped {
        let mut action = Phase::Reading.on_stop(self.control.stopped().await);
        if action == StopAction::FinishAttempts {
            loads.iter().for_each(|load| load.progress.slots.close());
            let drained = join_all(loads.iter().map(|load| load.progress.slots.drained()));
            tokio::select! {
                _ = drained => return interrupted(),
                stop = self.control.stopped_at_once() => {
                    if stop == Stop::Interrupt {
                        tracing::warn!("run {}: some chunks did not end in time", self.id);
                    }
                    action = Phase::Reading.on_stop(stop);
                }
            }
        }
        match action {
            StopAction::Discard => Stopped::Cancelled,
            _ => interrupted(),
        }
    }
}

/// The cancel flag of a run in the ledger, which other processes set.
struct CancelFlag<'a> {
    ledger: &'a Ledger,
    run: &'a str,
    control: &'a RunControl,
}

impl CancelFlag<'_> {
    /// Cancels the run when the flag is set.
    async fn watch(&self) -> Infallible {
        let mut looks = tokio::time::interval(Duration::from_millis(CANCEL_LOOK_MILLIS));
        loop {
            looks.tick().await;
            match self.ledger.is_cancel_requested(self.run) {
                Ok(true) => self.control.cancel(None),
                Ok(false) => {}
                Err(error) => tracing::warn!("{error}"),
            }
        }
    }
}

/// A panic is an error of the run in which it happened, and of nothing else.
async fn catch_panic<T>(work: impl Future<Output = Result<T, Stopped>>) -> Result<T, Stopped> {
    let done = std::panic::AssertUnwindSafe(work).catch_unwind().await;
    done.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(Stopped::Failed(
            Error::internal(format!("the program panicked: {said}"))
                .with_hint("this is a fault of Longshore: report it, with the log"),
        ))
    })
}

/// No target lies in a folder of Longshore's own, and none takes its place.
fn check_target(job: &Job, own_folders: &[PathBuf]) -> Result<()> {
    let To::Folder(Place::Local(folder), _) = &job.target.to else { return Ok(()) };
    let folder = real_path(folder);
    for own in own_folders {
        let own = real_path(own);
        let hides = |name: &str| own.starts_with(folder.join(name));
        if folder.starts_with(&own) || job.relations.iter().any(|relation| hides(&relation.name)) {
            return Err(Error::config(format!(
                "`target.url`: {} is a folder of Longshore's own",
                own.display()
            ))
            .with_hint("name a folder beside it"));
        }
    }
    Ok(())
}

/// Two processes never work on one run.
fn under_way(id: &str) -> Stopped {
    Stopped::Interrupted(
        Error::config(format!("run {id} is under way in another process"))
            .with_hint(format!("`longshore runs show {id}` tells how far it is")),
    )
}

fn interrupted() -> Stopped {
    Stopped::Interrupted(
        Error::cancelled("the run was interrupted")
            .with_hint("it goes on when it is taken up again"),
    )
}

fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn seconds_since(at: DateTime<Utc>) -> f64 {
    (Utc::now() - at).as_seconds_f64().max(0.0)
}
