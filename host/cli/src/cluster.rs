//! What a program can do with clusters, if it was built with them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use longshore::program::Host;
use longshore_model::config::cluster::ClusterUrl;
use longshore_model::error::Result;
use longshore_run::cluster::Cluster;

/// A program with clusters.
pub trait ClusterProgram: Sync {
    /// The clusters that runs may go to.
    fn clusters(&self) -> Arc<dyn Cluster>;

    /// Makes the certificate of a process.
    fn certificate(&self, options: &CertificateOptions) -> Result<()>;

    /// Serves as a scheduler until a signal ends it.
    fn scheduler(&self, host: &Host, options: SchedulerOptions) -> Result<()>;

    /// Serves as an executor until a signal ends it.
    fn executor(&self, host: &Host, options: ExecutorOptions) -> Result<()>;
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
