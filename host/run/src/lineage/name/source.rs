//! The names of what a job reads.

use longshore_model::config::connector::Connector;
use longshore_model::config::files::Files;
use serde_json::Value;

use super::place::of_place;
use super::query::tables_of_query;
use super::server::Server;
use crate::lineage::dataset::DatasetName;

/// The characters that make a pattern of a path.
const WILDCARDS: [char; 3] = ['*', '?', '['];

/// A table of a connector.
pub(in crate::lineage) fn of_table(connector: &Connector, table: &str) -> DatasetName {
    server(connector).table(table)
}

/// The tables that a query at the source reads, by its text; none of a query that is not understood.
pub(in crate::lineage) fn of_query(connector: &Connector, query: &str) -> Vec<DatasetName> {
    let server = server(connector);
    let tables = tables_of_query(&connector.scheme, query);
    tables.into_iter().map(|parts| server.of_query(parts)).collect()
}

/// Files: the folder that holds them all. Patterns and the folders of partitions are no part of its name.
pub(in crate::lineage) fn of_files(files: &Files, path: &str) -> DatasetName {
    let path = if path.is_empty() { files.sought.name.as_str() } else { path };
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let whole = parts.iter().take_while(|part| !part.contains(WILDCARDS) && !is_partition(part));
    of_place(&files.place, &whole.copied().collect::<Vec<_>>().join("/"))
}

/// `day=2026-11-20`
fn is_partition(part: &str) -> bool {
    part.split_once('=').is_some_and(|(key, _)| !key.is_empty())
}

fn server(connector: &Connector) -> Server {
    let url = connector.config.get("url").and_then(Value::as_str);
    Server::of_url(url.unwrap_or(&connector.scheme))
}
