//! The runner, and the runs that it has opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use longshore_engine::catalog::Registrar;
use longshore_engine::destination::Target;
use longshore_model::config::{Job, ParentRun, Settings};
use longshore_model::error::{Error, Result};
use longshore_model::trace_context::TraceParent;
use longshore_plugins::{Catalog, PluginSet, Resolver};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use super::cluster::{Cluster, cluster_of};
use super::commit::CommitTargets;
use super::control::RunControl;
use super::destination::{Destination, check_target};
use super::lineage::RunLineage;
use super::run_end::RunEnd;
use super::scratch::Scratch;
use super::snapshot_holder::HolderLauncher;
use crate::check_result::CheckReport;
use crate::ledger::{Ledger, NewRun, Owner, RunLock};
use crate::phase::Phase;
use crate::retry::Retry;
use crate::trigger::Trigger;

/// Runs jobs.
pub struct Runner<'a> {
    /// The plugins, as they are when the run begins or resumes here.
    pub catalog: &'a Catalog,
    /// The operator's settings.
    pub settings: &'a Settings,
    /// The runtime that computes: decodes, transforms, encodes.
    pub compute: &'a Handle,
    /// The durable state of runs.
    pub ledger: &'a Ledger,
    /// Who runs the job.
    pub owner: Owner,
    /// Keeps snapshots beyond the life of this process, if anybody does.
    pub holders: Option<&'a HolderLauncher>,
    /// Whether another process may have begun the run.
    pub is_resumed: bool,
    /// Whether somebody starts the run again after an error that passes: what it has read is kept for that.
    pub is_retried: bool,
    /// The span that the run is a part of, if its caller has one.
    pub trace_parent: Option<TraceParent>,
    /// The run of another program's that the run is a part of, if its caller has one.
    pub parent_run: Option<ParentRun>,
    /// Folders of Longshore's own, in which no target lies.
    pub own_folders: &'a [PathBuf],
    /// The clusters that jobs may name; none, if this program can use none.
    pub clusters: Option<Arc<dyn Cluster>>,
}

/// A run that this process works on. No other process does.
pub(super) struct ActiveRun<'a> {
    pub(super) runner: &'a Runner<'a>,
    pub(super) id: &'a str,
    pub(super) job: &'a Job,
    pub(super) destination: Destination,
    pub(super) scratch: Scratch,
    pub(super) registrar: Option<Arc<Registrar>>,
    resolver: Resolver<'a>,
    target_plugins: PluginSet,
    plugins: OnceCell<Arc<PluginSet>>,
    /// The trigger of the run, if it has one.
    pub(super) trigger: Option<Trigger>,
    /// When it began, perhaps in another process.
    pub(super) created: DateTime<Utc>,
    pub(super) control: RunControl,
    /// Whether something of it may be in the target.
    may_be_in_target: AtomicBool,
    /// What its checks came to, if they were judged.
    checks: Mutex<Vec<CheckReport>>,
    _lock: RunLock,
}

impl Runner<'_> {
    /// Opens a run: records it, and opens its target.
    pub(super) async fn open<'a>(
        &'a self,
        id: &'a str,
        job: &'a Job,
        control: RunControl,
    ) -> Result<ActiveRun<'a>, RunEnd> {
        let lock = self.ledger.lock_run(id)?.ok_or_else(|| locked(id))?;
        let is_new = self.ledger.entry(id)?.is_none() && !self.is_resumed;
        let trigger = self.trigger(id)?;
        self.begin(id, job, trigger.as_ref())?;
        // A run that is refused is among the runs, for whoever waits for its end.
        check_target(job, self.own_folders)?;
        cluster_of(job, self.settings, self.clusters.as_ref())?;
        let entry = self.ledger.entry(id)?;
        if entry.as_ref().is_some_and(|entry| entry.parameters != job.parameters) {
            return Err(other_parameters(id).into());
        }
        let created = entry.and_then(|run| DateTime::parse_from_rfc3339(&run.created).ok());
        let pinned = self.ledger.built_by(id)?.plugins;
        let resolver = Resolver { pinned, ..Resolver::new(self.catalog, self.settings) };
        let target_plugins = resolver.resolve_target(job).await?;
        let scratch = Scratch::of(self.settings, id);
        Ok(ActiveRun {
            runner: self,
            id,
            job,
            destination: Destination::open(job, &target_plugins, self.settings, Some(&scratch))
                .await?,
            scratch,
            registrar: Registrar::of(job, &target_plugins).map(Arc::new),
            resolver,
            target_plugins,
            plugins: OnceCell::new(),
            trigger,
            created: created.map_or_else(Utc::now, |created| created.to_utc()),
            control,
            may_be_in_target: AtomicBool::new(!is_new),
            checks: Mutex::default(),
            _lock: lock,
        })
    }

    /// Records a run that begins, unless it has begun before.
    fn begin(&self, id: &str, job: &Job, trigger: Option<&Trigger>) -> Result<()> {
        let new = NewRun {
            id,
            job: &job.name,
            digest: &job.digest,
            file: &job.file,
            parameters: &job.parameters,
            owner: self.owner,
        };
        let tell = self.lineage().begun(id, job, trigger, self.parent_run.as_ref());
        self.ledger.begin_and_tell(&new, tell.as_ref())
    }

    /// What tells others of runs and of what they read and write.
    pub(super) fn lineage(&self) -> RunLineage<'_> {
        RunLineage { settings: &self.settings.lineage, ledger: self.ledger }
    }

    /// What asked for a run, if anybody did.
    pub(super) fn trigger(&self, id: &str) -> Result<Option<Trigger>> {
        Ok(self.ledger.trigger(id)?.map(|entry| entry.trigger))
    }

    /// What happened to a run, as its manifest and its report say.
    pub(super) fn interruptions(&self, id: &str) -> Result<Vec<String>> {
        let events = self.ledger.details(id)?.into_iter().flat_map(|run| run.events);
        // What has changed is told with each relation.
        Ok(events.filter(|event| event.kind.is_none()).map(|event| event.text).collect())
    }
}

impl ActiveRun<'_> {
    pub(super) fn ledger(&self) -> &Ledger {
        self.runner.ledger
    }

    /// The run's phase in the ledger.
    pub(super) fn phase(&self) -> Result<Phase> {
        let entry = self.ledger().entry(self.id)?;
        entry.map(|entry| entry.phase).ok_or_else(|| Error::internal("the run has no entry"))
    }

    /// The job's plugins. Only a run that reads needs those that read: without them, it can still be
    /// published or cleaned up.
    pub(super) async fn plugins(&self) -> Result<&Arc<PluginSet>> {
        let resolve = || async {
            let target = self.target_plugins.clone();
            self.resolver.resolve_rest(self.job, target).await.map(Arc::new)
        };
        self.plugins.get_or_try_init(resolve).await
    }

    pub(super) fn retry(&self) -> Retry {
        Retry::new(self.runner.settings.retry, self.runner.owner)
    }

    pub(super) fn target(&self) -> &dyn Target {
        self.destination.target()
    }

    pub(super) fn commit_targets(&self) -> CommitTargets<'_> {
        CommitTargets { target: self.target(), registrar: self.registrar.as_deref() }
    }

    /// Keeps what the checks came to for the report of a run that fails by them.
    pub(super) fn keep_checks(&self, reports: Vec<CheckReport>) {
        *self.checks.lock() = reports;
    }

    pub(super) fn take_checks(&self) -> Vec<CheckReport> {
        std::mem::take(&mut *self.checks.lock())
    }

    pub(super) fn may_be_in_target(&self) -> bool {
        self.may_be_in_target.load(Ordering::Relaxed)
    }

    pub(super) fn set_in_target(&self) {
        self.may_be_in_target.store(true, Ordering::Relaxed);
    }
}

fn other_parameters(id: &str) -> Error {
    Error::config(format!("run {id} has begun with other values of its job's parameters"))
        .with_hint("run the job anew")
}

/// The end of an attempt to open a run that another process works on.
fn locked(id: &str) -> RunEnd {
    RunEnd::Interrupted(
        Error::config(format!("run {id} is under way in another process"))
            .with_hint(format!("`longshore runs show {id}` tells how far it is")),
    )
}
