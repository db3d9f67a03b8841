//! The description of a relation before it is read, and the plan of its scan.

use std::collections::BTreeSet;

use arrow::datatypes::SchemaRef;
use longshore_model::relation::Consistency;
use longshore_model::watermark::Window;
use longshore_sandbox::{Column, Scan};
use serde::{Deserialize, Serialize};

use super::chunk::Chunk;

/// A relation's schema, columns and estimated size.
#[derive(Clone, Debug)]
pub struct RelationDescription {
    /// Its schema.
    pub schema: SchemaRef,
    /// One for each field.
    pub columns: Vec<Column>,
    /// The places of columns of which nothing but NULL was seen: their types are guesses.
    pub untyped: BTreeSet<usize>,
    /// Estimated rows.
    pub rows: Option<u64>,
    /// Estimated bytes at the source.
    pub bytes: Option<u64>,
}

/// A scan, divided into chunks. The ledger stores it, and its chunks apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScanPlan {
    /// The position of the relation's input that is read.
    #[serde(default)]
    pub input: usize,
    /// The columns, if not all.
    pub projection: Option<Vec<String>>,
    /// The condition, in the source's language.
    pub filter: Option<String>,
    /// The most rows.
    pub limit: Option<u64>,
    /// The rows that the run loads, if the relation is incremental.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// The consistency of the chunks.
    pub consistency: Consistency,
    /// How the relation was divided, and why.
    pub strategy: String,
    /// The chunks.
    #[serde(skip)]
    pub chunks: Vec<Chunk>,
    /// Whether a chunk is only known to be right when the one before is read to its end. A plan in the
    /// ledger has allowed for that.
    #[serde(skip)]
    pub depends_on_previous: bool,
}

impl ScanPlan {
    /// The plan of a scan of the first input, in these chunks.
    pub(crate) fn new(
        scan: &Scan,
        chunks: Vec<Chunk>,
        consistency: Consistency,
        strategy: String,
    ) -> Self {
        let Scan { projection, filter, limit, .. } = scan.clone();
        let (input, window, depends_on_previous) = (0, None, false);
        Self {
            input,
            projection,
            filter,
            limit,
            window,
            consistency,
            strategy,
            chunks,
            depends_on_previous,
        }
    }

    /// Whether it is a plan of this scan.
    pub fn is_of(&self, scan: &Scan) -> bool {
        (&self.projection, &self.filter, &self.limit)
            == (&scan.projection, &scan.filter, &scan.limit)
    }
}
