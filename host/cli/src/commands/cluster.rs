//! `longshore cluster`: the scheduler and the executors of a cluster.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use longshore_model::config::cluster::{ClusterUrl, SCHEDULER_PORT};
use longshore_model::config::settings::cores;
use longshore_model::error::{Error, Result};
use longshore_model::format::counted;

use super::app::App;
use super::show;
use super::table::Table;
use crate::cluster::{
    CertificateOptions, ClusterProgram, ExecutorOptions, ExecutorStatus, SchedulerOptions,
};

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
    /// Show the executors of the cluster that --cluster or the settings name
    Status,
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
    let program = built_with_clusters(program)?;
    match command {
        ClusterCommand::Certificate(CertificateArgs { hosts, authority, out, days }) => {
            program.certificate(&CertificateOptions { authority, out, hosts, days })
        }
        ClusterCommand::Scheduler(SchedulerArgs { listen }) => {
            program.scheduler(&app.host, SchedulerOptions { listen })
        }
        ClusterCommand::Executor(args) => program.executor(&app.host, args.check()?),
        ClusterCommand::Status => status(app, program),
    }
}

/// The program, if it was built with clusters.
pub(super) fn built_with_clusters(
    program: Option<&dyn ClusterProgram>,
) -> Result<&dyn ClusterProgram> {
    program.ok_or_else(|| {
        Error::config("this program was built without clusters")
            .with_hint("call `longshore-cluster` with the same arguments; `make cluster` builds it")
    })
}

fn status(app: &App, program: &dyn ClusterProgram) -> Result<()> {
    let scheduler = app.settings.cluster.url.as_ref().ok_or_else(|| {
        Error::config("no cluster is named").with_hint("name its scheduler with --cluster URL")
    })?;
    let status = program.status(&app.host, scheduler)?;
    if app.json {
        show::json(&status);
        return Ok(());
    }
    let slots: u32 = status.executors.iter().map(|executor| executor.slots).sum();
    let executors = counted(status.executors.len() as u64, "executor");
    let slots = counted(slots.into(), "slot");
    let mut text =
        format!("{} (Longshore {}): {executors}, {slots}\n", status.scheduler, status.version);
    if !status.executors.is_empty() {
        let mut table = Table::new(&["EXECUTOR", "ADDRESS", "SLOTS"]).align_right(2);
        for ExecutorStatus { name, address, slots } in status.executors {
            table.add([name, address, slots.to_string()]);
        }
        text.push_str(&table.to_text());
    }
    show::answer(&text);
    Ok(())
}

/// The most slots of an executor.
const SLOTS_LIMIT: usize = 1_024;

/// The longest name of an executor.
const NAME_LIMIT_BYTES: usize = 200;

/// It stands in logs and tables.
fn check_name(name: &str) -> Result<()> {
    if name.trim().is_empty() || name.len() > NAME_LIMIT_BYTES || name.contains(char::is_control) {
        let text = format!("`--name` is no name of at most {NAME_LIMIT_BYTES} bytes");
        return Err(Error::config(text).with_hint("give a word, such as the name of the machine"));
    }
    Ok(())
}

impl ExecutorArgs {
    fn check(self) -> Result<ExecutorOptions> {
        let Self { scheduler, slots, listen, name, drain_secs } = self;
        let slots = slots.unwrap_or_else(cores);
        if !(1..=SLOTS_LIMIT).contains(&slots) {
            let text = format!("`--slots` is not from 1 to {SLOTS_LIMIT}");
            return Err(Error::config(text).with_hint("give as many as the machine has cores"));
        }
        if let Some(name) = &name {
            check_name(name)?;
        }
        let scheduler = ClusterUrl::parse("--scheduler", &scheduler)?;
        Ok(ExecutorOptions { scheduler, slots, listen, name, drain_secs })
    }
}
