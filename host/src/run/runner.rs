//! The runner: plans a job, runs its tasks, commits. Whatever happens, staging is gone afterwards.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use chrono::{DateTime, SecondsFormat, Utc};
use datafusion::physical_plan::ExecutionPlan;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::commit::commit;
use super::manifest::Finished;
use super::progress::{Progress, RelationProgress};
use super::report::{RunReport, Status};
use super::task::{backoff, run_partition, run_whole};
use crate::config::{Job, Settings};
use crate::error::{Class, Error, Result, ResultExt};
use crate::plan::{Planner, RelationPlan, RunPlan};
use crate::plugin::{Catalog, hex};
use crate::scan::Slots;
use crate::target::{LocalTarget, Staging};
use crate::write::{Part, PartWriter};

/// How often a run is begun anew because what it had planned was gone.
pub const RESTART_LIMIT: u32 = 5;

/// A new run's id: when it began, and something that tells it from all others.
pub fn new_run_id() -> Result<String> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|error| Error::resource(error.to_string()))?;
    Ok(format!("{}-{}", Utc::now().format("%Y%m%dT%H%M%SZ"), hex(&random)))
}

/// A moment, by both clocks.
pub(super) struct Started {
    at: DateTime<Utc>,
    instant: Instant,
}

impl Started {
    pub(super) fn now() -> Self {
        Self { at: Utc::now(), instant: Instant::now() }
    }

    pub(super) fn at(&self) -> String {
        self.at.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    pub(super) fn seconds(&self) -> f64 {
        self.instant.elapsed().as_secs_f64()
    }
}

/// Runs jobs.
pub struct Runner<'a> {
    /// The plugins.
    pub catalog: &'a Catalog,
    /// The operator's settings.
    pub settings: &'a Settings,
    /// The runtime that computes: decodes, transforms, encodes.
    pub compute: &'a Handle,
}

/// Why a run did not succeed.
enum Stopped {
    Failed(Error),
    Cancelled,
}

impl<E: Into<Error>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Runner<'_> {
    /// Runs a job. `watch` is called with the progress when a plan is made, again if the run is
    /// begun anew; `cancel` stops the run when it resolves.
    pub async fn run(
        &self,
        run: &str,
        job: &Job,
        mut watch: impl FnMut(Arc<Progress>),
        cancel: impl Future<Output = ()>,
    ) -> (RunReport, Result<()>) {
        let started = Started::now();
        let mut cancel = pin!(cancel);
        let mut restarts = 0;
        let tried = loop {
            let tried = self.try_run(run, job, &mut watch, cancel.as_mut(), &started).await;
            match &tried {
                Err(Stopped::Failed(error)) if begins_anew(error, restarts) => {
                    let wait = backoff(restarts);
                    tracing::warn!("{error}: beginning anew in {} ms", wait.as_millis());
                    tokio::time::sleep(wait).await;
                    restarts += 1;
                }
                _ => break tried,
            }
        };
        let (status, error) = match tried {
            Ok(report) => return (report, Ok(())),
            Err(Stopped::Failed(error)) => (Status::Failed, error),
            Err(Stopped::Cancelled) => {
                (Status::Cancelled, Error::resource("the run was cancelled"))
            }
        };
        let report = RunReport {
            run: run.to_owned(),
            job: job.name.clone(),
            status,
            started: started.at(),
            seconds: started.seconds(),
            rows: 0,
            bytes: 0,
            consistency: None,
            relations: Vec::new(),
            manifest: None,
            error: Some(error.report()),
        };
        (report, Err(error))
    }

    async fn try_run(
        &self,
        run: &str,
        job: &Job,
        watch: &mut impl FnMut(Arc<Progress>),
        mut cancel: Pin<&mut impl Future<Output = ()>>,
        started: &Started,
    ) -> Result<RunReport, Stopped> {
        let names: Vec<String> = job.relations.iter().map(|r| r.name.clone()).collect();
        // Before anything is asked of the source: a target that cannot be written ends the run.
        let target = LocalTarget::new(&job.target.folder);
        let staging: Arc<dyn Staging> = Arc::new(target.begin(run, &names, job.target.mode)?);
        let planner = Planner { catalog: self.catalog, settings: self.settings, limit: None };
        let plan = tokio::select! {
            plan = planner.plan(job) => plan?,
            () = &mut cancel => return Err(Stopped::Cancelled),
        };
        let loads = Load::all(&plan, &staging, job);
        watch(Arc::new(Progress {
            relations: loads.iter().map(|load| load.progress.clone()).collect(),
        }));
        let finished = self.execute(&plan, &loads, cancel).await;
        plan.source.release().await;
        let finished = finished?;
        Ok(commit(run, job, &plan, staging.as_ref(), &finished, started)?)
    }

    /// Runs the tasks of all relations: so many relations at a time, and of each all chunks, which
    /// wait for a place to be read in.
    async fn execute(
        &self,
        plan: &RunPlan,
        loads: &[Load],
        mut cancel: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Vec<Finished>, Stopped> {
        let mut tasks = JoinSet::new();
        let mut waiting = loads.iter().enumerate();
        let mut finished: Vec<Finished> = loads.iter().map(Load::unfinished).collect();
        let mut left: Vec<usize> = loads.iter().map(Load::tasks).collect();
        waiting
            .by_ref()
            .take(plan.parallel_relations)
            .for_each(|(index, load)| load.spawn(index, &mut tasks, self.compute));
        let stopped = loop {
            let joined = tokio::select! {
                joined = tasks.join_next() => joined,
                () = &mut cancel => break Stopped::Cancelled,
            };
            let (index, done) = match joined {
                None => return complete(loads, finished),
                Some(Ok(done)) => done,
                Some(Err(error)) => {
                    break Error::internal(format!("a task failed: {error}")).into();
                }
            };
            match done.context(loads[index].progress.name.clone()) {
                Ok((parts, retries)) => {
                    finished[index].parts.extend(parts);
                    finished[index].retries += retries;
                }
                Err(error) => break error.into(),
            }
            left[index] -= 1;
            if left[index] == 0 {
                waiting
                    .next()
                    .into_iter()
                    .for_each(|(i, load)| load.spawn(i, &mut tasks, self.compute));
            }
        };
        // Nothing of the run may still be writing when its staging goes.
        tasks.shutdown().await;
        Err(stopped)
    }
}

/// Whether a failed run is planned and run once more: when what it had planned is gone, and then
/// also when the source is not back yet.
fn begins_anew(error: &Error, restarts: u32) -> bool {
    let stale = error.class() == Class::Stale || (restarts > 0 && error.class().is_transient());
    stale && restarts < RESTART_LIMIT
}

/// Sorts the parts, and gives a relation without rows its empty one.
fn complete(loads: &[Load], mut finished: Vec<Finished>) -> Result<Vec<Finished>, Stopped> {
    for (load, finished) in loads.iter().zip(&mut finished) {
        if finished.parts.is_empty() {
            finished.parts.push(load.writer.write_empty()?);
        }
        finished.parts.sort_by_key(|part| part.chunk);
    }
    Ok(finished)
}

/// A relation on its way to the target.
struct Load {
    writer: PartWriter,
    chunkwise: bool,
    progress: Arc<RelationProgress>,
}

/// What a task gives: its relation, and its parts and retries.
type Done = (usize, Result<(Vec<Part>, u32)>);

impl Load {
    fn all(plan: &RunPlan, staging: &Arc<dyn Staging>, job: &Job) -> Vec<Self> {
        let places = Arc::new(Semaphore::new(plan.parallel));
        let load = |relation: &RelationPlan| {
            let name = relation.relation.name.clone();
            let input = relation.physical.clone();
            let writer =
                PartWriter::new(input, staging.clone(), name.clone(), job.target.compression);
            let progress = RelationProgress {
                name,
                chunks: relation.chunks() as u64,
                estimated_rows: relation.rows,
                done: AtomicU64::new(0),
                slots: Arc::new(Slots::new(places.clone(), plan.parallel_chunks)),
            };
            Self { writer, chunkwise: relation.chunkwise, progress: Arc::new(progress) }
        };
        plan.relations.iter().map(load).collect()
    }

    fn partitions(&self) -> usize {
        self.writer.properties().partitioning.partition_count()
    }

    fn tasks(&self) -> usize {
        if self.chunkwise { self.partitions() } else { 1 }
    }

    fn unfinished(&self) -> Finished {
        let schema = self.writer.children()[0].schema();
        Finished { parts: Vec::new(), retries: 0, schema }
    }

    fn spawn(&self, index: usize, tasks: &mut JoinSet<Done>, compute: &Handle) {
        let plan: Arc<dyn ExecutionPlan> = Arc::new(self.writer.clone());
        if !self.chunkwise {
            let progress = self.progress.clone();
            let task = async move {
                let done = run_whole(plan, progress.slots.clone()).await;
                progress.done.store(progress.chunks, Ordering::Relaxed);
                (index, done)
            };
            tasks.spawn_on(task, compute);
            return;
        }
        for partition in 0..self.partitions() {
            let (plan, progress) = (plan.clone(), self.progress.clone());
            let task = async move {
                let done = run_partition(plan, partition, progress.slots.clone()).await;
                progress.done.fetch_add(1, Ordering::Relaxed);
                (index, done)
            };
            tasks.spawn_on(task, compute);
        }
    }
}
