//! Checks of a component's description.

use longshore_model::error::Result;
use longshore_plugins::Plugin;
use serde_json::Value;

use super::{Suite, broken};

pub(super) async fn check(suite: &mut Suite, plugin: &Plugin) {
    suite.note("it says the same of itself each time", says_the_same(plugin).await);
    let of = &plugin.info;
    let endpoints = of.endpoints().iter().map(|endpoint| &endpoint.field);
    let fields: Vec<&String> = endpoints.chain(of.secrets()).collect();
    let schema: Value = serde_json::from_str(of.config_schema()).unwrap_or_default();
    suite
        .note("its config schema names all keys, so that a wrong one is found", is_closed(&schema));
    suite.note("each key of its config is described", is_described(&schema));
    suite.note("its endpoints and secrets are keys of its config", are_keys(&schema, &fields));
    suite.note(
        "it has a summary",
        match plugin.info.summary().trim() {
            "" => broken("it says nothing"),
            _ => Ok(()),
        },
    );
}

async fn says_the_same(plugin: &Plugin) -> Result<()> {
    let again = plugin.describe().await?;
    if again == plugin.info {
        return Ok(());
    }
    broken(format!("once {:?}, then {again:?}", plugin.info))
}

fn is_closed(schema: &Value) -> Result<()> {
    if schema["additionalProperties"] != Value::Bool(false) {
        return broken("it has no `additionalProperties: false`");
    }
    Ok(())
}

fn is_described(schema: &Value) -> Result<()> {
    let keys = schema["properties"].as_object().into_iter().flatten();
    let bare: Vec<&str> = keys
        .filter(|(key, field)| {
            *key != "url" && field["description"].as_str().is_none_or(|text| text.trim().is_empty())
        })
        .map(|(key, _)| key.as_str())
        .collect();
    match bare.as_slice() {
        [] => Ok(()),
        bare => broken(format!("{} have no `description`", bare.join(", "))),
    }
}

fn are_keys(schema: &Value, fields: &[&String]) -> Result<()> {
    let unknown: Vec<&str> = fields
        .iter()
        .filter(|field| schema["properties"].get(field.as_str()).is_none())
        .map(|field| field.as_str())
        .collect();
    match unknown.as_slice() {
        [] => Ok(()),
        unknown => broken(format!("{} are not in its config schema", unknown.join(", "))),
    }
}
