//! OpenLineage's variables: <https://openlineage.io/docs/client/python/configuration>. They are the same for all
//! programs.

use std::env;
use std::ffi::OsString;

use serde_json::{Map, Value};

use super::{Transport, collector};

/// What the names of a transport's own variables begin with; two underscores lead into it.
const TRANSPORT: &str = "OPENLINEAGE__TRANSPORT";

/// What the environment says of where events are sent.
pub(super) enum Choice {
    /// Nothing.
    Unsaid,
    /// Nowhere.
    Off,
    /// There.
    To(Transport),
}

/// The variables of OpenLineage that are set.
pub(super) fn variables() -> Vec<(String, String)> {
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let is_set =
        |(name, value): &(String, String)| name.starts_with("OPENLINEAGE_") && !value.is_empty();
    env::vars_os().filter_map(text).filter(is_set).collect()
}

/// The value of a variable.
pub(super) fn variable<'v>(variables: &'v [(String, String)], name: &str) -> Option<&'v str> {
    variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Where the environment says that events are sent.
pub(super) fn transport(variables: &[(String, String)]) -> Choice {
    let is_disabled = variable(variables, "OPENLINEAGE_DISABLED");
    if is_disabled.is_some_and(|text| text.trim().eq_ignore_ascii_case("true")) {
        return Choice::Off;
    }
    let config = config(variables);
    let text = |key: &str| config.get(key).and_then(Value::as_str);
    match text("type") {
        Some("http" | "async_http") => {
            let url = text("url").or_else(|| variable(variables, "OPENLINEAGE_URL"));
            http(url.unwrap_or_default(), text("endpoint"))
        }
        Some("file") => file(text("log_file_path")),
        Some("console") => Choice::To(Transport::Console),
        Some("noop") => Choice::Off,
        Some(other) => off(&format!("the transport `{other}` is none of http, file and console")),
        None => match variable(variables, "OPENLINEAGE_URL") {
            Some(url) => http(url, variable(variables, "OPENLINEAGE_ENDPOINT")),
            None => Choice::Unsaid,
        },
    }
}

/// The collector's key in the environment. It is read when events are sent, and kept nowhere.
pub fn environment_key() -> Option<String> {
    let variables = variables();
    let config = config(&variables);
    let auth = config.get("auth").and_then(Value::as_object);
    let own = auth.and_then(|auth| {
        ["apiKey", "apikey", "api_key"].iter().find_map(|key| auth.get(*key)?.as_str())
    });
    own.or_else(|| variable(&variables, "OPENLINEAGE_API_KEY")).map(str::to_owned)
}

fn http(url: &str, endpoint: Option<&str>) -> Choice {
    match collector(url, endpoint) {
        Ok(url) => Choice::To(Transport::Http { url, api_key: None }),
        Err(_) => off("the collector's URL is no URL of http or https without a login"),
    }
}

fn file(path: Option<&str>) -> Choice {
    match path.map(std::path::absolute) {
        Some(Ok(path)) => Choice::To(Transport::File(path)),
        _ => off("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH names no file"),
    }
}

/// What cannot be understood is no reason not to run.
fn off(cause: &str) -> Choice {
    tracing::warn!("no lineage is sent: {cause}");
    Choice::Off
}

/// The transport's config: of its variable, a JSON object, and of those that lead into it.
fn config(variables: &[(String, String)]) -> Map<String, Value> {
    let whole = variable(variables, TRANSPORT).and_then(|text| serde_json::from_str(text).ok());
    let mut config = match whole {
        Some(Value::Object(config)) => config,
        _ => Map::new(),
    };
    for (name, text) in variables {
        let Some(key) = name.strip_prefix(TRANSPORT).and_then(|key| key.strip_prefix("__")) else {
            continue;
        };
        insert(&mut config, &key.to_ascii_lowercase(), text);
    }
    config
}

/// Puts a value under a key, into which two underscores lead.
fn insert(config: &mut Map<String, Value>, key: &str, text: &str) {
    match key.split_once("__") {
        None => {
            let object = serde_json::from_str(text).ok().filter(Value::is_object);
            config.insert(key.to_owned(), object.unwrap_or_else(|| text.into()));
        }
        Some((first, rest)) => {
            let inner = config.entry(first).or_insert_with(|| Map::new().into());
            if let Value::Object(inner) = inner {
                insert(inner, rest, text);
            }
        }
    }
}
