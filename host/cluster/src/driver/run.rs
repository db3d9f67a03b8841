//! A run that a cluster carries out: its attempts are handed to the scheduler, one job of Ballista's each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use datafusion::physical_plan::ExecutionPlan;
use longshore_engine::plan_node::partitions;
use longshore_engine::scan::PlacedLeftOut;
use longshore_engine::write::WriteResult;
use longshore_model::error::{Error, Result};
use longshore_run::cluster::{AttemptNews, AttemptOrder, ClusterRun};
use tokio::runtime::Handle;
use tokio::time::interval_at;

use super::attempts::{AttemptWait, Claim, Heard};
use super::members::MembersWatch;
use super::scheduler_client::{JobState, SchedulerClient};
use super::service::{Session, Sessions};
use crate::limits::{EXECUTOR_SILENCE_SECS, LOOK_SECS, SCHEDULER_SILENCE_SECS, WAIT_NOTICE_SECS};
use crate::message::{Assignment, PLANS_DIFFER};
use crate::plan::{AttemptExec, cut, shape};

/// A run under way. Its executors let go of it when this is dropped.
pub(super) struct DriverRun {
    /// The driver's URL.
    pub(super) driver: String,
    /// The name by which executors ask for it.
    pub(super) name: String,
    pub(super) session: Arc<Session>,
    pub(super) sessions: Sessions,
    pub(super) scheduler: SchedulerClient,
    /// Where connections are served.
    pub(super) io: Handle,
    pub(super) _members: MembersWatch,
    /// Whether an executor plans otherwise than this process: one executor makes all of a plan then.
    pub(super) plans_differ: AtomicBool,
}

#[async_trait]
impl ClusterRun for DriverRun {
    async fn attempt(
        &self,
        order: AttemptOrder,
        whole: Option<Arc<dyn ExecutionPlan>>,
        on_news: &(dyn Fn(AttemptNews) + Send + Sync),
    ) -> Result<Vec<WriteResult>> {
        let (plan, partitions) = self.plan(order, whole)?;
        let mut awaited = self.session.attempts.wait_for(order);
        let mut job = self.submit(plan.clone()).await?;
        let pause = Duration::from_secs(LOOK_SECS);
        let mut looks = interval_at((Instant::now() + pause).into(), pause);
        let mut watch = Watch::new(partitions);
        let (mut written, mut left_out) = (BTreeMap::new(), BTreeMap::new());
        while written.len() < partitions {
            tokio::select! {
                heard = awaited.heard.recv() => match heard {
                    Some(Heard::Read(amount)) => on_news(AttemptNews::Read(amount)),
                    // Whoever reads them again leaves the same rows out, which the first of them tells.
                    Some(Heard::LeftOut(fragment, own)) => {
                        left_out.insert((fragment, own.place.clone()), own);
                    }
                    Some(Heard::Begun(executor)) => on_news(AttemptNews::Begun(executor)),
                    Some(Heard::Broken(error)) => return Err(self.broken(Error::reported(error))),
                    Some(Heard::Ended(partition, outcome)) => {
                        let part = Result::from(outcome).map_err(|error| self.broken(error))?;
                        written.insert(partition, part);
                    }
                    None => return Err(Error::internal("nobody hears of an attempt")),
                },
                _ = looks.tick() => if watch.look(&awaited, &self.scheduler, &job.id).await? {
                    job.is_over = true;
                    job = self.submit(plan.clone()).await?;
                },
            }
        }
        job.is_over = true;
        let mut all = PlacedLeftOut::default();
        left_out.into_values().for_each(|own| all.merge(own));
        let left_out = WriteResult { left_out: all.rows, ..WriteResult::default() };
        Ok(std::iter::once(left_out).chain(written.into_values()).collect())
    }
}

impl DriverRun {
    /// A plan for Ballista, and how many partitions are written by it: fragments of a plan that needs all rows, or one
    /// node that stands for the attempt.
    fn plan(
        &self,
        order: AttemptOrder,
        whole: Option<Arc<dyn ExecutionPlan>>,
    ) -> Result<(Arc<dyn ExecutionPlan>, usize)> {
        let (driver, session) = (self.driver.clone(), self.name.clone());
        let assignment = Assignment { driver, session, order, shape: None };
        if let Some(whole) = whole.filter(|_| !self.plans_differ.load(Ordering::Relaxed)) {
            let shape = Some(shape(&whole));
            if let Some(fragments) = cut(&whole, &Assignment { shape, ..assignment.clone() })
                && self.scheduler.can_carry(fragments.clone())
            {
                let partitions = partitions(&*fragments);
                return Ok((fragments, partitions));
            }
        }
        let attempt = AttemptExec::of(&assignment);
        Ok((Arc::new(attempt.map_err(|error| Error::internal(error.to_string()))?), 1))
    }

    /// An error of an attempt. Where an executor plans otherwise, the next attempt is not cut up.
    fn broken(&self, error: Error) -> Error {
        if error.code() == Some(PLANS_DIFFER) {
            self.plans_differ.store(true, Ordering::Relaxed);
        }
        error
    }

    async fn submit(&self, plan: Arc<dyn ExecutionPlan>) -> Result<SubmittedJob<'_>> {
        let id = self.scheduler.submit(&self.name, plan).await?;
        Ok(SubmittedJob { run: self, id, is_over: false })
    }
}

impl Drop for DriverRun {
    fn drop(&mut self) {
        self.sessions.lock().remove(&self.name);
        let (scheduler, name) = (self.scheduler.clone(), self.name.clone());
        self.io.spawn(async move { scheduler.forget(name).await });
    }
}

/// A job of Ballista's, which is given up when this is dropped before it is over.
struct SubmittedJob<'a> {
    run: &'a DriverRun,
    id: String,
    is_over: bool,
}

impl Drop for SubmittedJob<'_> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let (scheduler, id) = (self.run.scheduler.clone(), std::mem::take(&mut self.id));
        self.run.io.spawn(async move { scheduler.cancel(id).await });
    }
}

/// Sees that an attempt is neither lost nor forgotten.
struct Watch {
    partitions: usize,
    /// When the scheduler last answered.
    answered: Instant,
    /// When somebody was last told that there is no executor for it.
    noticed: Instant,
}

impl Watch {
    fn new(partitions: usize) -> Self {
        Self { partitions, answered: Instant::now(), noticed: Instant::now() }
    }

    /// Whether the job must be submitted once more. An attempt that is lost is an error, which is tried again.
    async fn look(
        &mut self,
        awaited: &AttemptWait<'_>,
        scheduler: &SchedulerClient,
        job: &str,
    ) -> Result<bool> {
        for Claim { executor, last_heard, .. } in awaited.writers() {
            let silent = last_heard.elapsed().as_secs();
            if silent >= EXECUTOR_SILENCE_SECS {
                let text = format!("executor {executor} has not been heard of for {silent} s");
                return Err(Error::connection(text));
            }
        }
        let begun = awaited.begun();
        if begun == self.partitions {
            self.answered = Instant::now();
            return Ok(false);
        }
        let is_lost = self.ask(scheduler, job).await?;
        if is_lost && begun > 0 {
            return Err(Error::connection("the scheduler has lost a part of an attempt"));
        }
        Ok(is_lost)
    }

    /// Whether the scheduler has lost the job.
    async fn ask(&mut self, scheduler: &SchedulerClient, job: &str) -> Result<bool> {
        let state = match scheduler.state(job).await {
            Ok(state) => state,
            Err(error) if self.answered.elapsed().as_secs() < SCHEDULER_SILENCE_SECS => {
                tracing::debug!("{error}");
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        self.answered = Instant::now();
        match state {
            JobState::Open => {
                self.notice();
                Ok(false)
            }
            // The executor that carried it out could not say so.
            JobState::Unknown | JobState::Over => Ok(true),
            JobState::Failed(why) => {
                Err(Error::connection(format!("the scheduler gave an attempt up: {why}")))
            }
        }
    }

    fn notice(&mut self) {
        if self.noticed.elapsed().as_secs() >= WAIT_NOTICE_SECS {
            self.noticed = Instant::now();
            tracing::info!("the cluster has work that no executor has begun: waiting for one");
        }
    }
}
