//! The program: all commands of `longshore`, and those of clusters.

use std::sync::Arc;

use longshore::program::Host;
use longshore_cli::cluster::{
    CertificateOptions, ClusterProgram, ClusterStatus, ExecutorOptions, SchedulerOptions,
};
use longshore_model::config::cluster::ClusterUrl;
use longshore_model::error::Result;
use longshore_run::cluster::Cluster;

use crate::driver::{BallistaClusters, SchedulerClient};
use crate::tls::ClusterTls;
use crate::{certificate, executor, scheduler};

/// Runs the program, and ends the process.
pub fn main() -> ! {
    longshore_cli::commands::main_with(Some(&Ballista))
}

struct Ballista;

impl ClusterProgram for Ballista {
    fn clusters(&self) -> Arc<dyn Cluster> {
        Arc::new(BallistaClusters::default())
    }

    fn certificate(&self, options: &CertificateOptions) -> Result<()> {
        certificate::issue(options)
    }

    fn scheduler(&self, host: &Host, options: SchedulerOptions) -> Result<()> {
        host.threads.io.block_on(scheduler::serve(host, options))
    }

    fn scheduler_beside(&self, host: &Host, options: SchedulerOptions) -> Result<()> {
        host.threads.io.block_on(scheduler::serve_beside(host, options))
    }

    fn status(&self, host: &Host, url: &ClusterUrl) -> Result<ClusterStatus> {
        let tls = ClusterTls::read(&host.settings.cluster)?;
        let hello =
            host.threads.io.block_on(async { SchedulerClient::new(url, &tls)?.greet().await })?;
        Ok(hello.status(url))
    }

    fn executor(&self, host: &Host, options: ExecutorOptions) -> Result<()> {
        host.threads.io.block_on(executor::serve(host, options))
    }
}
