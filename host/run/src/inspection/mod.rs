//! Looking at a job without running it: whether it is valid, what it would do, its first rows, whether its source
//! answers. Commands and the API ask the same.

mod connection;
mod existing;
mod plan;
mod preview;
mod understood;
mod validate;

pub use connection::{ConnectionTest, test_connection};
pub use existing::{ExistingFiles, existing_files};
pub use plan::{grants, plan, plan_json, published_columns};
pub(crate) use preview::first_rows;
pub use preview::{RelationPreview, preview, rows_as_texts, shown_column};
pub use understood::understood;
pub use validate::{Validation, validate, validate_with};
