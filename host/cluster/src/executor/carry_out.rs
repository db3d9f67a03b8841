//! Assignments, carried out: the driver is told that they begin, how far they are, and what came of them.

use std::fmt;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::StreamExt;
use longshore_engine::datafusion_fault::from_datafusion;
use longshore_engine::scan::ReadCounter;
use longshore_engine::write::WriteResult;
use longshore_model::error::{Class, Error, Result};
use longshore_run::cluster::{AttemptOrder, ExecutorRun};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use super::ballista_fault::not_fetched;
use super::driver_line::{Demand, DriverLine, Role};
use super::sessions::Sessions;
use crate::limits::FULL_DISK_SECS;
use crate::message::{Assignment, PLANS_DIFFER};
use crate::plan::{CarryOut, FragmentTask, OutsideInput, find, shape};

/// Batches between a fragment and whoever takes its rows.
const BATCHES_AHEAD: usize = 2;

/// The fragment that writes; others read for it.
const WRITER: usize = 0;

/// Carries assignments out.
pub(super) struct Worker {
    /// This executor's name.
    pub(super) name: String,
    pub(super) sessions: Arc<Sessions>,
    /// Where rows are worked on.
    pub(super) compute: Handle,
    /// Told when a slot may be free.
    pub(super) done: Arc<Notify>,
    /// Told when its disk is full.
    pub(super) full: Arc<Notify>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Worker({})", self.name)
    }
}

type Batches = Sender<DfResult<arrow::array::RecordBatch>>;

#[async_trait]
impl CarryOut for Worker {
    async fn attempt(&self, assignment: Assignment) {
        // On Longshore's own threads. When this is dropped, so is the attempt.
        let mut work = JoinSet::new();
        let (name, sessions) = (self.name.clone(), self.sessions.clone());
        work.spawn_on(attempt(name, sessions, assignment), &self.compute);
        match work.join_next().await {
            Some(Ok(Err(error))) => tracing::warn!("{error}"),
            Some(Err(error)) => tracing::error!("an attempt failed: {error}"),
            _ => {}
        }
        self.done.notify_one();
    }

    async fn full(&self, assignment: Assignment, error: io::Error) {
        let what = format!("executor {}: keeping rows that other executors wait for", self.name);
        let hint = "make room where the executor's state folder is, or give it another by --state";
        // Another executor may have room.
        let error = Error::io(what, error).with_hint(hint).with_class(Class::Resource);
        tracing::warn!("{error}: no more work is taken for {FULL_DISK_SECS} s");
        self.full.notify_one();
        let driver = match self.sessions.driver(&assignment.driver) {
            Ok(driver) => driver,
            Err(error) => return tracing::warn!("{error}"),
        };
        DriverLine::new(driver, assignment, Role::Reader(None), ReadCounter::default())
            .end(Err(error))
            .await;
    }

    fn fragment(self: Arc<Self>, task: FragmentTask) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStream::builder(task.schema.clone(), BATCHES_AHEAD);
        let (batches, own) = (stream.tx(), self.clone());
        let work = async move {
            let done = own.carry_out(task, &batches).await;
            own.done.notify_one();
            done.map_err(|error| DataFusionError::External(error.into()))
        };
        stream.spawn_on(work, &self.compute);
        stream.build()
    }
}

async fn attempt(name: String, sessions: Arc<Sessions>, assignment: Assignment) -> Result<()> {
    let order = assignment.order;
    let work = async |run: Arc<ExecutorRun>, count: ReadCounter| run.attempt(order, &count).await;
    carried_out(&name, &sessions, assignment, Role::writer(0)?, work).await?;
    Ok(())
}

/// Does the work of an attempt, as long as its driver wants it. An error of the work is the driver's; gives whether all
/// of it is done.
async fn carried_out(
    name: &str,
    sessions: &Arc<Sessions>,
    assignment: Assignment,
    role: Role,
    work: impl AsyncFnOnce(Arc<ExecutorRun>, ReadCounter) -> Result<WriteResult>,
) -> Result<bool> {
    let driver = sessions.driver(&assignment.driver)?;
    let count = ReadCounter::default();
    let line = Arc::new(DriverLine::new(driver, assignment.clone(), role, count.clone()));
    if line.begin(name).await? == Demand::No {
        return Ok(false);
    }
    sessions.begun(&line);
    // A task of its own: work may keep its thread, as when it waits for a disk, and is not lost for that.
    let mut reporting = JoinSet::new();
    let told = line.clone();
    reporting.spawn_on(async move { told.report().await }, sessions.io());
    let work = async {
        let run = sessions.run(&assignment, line.channel()).await?;
        Ok((run.clone(), work(run, count).await?))
    };
    tokio::select! {
        done = work => {
            let (run, done) = match done {
                Ok((run, written)) => {
                    let handed = handed_over(&line, &run, assignment.order, &written);
                    let handed = handed.await.map(|()| written);
                    (Some(run), handed)
                }
                Err(error) => (None, Err(error)),
            };
            reporting.shutdown().await;
            let written = done.as_ref().ok().cloned();
            let is_wanted = line.end(done).await == Demand::Yes;
            if let (false, Some(run), Some(written)) = (is_wanted, &run, &written) {
                run.discard(assignment.order, written).await;
            }
            Ok(run.is_some())
        }
        // What it was writing is removed when the work is dropped.
        _ = reporting.join_next() => {
            tracing::debug!("{:?} is given up", assignment.order);
            Ok(false)
        }
    }
}

/// Hands the files over that later steps of the run need. What an attempt wrote without them is removed.
async fn handed_over(
    line: &DriverLine,
    run: &ExecutorRun,
    order: AttemptOrder,
    written: &WriteResult,
) -> Result<()> {
    let files = run.scratch_files(order, written);
    let handed = line.hand_over(run.scratch(), &files).await;
    match handed {
        Ok(()) => run.remove_scratch_files(order, written),
        Err(_) => run.discard(order, written).await,
    }
    handed
}

impl Worker {
    async fn carry_out(&self, task: FragmentTask, batches: &Batches) -> Result<()> {
        let is_writer = task.number == WRITER;
        let role = if is_writer {
            Role::writer(task.numbers.get(task.partition).copied().unwrap_or(task.partition))?
        } else {
            Role::Reader(Some(task.number))
        };
        let assignment = task.assignment.clone();
        let work = async |run: Arc<ExecutorRun>, count: ReadCounter| {
            run_fragment(run, count, task, batches).await
        };
        if carried_out(&self.name, &self.sessions, assignment, role, work).await? {
            return Ok(());
        }
        // Rows that end early must not pass for all of them. A writer has none.
        if is_writer { Ok(()) } else { Err(Error::cancelled("a fragment was given up")) }
    }
}

/// Executes a partition of a fragment. Its rows go to whoever takes them; those that describe what was written go to
/// the driver.
async fn run_fragment(
    run: Arc<ExecutorRun>,
    count: ReadCounter,
    task: FragmentTask,
    batches: &Batches,
) -> Result<WriteResult> {
    let whole = run.whole(task.assignment.order, &count, task.numbers.clone()).await?;
    if task.assignment.shape.is_some_and(|expected| expected != shape(&whole.plan)) {
        return Err(Error::connection(
            "an executor with other cores or another memory budget plans the query otherwise; one executor makes it next",
        )
        .with_code(Some(PLANS_DIFFER.into())));
    }
    let inputs = task.inputs.into_iter().map(|plan| {
        Arc::new(OutsideInput::new(plan, task.context.clone())) as Arc<dyn ExecutionPlan>
    });
    let fragment = find(&whole.plan, task.number, inputs.collect()).map_err(fault)?;
    let rows = fragment.execute(task.partition, whole.context.clone());
    let mut rows = rows.map_err(fault)?;
    let mut written = WriteResult::default();
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(fault)?;
        if task.number == WRITER {
            written.merge(WriteResult::from_rows(&batch)?)?;
        } else if batches.send(Ok(batch)).await.is_err() {
            return Err(Error::cancelled("nobody takes the rows of a fragment"));
        }
    }
    written.left_out = count.left_out().rows;
    Ok(written)
}

fn fault(error: DataFusionError) -> Error {
    not_fetched(&error).unwrap_or_else(|| from_datafusion(error))
}
