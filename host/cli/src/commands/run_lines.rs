//! Lines of a run, from the records that the ledger and the API give of it as JSON.

use serde_json::Value;

/// What an executor does for a run.
pub(super) fn executor_text(executor: &Value) -> String {
    let mut line = format!("executor {}: {} done", text(executor, "executor"), executor["done"]);
    for what in ["running", "failed"] {
        if let Some(count) = executor[what].as_u64().filter(|count| *count > 0) {
            line += &format!(", {count} {what}");
        }
    }
    line
}

/// An attempt that has failed, was left, or is running.
pub(super) fn attempt_text(attempt: &Value, is_over: bool) -> String {
    let on = attempt["executor"].as_str().map(|name| format!(" on {name}")).unwrap_or_default();
    let end = match (attempt["class"].as_str(), attempt["error"].as_str()) {
        (Some(class), Some(error)) => {
            let who = attempt["who_must_act"].as_str().unwrap_or("somebody");
            format!("{class} ({who} must act): {error}")
        }
        (None, Some(left)) => format!("interrupted: {left}"),
        _ if is_over => "interrupted".into(),
        _ => "running".into(),
    };
    format!(
        "{}  {} chunk {}, attempt {}{on}: {end}",
        text(attempt, "started"),
        text(attempt, "relation"),
        attempt["chunk"],
        attempt["attempt"]
    )
}

/// A text of a record; empty if it has none.
pub(super) fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}
