//! Checks: measured batch by batch as rows are written. What they come to is known before anything is published.

mod checked_parts;
mod column;
mod measure;
mod meter;
mod relation_checks;
mod row_check;
mod sample;
#[cfg(test)]
mod tests;
mod value;

pub use checked_parts::CheckedParts;
pub use measure::{ChunkChecks, Measure};
pub use relation_checks::RelationChecks;
pub use row_check::check_regex;
pub use sample::{SAMPLE_LIMIT, Sample};
