//! `longshore cluster`: the scheduler and the executors of a cluster.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use longshore_model::config::cluster::{ClusterUrl, SCHEDULER_PORT};
use longshore_model::config::settings::cores;
use longshore_model::error::{Error, Result};

use super::app::App;
use crate::cluster::{CertificateOptions, ClusterProgram, ExecutorOptions, SchedulerOptions};

/// How long a certificate is good, unless somebody says.
const CERTIFICATE_DAYS: u32 = 365;

/// How long a stop lets attempts finish, unless somebody says.
const DRAIN_SECS: u64 = 30;

#[derive(Subcommand)]
pub(super) enum ClusterCommand {
    /// Make the certificate of a machine: its processes and those of the cluster know each other by it
    Certificate(CertificateArgs),
    /// Hand the chunks of runs to executors
    Scheduler(SchedulerArgs),
    /// Read and write chunks for the runs of other machines
    Executor(ExecutorArgs),
}

#[derive(Args)]
pub(super) struct CertificateArgs {
    /// The names and IP addresses by which others reach the machine
    #[arg(required = true, value_name = "HOST")]
    hosts: Vec<String>,
    /// The folder of the cluster's authority, made the first time. Who can read its key can join the cluster
    #[arg(long, value_name = "DIR")]
    authority: PathBuf,
    /// The folder to write ca.pem, cert.pem and key.pem to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How many days it is good
    #[arg(long, value_name = "DAYS", default_value_t = CERTIFICATE_DAYS, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    days: u32,
}

#[derive(Args)]
pub(super) struct SchedulerArgs {
    /// The address to listen on
    #[arg(
        long,
        env = "LONGSHORE_CLUSTER_LISTEN",
        value_name = "ADDR",
        default_value_t = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), SCHEDULER_PORT)
    )]
    listen: SocketAddr,
}

#[derive(Args)]
pub(super) struct ExecutorArgs {
    /// The scheduler, such as https://scheduler:50050
    #[arg(long, env = "LONGSHORE_CLUSTER_SCHEDULER", value_name = "URL")]
    scheduler: String,
    /// How many chunks to work on at the same time [default: the cores]
    #[arg(long, value_name = "N")]
    slots: Option<usize>,
    /// The address at which other executors ask for rows [default: the one towards the scheduler, and a free port]
    #[arg(long, env = "LONGSHORE_CLUSTER_LISTEN", value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// What to call it where people look [default: its address]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// How long a stop lets chunks finish
    #[arg(long, value_name = "SECS", default_value_t = DRAIN_SECS)]
    drain_secs: u64,
}

pub(super) fn cluster(
    app: &App,
    program: Option<&dyn ClusterProgram>,
    command: ClusterCommand,
) -> Result<()> {
    let program = program.ok_or_else(|| {
        Error::config("this program was built without clusters").with_hint(
            "call `longshore-cluster cluster ..`: it comes with the package of that name",
        )
    })?;
    match command {
        ClusterCommand::Certificate(CertificateArgs { hosts, authority, out, days }) => {
            program.certificate(&CertificateOptions { authority, out, hosts, days })
        }
        ClusterCommand::Scheduler(SchedulerArgs { listen }) => {
            program.scheduler(&app.host, SchedulerOptions { listen })
        }
        ClusterCommand::Executor(args) => program.executor(&app.host, args.check()?),
    }
}

impl ExecutorArgs {
    fn check(self) -> Result<ExecutorOptions> {
        let Self { scheduler, slots, listen, name, drain_secs } = self;
        let slots = slots.unwrap_or_else(cores);
        if slots == 0 {
            return Err(Error::config("`--slots` is 0").with_hint("give 1 or more"));
        }
        let scheduler = ClusterUrl::parse("--scheduler", &scheduler)?;
        Ok(ExecutorOptions { scheduler, slots, listen, name, drain_secs })
    }
}
