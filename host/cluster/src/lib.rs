//! Clusters: the same runs, read and written by several machines. Apache DataFusion Ballista hands the work out; the
//! rest of Longshore knows it by one interface, `longshore_run::cluster`.
//!
//! A driver plans a run, and submits its attempts to the scheduler. Executors ask the scheduler for them, and the
//! driver for all else: what the run is, its plugins, its secrets. They tell the driver what they wrote, and the driver
//! commits.

mod address;
mod certificate;
mod config;
mod driver;
mod executor;
mod executor_id;
mod http;
mod limits;
mod message;
mod plan;
mod program;
mod scheduler;
mod server;
mod tls;

pub use program::main;
