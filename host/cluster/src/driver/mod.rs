//! The driver's side: it hands attempts to a scheduler, serves the executors that take them, and hears from these what
//! comes of them. The scheduler only knows which attempt is next.

mod attempts;
mod cluster;
mod members;
mod run;
mod scheduler_client;
mod scratch;
mod service;

pub(crate) use cluster::BallistaClusters;
pub(crate) use scheduler_client::SchedulerClient;
