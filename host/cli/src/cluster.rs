//! What a program can do with clusters, if it was built with them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use longshore::program::Host;
use longshore_model::config::cluster::ClusterUrl;
use longshore_model::error::Result;
use longshore_run::cluster::Cluster;
use serde::{Deserialize, Serialize};

/// A program with clusters.
pub trait ClusterProgram: Sync {
    /// The clusters that runs may go to.
    fn clusters(&self) -> Arc<dyn Cluster>;

    /// Makes the certificate of a process.
    fn certificate(&self, options: &CertificateOptions) -> Result<()>;

    /// Serves as a scheduler until a signal ends it.
    fn scheduler(&self, host: &Host, options: SchedulerOptions) -> Result<()>;

    /// Serves as a scheduler beside the other work of this process, for as long as that runs.
    fn scheduler_beside(&self, host: &Host, options: SchedulerOptions) -> Result<()>;

    /// Asks the scheduler of a URL who belongs to its cluster.
    fn status(&self, host: &Host, scheduler: &ClusterUrl) -> Result<ClusterStatus>;

    /// Serves as an executor until a signal ends it.
    fn executor(&self, host: &Host, options: ExecutorOptions) -> Result<()>;
}

/// Who belongs to a cluster.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterStatus {
    /// The URL of its scheduler.
    pub scheduler: String,
    /// The version of Longshore of all its members.
    pub version: String,
    /// Its executors, by their names.
    pub executors: Vec<ExecutorStatus>,
}

/// An executor of a cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExecutorStatus {
    /// Its name.
    pub name: String,
    /// Where the others reach it.
    pub address: String,
    /// How many attempts it carries out at a time.
    pub slots: u32,
}

/// A certificate of a cluster.
#[derive(Clone, Debug)]
pub struct CertificateOptions {
    /// The folder of the cluster's authority; it is made the first time.
    pub authority: PathBuf,
    /// The folder of the certificate.
    pub out: PathBuf,
    /// The names and IP addresses by which others reach the process; at least one.
    pub hosts: Vec<String>,
    /// How long it is good.
    pub days: u32,
}

/// How a scheduler serves.
#[derive(Clone, Debug)]
pub struct SchedulerOptions {
    /// The address that it listens on.
    pub listen: SocketAddr,
}

/// How an executor serves.
#[derive(Clone, Debug)]
pub struct ExecutorOptions {
    /// Its scheduler.
    pub scheduler: ClusterUrl,
    /// Attempts at the same time.
    pub slots: usize,
    /// The address at which other executors ask for rows; the one towards the scheduler, if absent.
    pub listen: Option<SocketAddr>,
    /// What it is called; its address, if absent.
    pub name: Option<String>,
    /// How long a stop lets attempts finish.
    pub drain_secs: u64,
}
