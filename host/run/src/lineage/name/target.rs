//! The names of what a job writes.

use longshore_model::config::register::Register;
use longshore_model::config::target::{Sink, Target, To};
use serde_json::Value;

use super::place::of_place;
use super::server::Server;
use crate::lineage::dataset::DatasetName;

/// What stands for the relation in the URL of a sink.
const RELATION: &str = "{relation}";

/// A relation's folder, or its table: one name for all versions.
pub(in crate::lineage) fn of_relation(target: &Target, relation: &str) -> DatasetName {
    match &target.to {
        To::Folder(place, _) => of_place(place, target.file.as_deref().unwrap_or(relation)),
        To::Sink(sink) => of_sink(sink, relation),
    }
}

/// The table of a catalog that a relation's folder becomes.
pub(in crate::lineage) fn of_registered(register: &Register, relation: &str) -> DatasetName {
    let url = register.connector.config.get("url").and_then(Value::as_str);
    Server::of_url(url.unwrap_or(&register.connector.scheme)).exactly(&relation.to_lowercase())
}

fn of_sink(sink: &Sink, relation: &str) -> DatasetName {
    let text = |key: &str| sink.config.get(key).and_then(Value::as_str);
    let url = text("url").unwrap_or(&sink.scheme);
    // Braces have other characters in a URL that was read.
    let filled = url.replace(RELATION, relation);
    let server = Server::of_url(&filled).with_schema(text("schema"));
    if filled == url { server.exactly(relation) } else { server.itself() }
}
