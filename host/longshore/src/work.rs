//! The work on a run in the foreground: it is carried out, and others are told of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use longshore_model::config::{Job, ParameterRecord, ParentRun};
use longshore_model::error::{Error, Result};
use longshore_model::trace_context::TraceParent;
use longshore_plugins::Catalog;
use longshore_run::ledger::{KeyedJob, KeyedRun, Ledger, Owner};
use longshore_run::{
    HolderLauncher, Progress, RunControl, RunReport, Runner, forget_old_runs, new_run_id,
};
use longshore_telemetry::{BackgroundDelivery, COMMAND_PATIENCE, Courier};
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::host::Host;

/// The longest run key.
pub const RUN_KEY_LIMIT_BYTES: usize = 200;

/// A run that is to be carried out, or carried on.
pub struct Work {
    /// The plugins, settings and threads for the run.
    pub host: Host,
    /// Where it is recorded.
    pub ledger: Ledger,
    /// Its id.
    pub run: String,
    /// Its job.
    pub job: Job,
    /// Whether somebody starts it again after an error that passes: what it has read is kept for that.
    pub is_retried: bool,
    /// What keeps snapshots beyond the life of this process.
    pub holders: HolderLauncher,
    /// The span that it is a part of.
    pub trace_parent: Option<TraceParent>,
    /// The run of another program's that it is a part of.
    pub parent_run: Option<ParentRun>,
}

/// The work of a run, or the report of a run that is done.
pub enum Task {
    /// A run.
    Run(Box<Work>),
    /// Nothing: the run of this key has succeeded, with this report.
    Done(Box<RunReport>, Host, Ledger),
}

/// The end of a run.
pub struct RunResult {
    /// Its report.
    pub report: RunReport,
    /// Why it did not succeed.
    pub result: Result<()>,
}

/// What is told of a run while it is under way. It is over when these are dropped.
pub(crate) struct RunChannels {
    pub(crate) recorded: watch::Sender<Option<(Ledger, String)>>,
    pub(crate) progress: watch::Sender<Option<Arc<Progress>>>,
    pub(crate) ended: oneshot::Sender<Result<RunResult>>,
}

impl Task {
    /// The run of a key: a new one, the one that was interrupted, or none if it has succeeded. `again` gives the job
    /// with the values that the key was first used with.
    pub fn of_key(
        key: &str,
        arguments: &BTreeMap<String, Value>,
        work: Work,
        again: impl FnOnce(&ParameterRecord) -> Result<Job>,
    ) -> Result<Self> {
        check_run_key(key)?;
        let job = &work.job;
        let asked = KeyedJob {
            key,
            job: &job.name,
            digest: &job.digest,
            arguments,
            parameters: &job.parameters,
        };
        match work.ledger.keyed_run(&asked, &work.run)? {
            KeyedRun::Succeeded(report) => {
                let report: RunReport = serde_json::from_value(report)?;
                Ok(Self::Done(Box::new(report), work.host, work.ledger))
            }
            KeyedRun::Open { run, parameters } if parameters == job.parameters => {
                Ok(Self::Run(Box::new(Work { run, is_retried: true, ..work })))
            }
            // What was computed from the time of the first attempt stays.
            KeyedRun::Open { run, parameters } => {
                let job = again(&parameters)?;
                Ok(Self::Run(Box::new(Work { run, job, is_retried: true, ..work })))
            }
        }
    }

    /// Does it; gives how many messages wait to be delivered.
    pub(crate) async fn carry_out(self, telling: RunChannels, control: RunControl) -> Result<u64> {
        match self {
            Self::Run(work) => work.carry_out(telling, control).await,
            Self::Done(report, host, ledger) => {
                let RunChannels { ended, .. } = telling;
                // Whoever waited may have gone.
                let _ = ended.send(Ok(RunResult { report: *report, result: Ok(()) }));
                deliver(&host, &ledger, None).await
            }
        }
    }
}

impl Work {
    /// A run under a new id, of which nobody else knows.
    pub fn new(host: Host, ledger: Ledger, job: Job) -> Result<Self> {
        let holders = HolderLauncher { folder: holders_folder(&host), command: None };
        Ok(Self {
            host,
            ledger,
            run: new_run_id()?,
            job,
            is_retried: false,
            holders,
            trace_parent: None,
            parent_run: None,
        })
    }

    async fn carry_out(self, telling: RunChannels, control: RunControl) -> Result<u64> {
        let RunChannels { recorded, progress, ended } = telling;
        recorded.send_replace(Some((self.ledger.clone(), self.run.clone())));
        let beside = deliver_beside(&self.host, &self.ledger);
        let done = self.run(&progress, &control).await;
        if let Err(error) = forget_old_runs(&self.ledger, &self.host.settings) {
            tracing::warn!("{error}");
        }
        drop((recorded, progress));
        // Whoever waited may have gone.
        let _ = ended.send(done);
        deliver(&self.host, &self.ledger, beside).await
    }

    async fn run(
        &self,
        progress: &watch::Sender<Option<Arc<Progress>>>,
        control: &RunControl,
    ) -> Result<RunResult> {
        let catalog = self.host.catalog_for(&self.job).await?;
        let runner = self.runner(&catalog)?;
        let watch = |now| {
            progress.send_replace(Some(now));
        };
        let (report, result) = runner.run(&self.run, &self.job, watch, control).await;
        Ok(RunResult { report, result })
    }

    /// Gives up the run, which no process works on: removes what it left.
    pub async fn give_up(self, why: Error) -> Result<RunReport> {
        let catalog = self.host.catalog_for(&self.job).await?;
        self.runner(&catalog)?.give_up(&self.run, &self.job, why).await
    }

    fn runner<'a>(&'a self, catalog: &'a Catalog) -> Result<Runner<'a>> {
        Ok(Runner {
            catalog,
            settings: &self.host.settings,
            compute: self.host.threads.compute.handle(),
            ledger: &self.ledger,
            owner: Owner::Command,
            holders: Some(&self.holders),
            is_resumed: self.ledger.entry(&self.run)?.is_some(),
            is_retried: self.is_retried,
            trace_parent: self.trace_parent,
            parent_run: self.parent_run.clone(),
            own_folders: std::slice::from_ref(&self.host.settings.state),
            clusters: self.host.clusters.clone(),
        })
    }
}

/// Where the sockets of holders lie.
pub fn holders_folder(host: &Host) -> PathBuf {
    host.settings.state.join("holders")
}

/// Refuses what is no run key.
pub fn check_run_key(key: &str) -> Result<()> {
    if key.is_empty() || key.len() > RUN_KEY_LIMIT_BYTES || key.contains(char::is_control) {
        let limit = format!("give 1 to {RUN_KEY_LIMIT_BYTES} bytes, without control characters");
        return Err(Error::config("the run key is empty, too long, or no text").with_hint(limit));
    }
    Ok(())
}

/// Delivers beside a run, if there is something to tell before it ends: that it has begun.
fn deliver_beside(host: &Host, ledger: &Ledger) -> Option<BackgroundDelivery> {
    host.settings.lineage.transport.as_ref()?;
    let (courier, secrets) = (Courier::new(ledger.clone()), host.settings.secrets.clone());
    Some(BackgroundDelivery::begin(host.threads.io.handle(), courier, secrets))
}

/// Delivers what tells others of the run. What is left is delivered by the next process; gives how much that is.
async fn deliver(host: &Host, ledger: &Ledger, beside: Option<BackgroundDelivery>) -> Result<u64> {
    let until = Instant::now() + COMMAND_PATIENCE;
    if let Some(beside) = beside {
        beside.end(until).await;
    }
    let secrets = host.settings.secrets.as_deref();
    Courier::new(ledger.clone()).drain(secrets, until - Instant::now()).await
}
