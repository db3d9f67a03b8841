//! Facets: the parts of an event, each with a schema of its own.

use serde_json::{Value, json};

/// Who makes the events.
pub(super) const PRODUCER: &str =
    concat!("https://longshore.dev/releases/", env!("CARGO_PKG_VERSION"));

/// Where the schemas of facets are.
const SCHEMAS: &str = "https://openlineage.io/spec/facets";

/// A facet of the specification: its schema, and what it says.
pub(super) fn facet(version: &str, name: &str, mut says: Value) -> Value {
    says["_producer"] = json!(PRODUCER);
    says["_schemaURL"] = json!(format!("{SCHEMAS}/{version}/{name}.json#/$defs/{name}"));
    says
}
