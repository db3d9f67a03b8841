//! Longshore moves tables and query results out of databases into a data lake.
//!
//! The way of the data, which is also the way through this crate:
//!
//! ```text
//! job file -> config -> plan (relations, chunks) -> one DataFusion physical plan a relation
//!    scan (ChunkScan) -> transform (SQL, components) -> write (PartWriter)
//!                                                          |
//!                               run: tasks, retries, commit -> target -> manifest
//! ```
//!
//! Beside it stands `conform`: what a component of any language is held against.
//!
//! Arrows point one way: `daemon, cli -> run -> plan, scan, transform, write, target -> plugin ->
//! sandbox -> capability`. Only `sandbox` knows of wasmtime, and it knows nothing of jobs.

pub mod capability;
pub mod cli;
pub mod config;
pub mod conform;
pub mod daemon;
pub mod error;
pub mod ledger;
pub mod memory;
pub mod plan;
pub mod plugin;
pub mod run;
pub mod sandbox;
pub mod scan;
pub mod target;
pub mod transform;
pub mod write;
