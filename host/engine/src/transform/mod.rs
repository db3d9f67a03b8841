//! What happens to rows on their way: SQL by DataFusion, and transforms in the sandbox.

mod component;
mod sql;

pub use component::ComponentTransform;
pub use sql::{Rows, check_query, task_context};
