//! The description of a relation before it is read, and its scan, cut into chunks.

use arrow::datatypes::SchemaRef;
use longshore_model::relation::Consistency;
use longshore_sandbox::{Column, Scan};

use super::chunk::Chunk;

/// A relation's schema, columns and estimated size.
#[derive(Clone, Debug)]
pub struct Described {
    /// Its schema.
    pub schema: SchemaRef,
    /// One for each field.
    pub columns: Vec<Column>,
    /// Estimated rows.
    pub rows: Option<u64>,
    /// Estimated bytes at the source.
    pub bytes: Option<u64>,
}

/// A scan, cut into chunks.
#[derive(Clone, Debug)]
pub struct Scanned {
    /// Which of the relation's inputs is read.
    pub input: usize,
    /// What was asked for.
    pub scan: Scan,
    /// The chunks.
    pub chunks: Vec<Chunk>,
    /// What they will see.
    pub consistency: Consistency,
    /// How the relation was cut and why.
    pub strategy: String,
    /// Whether a chunk is only known to be right when the one before is read to its end.
    pub depends_on_previous: bool,
}
