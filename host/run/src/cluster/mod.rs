//! Runs whose rows are read and written by other machines. This process stays the driver: it plans, keeps the
//! snapshot and the ledger, decides what is tried again, and commits. A cluster is only asked for attempts.

mod executor_run;
mod run_spec;

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::physical_plan::ExecutionPlan;
use longshore_engine::scan::ReadAmount;
use longshore_engine::write::WriteResult;
use longshore_model::config::cluster::{ClusterSettings, ClusterUrl};
use longshore_model::config::{Job, Settings};
use longshore_model::error::{Error, Result};
use serde::{Deserialize, Serialize};

pub use executor_run::{ExecutorRun, WholePlan};
pub use run_spec::RunSpec;

/// Clusters: machines that carry out attempts at tasks.
#[async_trait]
pub trait Cluster: Debug + Send + Sync {
    /// Hands a run that is planned to the cluster of a URL. It lets go of the run when what this gives is dropped.
    /// Files that attempts write for later steps of the run arrive in `scratch`, which may not be there yet.
    async fn open(
        &self,
        url: &ClusterUrl,
        settings: &ClusterSettings,
        spec: RunSpec,
        plugins: Vec<PluginFile>,
        scratch: &Path,
    ) -> Result<Arc<dyn ClusterRun>>;
}

/// The file of a plugin.
#[derive(Clone, Debug)]
pub struct PluginFile {
    /// SHA-256 of the component, in hex.
    pub digest: String,
    /// Where it lies.
    pub path: PathBuf,
}

/// The cluster that carries a job out, if one does; without `clusters`, this program cannot use any.
pub fn cluster_of<'a>(
    job: &'a Job,
    settings: &'a Settings,
    clusters: Option<&Arc<dyn Cluster>>,
) -> Result<Option<&'a ClusterUrl>> {
    let Some(url) = job.cluster.as_ref().or(settings.cluster.url.as_ref()) else { return Ok(None) };
    if clusters.is_none() {
        return Err(Error::config(format!(
            "this program was built without clusters, and {url} is one"
        ))
        .with_hint("run it by `longshore-cluster`, or leave `cluster` out"));
    }
    settings.cluster.tls_folder()?;
    Ok(Some(url))
}

/// A run that a cluster carries out.
#[async_trait]
pub trait ClusterRun: Send + Sync {
    /// Runs an attempt at a task; gives what it wrote, one partition after the other. A relation that is made as a
    /// whole comes with its plan, which may be cut up. `on_news` receives progress. Dropping the future cancels the
    /// attempt, wherever it runs.
    async fn attempt(
        &self,
        order: AttemptOrder,
        whole: Option<Arc<dyn ExecutionPlan>>,
        on_news: &(dyn Fn(AttemptNews) + Send + Sync),
    ) -> Result<Vec<WriteResult>>;
}

/// What a cluster tells of an attempt that is running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptNews {
    /// The executor of this name has begun it, or a part of it. It may be said more than once.
    Begun(String),
    /// So much more is read.
    Read(ReadAmount),
}

/// Which attempt at which task of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AttemptOrder {
    /// The position of the relation in the job.
    pub relation: usize,
    /// The chunk; 0 where the relation is made as a whole.
    pub chunk: usize,
    /// The number of the attempt, as the ledger has it.
    pub attempt: u32,
    /// Whether it makes do with little memory, since rows did not fit before.
    pub is_frugal: bool,
}
