//! What is told of a run, as JSON.

use longshore_sdk::schema::Schema;
use longshore_sdk::{Error, FinishedLoad, Load, Result};
use serde_json::{Value, json};

use crate::batches::mode;

/// A relation is about to come.
pub(crate) fn begin(load: &Load, schema: &Schema) -> Value {
    let column = |field: &std::sync::Arc<longshore_sdk::schema::Field>| {
        json!({
            "name": field.name(),
            "type": field.data_type().to_string(),
            "nullable": field.is_nullable(),
        })
    };
    json!({
        "event": "begin",
        "run": load.run,
        "relation": load.relation,
        "mode": mode(load.mode),
        "columns": schema.fields().iter().map(column).collect::<Vec<_>>(),
    })
}

/// All was sent: of each chunk, the attempt that counts.
pub(crate) fn commit(run: &str, loads: &[FinishedLoad]) -> Result<Value> {
    let load = |written: &FinishedLoad| {
        let chunks: Vec<Value> = written
            .receipts
            .iter()
            .map(|receipt| serde_json::from_slice(receipt))
            .collect::<Result<_, _>>()
            .map_err(|error| Error::internal(format!("a receipt: {error}")))?;
        Ok(json!({
            "relation": written.load.relation,
            "mode": mode(written.load.mode),
            "chunks": chunks,
        }))
    };
    let relations = loads.iter().map(load).collect::<Result<Vec<_>>>()?;
    Ok(json!({ "event": "commit", "run": run, "relations": relations }))
}

/// The run is over. Without a commit before it, nothing of it counts.
pub(crate) fn end(run: &str) -> Value {
    json!({ "event": "end", "run": run })
}
