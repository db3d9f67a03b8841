//! Schema drift: the columns that a source gives, beside those that the target holds. Nothing here reads or
//! writes anything.

mod alignment;
mod change;
mod column_record;
mod promotion;
#[cfg(test)]
mod tests;

pub use alignment::{AlignedColumn, Alignment, Expectation, Outcome, Refusal, Rule};
pub use column_record::{ColumnRecord, schema_digest};
pub use promotion::{Fit, fit};
