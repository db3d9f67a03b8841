//! What happens to rows on their way: SQL by DataFusion, and transforms in the sandbox.

mod component;
mod open_transform;
mod schemas;
mod sql;

pub use component::ComponentTransform;
pub use open_transform::OpenTransform;
pub use schemas::TransformSchemas;
pub(crate) use sql::unit_of;
pub use sql::{
    Rows, SQL_MEMORY_LIMIT_BYTES, SpillingSession, check_condition, check_depth, check_query,
    condition, task_context,
};
