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
//! `store` is how stores of files are reached, whoever reads or writes in them.
//!
//! Beside it stand `conform`, which is what a component of any language is held against, and `tape`:
//! what crossed into a component is kept, and run again.
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
pub mod numbers;
pub mod plan;
pub mod plugin;
pub mod run;
pub mod sandbox;
pub mod scan;
mod store;
pub mod tape;
pub mod target;
pub mod transform;
pub mod write;
