//! Checks: measured batch by batch as rows are written. What they come to is known before anything is published.

mod checked_parts;
mod column;
mod kept_rows;
mod measure;
mod meter;
mod quarantine;
mod question;
mod relation_checks;
mod row_check;
mod sample;
mod sum;
#[cfg(test)]
mod tests;
mod value;

pub use checked_parts::{CheckedParts, Keep};
pub use kept_rows::{KeptFile, KeptRows};
pub use measure::{ChunkChecks, Measure};
pub use question::{QuestionRelation, ask, columns_to_keep};
pub use relation_checks::RelationChecks;
pub use row_check::check_regex;
pub use sample::{SAMPLE_LIMIT, Sample};
pub use sum::Sum;
