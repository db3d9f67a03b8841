//! What a run would do, as a program looks at it.

use longshore_model::error::Result;
use longshore_model::relation::Consistency;
use serde::Deserialize;
use serde_json::Value;

/// What a run would do: what `longshore plan --json` prints.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// The job's name.
    pub job: String,
    /// The target's URL.
    pub target: String,
    /// What the run would see of the source.
    pub consistency: Consistency,
    /// How many chunks are read at the same time.
    pub parallel: usize,
    /// What the plugins may reach.
    pub grants: Vec<String>,
    /// The relations, in the job's order.
    pub relations: Vec<PlannedRelation>,
    #[serde(skip)]
    json: Value,
}

/// What a run would do with a relation.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct PlannedRelation {
    /// Its name in the job.
    pub name: String,
    /// Its estimated rows at the source.
    pub rows: Option<u64>,
    /// Its estimated bytes at the source.
    pub bytes: Option<u64>,
    /// Whether each chunk is made alone; else its SQL needs all rows.
    pub chunkwise: bool,
    /// Its columns at the source.
    pub columns: Vec<SourceColumn>,
    /// Its columns in the target.
    pub published: Vec<PublishedColumn>,
    /// How it is read: a scan for each table or query in it.
    pub scans: Vec<PlannedScan>,
    /// Its physical plan, in words for people.
    pub plan: String,
}

/// A column at the source.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct SourceColumn {
    /// Its name.
    pub name: String,
    /// Its type there.
    pub source_type: String,
    /// Its type in Arrow.
    #[serde(rename = "type")]
    pub arrow_type: String,
    /// What of its values cannot be kept.
    pub lossy: Option<String>,
}

/// A column in the target.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct PublishedColumn {
    /// Its name.
    pub name: String,
    /// Its type in Arrow.
    #[serde(rename = "type")]
    pub arrow_type: String,
    /// Its type in Parquet.
    pub parquet: String,
}

/// How a table or a query is read.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct PlannedScan {
    /// Its name.
    pub input: String,
    /// How it is cut, in words for people.
    pub strategy: String,
    /// The columns that the source is asked for; all if absent.
    pub projection: Option<Vec<String>>,
    /// The condition that the source is asked for.
    pub filter: Option<String>,
    /// Its chunks.
    pub chunks: Vec<PlannedChunk>,
}

/// A chunk.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct PlannedChunk {
    /// What the connector calls it.
    pub label: String,
    /// Its rows, or an estimate of them.
    pub rows: Option<u64>,
    /// Its bytes, or an estimate of them.
    pub bytes: Option<u64>,
}

impl Plan {
    pub(crate) fn of_json(json: Value) -> Result<Self> {
        Ok(Self { json: json.clone(), ..serde_json::from_value(json)? })
    }

    /// All of it, as `longshore plan --json` prints it.
    pub fn to_json(&self) -> &Value {
        &self.json
    }
}
