//! The executors of a cluster, looked at for as long as a run is on it: metrics show them, and the log tells when they
//! become more or fewer.

use std::time::Duration;

use longshore_model::figures::{Members, figures};
use longshore_model::format::counted;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::scheduler_client::SchedulerClient;
use crate::limits::MEMBERS_LOOK_SECS;
use crate::message::Hello;

/// Looks until it is dropped.
pub(super) struct MembersWatch(AbortHandle);

impl Drop for MembersWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl MembersWatch {
    /// Watches the cluster of a run, of which the first look is given.
    pub(super) fn start(run: String, scheduler: SchedulerClient, first: &Hello) -> Self {
        let mut known = members(first);
        figures().clusters.set(scheduler.url(), known);
        tracing::info!("run {run}: on {}, {}", scheduler.url(), told(known));
        let watching = async move {
            loop {
                sleep(Duration::from_secs(MEMBERS_LOOK_SECS)).await;
                // Attempts notice a scheduler that is away, and say so.
                let Ok(hello) = scheduler.greet().await else { continue };
                let now = members(&hello);
                if now != known {
                    tracing::info!("run {run}: {} has {} now", scheduler.url(), told(now));
                    figures().clusters.set(scheduler.url(), now);
                    known = now;
                }
            }
        };
        Self(tokio::spawn(watching).abort_handle())
    }
}

fn members(hello: &Hello) -> Members {
    let slots = hello.executors.iter().map(|executor| u64::from(executor.slots)).sum();
    Members { executors: hello.executors.len() as u64, slots }
}

fn told(Members { executors, slots }: Members) -> String {
    format!("{} with {}", counted(executors, "executor"), counted(slots, "slot"))
}
