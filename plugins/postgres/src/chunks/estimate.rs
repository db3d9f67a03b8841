//! What the optimiser expects of a statement: EXPLAIN, which reads no rows.

use std::collections::BTreeSet;

use longshore_sdk::Result;
use serde_json::Value;

use crate::session::Session;
use longshore_postgres_client::fault;

/// The optimiser's expectations.
#[derive(Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// Whether some table is read from end to end.
    pub(super) reads_all: bool,
    /// The tables that are read, schema and name.
    pub(super) tables: BTreeSet<(String, String)>,
}

/// What is expected of a statement.
pub(super) fn estimate(session: &mut Session, select: &str) -> Result<Estimate> {
    Ok(read(&explain(session, select)?))
}

/// The plan of a statement.
pub(super) fn explain(session: &mut Session, select: &str) -> Result<Value> {
    let rows = session.query(&format!("EXPLAIN (VERBOSE, FORMAT JSON) {select}"))?;
    let lines: Vec<String> = rows.into_iter().flatten().flatten().collect();
    let mut plans: Value = serde_json::from_str(&lines.join("\n"))
        .map_err(|_| fault::protocol("a plan that is not JSON"))?;
    Ok(plans[0]["Plan"].take())
}

fn read(plan: &Value) -> Estimate {
    let number = |key: &str| plan[key].as_f64().unwrap_or(0.0).max(0.0) as u64;
    let rows = number("Plan Rows");
    let mut estimate = Estimate {
        rows,
        bytes: rows.saturating_mul(number("Plan Width")),
        reads_all: false,
        tables: BTreeSet::new(),
    };
    let mut nodes = vec![plan];
    while let Some(node) = nodes.pop() {
        let text = |key: &str| node[key].as_str().unwrap_or_default();
        estimate.reads_all |= text("Node Type") == "Seq Scan";
        if !text("Relation Name").is_empty() {
            estimate.tables.insert((text("Schema").to_owned(), text("Relation Name").to_owned()));
        }
        nodes.extend(node["Plans"].as_array().into_iter().flatten());
    }
    estimate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_tells_its_rows_and_which_tables_it_reads_how() {
        let node = |kind: &str, table: &str| serde_json::json!({ "Node Type": kind, "Schema": "s", "Relation Name": table });
        let plan = |first: &str| {
            serde_json::json!({
                "Node Type": "Append", "Plan Rows": 100, "Plan Width": 8,
                "Plans": [node(first, "a"), { "Node Type": "Sort", "Plans": [node("Index Scan", "b")] }],
            })
        };
        let estimate = read(&plan("Index Scan"));
        assert_eq!((estimate.rows, estimate.bytes, estimate.reads_all), (100, 800, false));
        assert_eq!(estimate.tables.len(), 2);
        assert!(read(&plan("Seq Scan")).reads_all);
    }
}
