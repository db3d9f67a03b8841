//! What happens to rows on their way: SQL by DataFusion, and transforms in the sandbox.

mod component;
mod open_transform;
mod schemas;
mod sql;

pub use component::ComponentTransform;
pub use open_transform::OpenTransform;
pub use schemas::TransformSchemas;
pub use sql::{
    Rows, SpillingSession, SqlTurn, check_condition, check_depth, check_query, condition,
    task_context,
};
pub(crate) use sql::{TABLE, unit_of, with_sort_joins};
