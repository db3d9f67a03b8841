//! Planning: a job becomes relations, chunks and one physical plan each. Nothing happens here but
//! questions to the source.

mod inputs;
mod planner;
mod planner_thread;
mod pushdown;
mod relation_table;

pub use inputs::{CHUNK_LIMIT, ColumnPlan};
pub use planner::{Planner, RelationPlan, ResumeState, RunPlan};
