//! What a plan is made of, along the way of the data: `scan` reads chunks, `transform` changes rows, `write`
//! makes parts of them in a `destination`. `plan` puts these together; one DataFusion physical plan a relation.
//!
//! Beside them: `ipc` is what crosses into a component and back, `store` is how stores of files are reached by
//! whoever reads or writes in them, `load_mode` joins rows with those that are there, `catalog` makes tables of
//! folders, `check` measures rows as they are written, `drift` compares columns with those of a target,
//! `decimal_width` is about decimals of few digits, `incremental` about relations that are loaded piece by piece,
//! `lineage` tells which columns come from which, `spill` is the memory and disk of SQL, and `plan_node` what nodes of
//! plans have in common.

mod batch;
pub mod catalog;
pub mod check;
pub mod datafusion_fault;
pub mod decimal_width;
pub mod destination;
pub mod drift;
#[cfg(test)]
mod fuzz;
pub mod incremental;
pub mod ipc;
pub mod lineage;
pub mod load_mode;
pub mod plan;
pub mod plan_node;
mod pool;
pub mod scan;
mod sound_values;
mod spill;
mod store;
pub mod transform;
pub mod write;
