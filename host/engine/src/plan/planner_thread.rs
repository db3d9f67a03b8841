//! Planning on a thread of its own. DataFusion plans a large query for minutes without a pause: on the threads
//! that serve connections it would hold up all that is under way.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;

use futures::FutureExt;
use longshore_model::config::Job;
use longshore_model::error::{Error, Result};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::planner::{Planner, RunPlan};
use crate::scan::Source;

/// The thread's stack: deep SQL is walked on it. Only what is used of it takes memory.
const STACK_BYTES: usize = 64 << 20;

impl Planner<'_> {
    /// Plans a whole run on its source, on a thread of its own. Dropping the future cancels the planning: nobody
    /// waits for the thread, which ends as soon as it can.
    pub async fn plan_on_own_thread(self, job: &Job, source: Arc<dyn Source>) -> Result<RunPlan> {
        let Planner { plugins, limit, resume, loads, expected, now, .. } = self;
        let settings = self.settings.clone();
        let (job, io) = (job.clone(), Handle::current());
        let (mut send, planned) = oneshot::channel();
        let work = move || {
            let planner =
                Planner { plugins, settings: &settings, limit, resume, loads, expected, now };
            let planning = AssertUnwindSafe(planner.plan_on(&job, source)).catch_unwind();
            let _entered = io.enter();
            io.block_on(async move {
                let planned = tokio::select! {
                    planned = planning => planned,
                    () = send.closed() => return,
                };
                // A plan that nobody wants any more lets go of its source.
                if let Err(Ok(Ok(unwanted))) = send.send(planned) {
                    unwanted.source.release().await;
                }
            });
        };
        let thread = std::thread::Builder::new().name("planner".into()).stack_size(STACK_BYTES);
        thread.spawn(work).map_err(|error| Error::io("starting a thread", error))?;
        match planned.await {
            Ok(Ok(planned)) => planned,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(Error::internal("planning ended without a plan")),
        }
    }
}
