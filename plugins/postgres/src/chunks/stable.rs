//! Whether a view or a query gives the same rows each time it is asked: only then it can be cut. The
//! optimiser is asked, which sees through views.

use std::collections::BTreeSet;

use longshore_postgres_client::quote_literal;
use longshore_sdk::sql::{self, Kind, Lexis};
use longshore_sdk::{Relation, Result};
use serde_json::Value;

use super::estimate::explain;
use crate::relation::{Form, Table};
use crate::session::Session;

/// Steps of a plan that give the same rows each time, if their expressions do.
const STEADY_NODES: &[&str] = &[
    "Seq Scan",
    "Index Scan",
    "Index Only Scan",
    "Bitmap Heap Scan",
    "Bitmap Index Scan",
    "BitmapAnd",
    "BitmapOr",
    "Tid Scan",
    "Tid Range Scan",
    "Append",
    "Merge Append",
    "Nested Loop",
    "Hash Join",
    "Merge Join",
    "Hash",
    "Sort",
    "Incremental Sort",
    "Materialize",
    "Memoize",
    "Gather",
    "Gather Merge",
    "Result",
    "ProjectSet",
    "Subquery Scan",
    "Aggregate",
    "Group",
    "SetOp",
    "CTE Scan",
    "Recursive Union",
    "WorkTable Scan",
    "Function Scan",
];

/// Keys of a plan's steps that hold names and no expressions.
const NAME_KEYS: &[&str] = &[
    "Node Type",
    "Relation Name",
    "Schema",
    "Alias",
    "Index Name",
    "Function Name",
    "CTE Name",
    "Subplan Name",
];

/// Words that are another moment in each transaction.
const CLOCK_WORDS: &[&str] =
    &["CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP"];

/// Texts that the server takes for a moment when it reads a statement.
const CLOCK_TEXTS: &[&str] = &["now", "today", "tomorrow", "yesterday"];

/// Why a relation may give other rows when it is asked again; nothing if it cannot.
pub(super) fn why_not(
    session: &mut Session,
    table: &Table,
    relation: &Relation,
) -> Result<Option<String>> {
    if matches!(table.form, Form::Table { .. }) {
        return Ok(None);
    }
    if let Relation::Query(query) = relation
        && let Some(text) = clock_text(query)?
    {
        return Ok(Some(format!("{text} is another moment for each chunk")));
    }
    let plan = explain(session, &format!("SELECT * FROM {}", table.from))?;
    let mut called = BTreeSet::new();
    let mut nodes = vec![&plan];
    while let Some(node) = nodes.pop() {
        let kind = node["Node Type"].as_str().unwrap_or_default();
        if !STEADY_NODES.contains(&kind) {
            return Ok(Some(format!(
                "its plan has the step {kind}, which may give other rows each time"
            )));
        }
        for (key, value) in node.as_object().into_iter().flatten() {
            if key == "Plans" {
                nodes.extend(value.as_array().into_iter().flatten());
            } else if !NAME_KEYS.contains(&key.as_str())
                && let Some(word) = functions(value, &mut called)?
            {
                return Ok(Some(format!("{word} is another moment for each chunk")));
            }
        }
        if let Some(name) = node["Function Name"].as_str() {
            called.insert(name.to_owned());
        }
    }
    changing_function(session, &called)
}

fn clock_text(query: &str) -> Result<Option<&str>> {
    let tokens = sql::tokens(query, Lexis::POSTGRESQL)?;
    let is_clock = |text: &str| {
        let inner = text.trim_matches('\'').trim().to_ascii_lowercase();
        CLOCK_TEXTS.contains(&inner.as_str())
    };
    Ok(tokens
        .iter()
        .find(|token| token.kind == Kind::Text && is_clock(token.text))
        .map(|token| token.text))
}

/// Collects the names of functions in expressions; a word for the clock, if there is one.
fn functions(value: &Value, called: &mut BTreeSet<String>) -> Result<Option<String>> {
    match value {
        Value::String(text) => {
            // What the optimiser shortens is no SQL: then nothing is known of it.
            let Ok(tokens) = sql::tokens(text, Lexis::POSTGRESQL) else {
                return Ok(Some(text.clone()));
            };
            for (at, token) in tokens.iter().enumerate() {
                if CLOCK_WORDS.iter().any(|word| token.is(word)) {
                    return Ok(Some(token.text.to_owned()));
                }
                let calls = tokens.get(at + 1).is_some_and(|next| next.text == "(");
                match token.kind {
                    Kind::Word if calls => drop(called.insert(token.text.to_lowercase())),
                    Kind::Name if calls => {
                        let name = token.text.trim_matches('"').replace("\"\"", "\"");
                        called.insert(name);
                    }
                    _ => {}
                }
            }
            Ok(None)
        }
        Value::Array(items) => {
            for item in items {
                if let Some(word) = functions(item, called)? {
                    return Ok(Some(word));
                }
            }
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// A function among these that may give another result in another transaction. Stable is not enough: each
/// chunk has a transaction of its own.
fn changing_function(session: &mut Session, called: &BTreeSet<String>) -> Result<Option<String>> {
    if called.is_empty() {
        return Ok(None);
    }
    let names: Vec<String> = called.iter().map(|name| quote_literal(name)).collect();
    let rows = session.query(&format!(
        "SELECT p.proname FROM pg_catalog.pg_proc p WHERE p.proname IN ({}) AND NOT (p.provolatile = 'i' \
           OR p.provolatile = 's' AND p.pronamespace = 'pg_catalog'::regnamespace \
              AND p.proname !~ '^(pg_|txid_|inet_client_)' AND p.proname NOT IN ('now', 'transaction_timestamp', 'age')) \
         ORDER BY 1 LIMIT 1",
        names.join(", ")
    ))?;
    let name = rows.into_iter().flatten().flatten().next();
    Ok(name.map(|name| format!("{name}() may give something else each time")))
}
