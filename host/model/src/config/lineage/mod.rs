//! Lineage: what OpenLineage calls this program's jobs, and where events of their runs are sent.

mod environment;
mod parent;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::secret;
use crate::error::{Error, Result};
use crate::grant::Endpoint;

pub use environment::environment_key;
pub use parent::{JobRun, ParentRun};

/// The namespace of jobs, unless somebody says otherwise.
const NAMESPACE: &str = "longshore";

/// The path of lineage beneath a collector's address.
const ENDPOINT: &str = "api/v1/lineage";

/// `[lineage]` of the settings. One of `url`, `file` and `console` says where events are sent.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLineage {
    /// The namespace of jobs; `longshore` if absent.
    namespace: Option<String>,
    /// A collector's address, such as `https://marquez.internal`.
    url: Option<String>,
    /// The path of lineage beneath it; `api/v1/lineage` if absent.
    endpoint: Option<String>,
    /// The collector's key, as a secret: `{ secret = "NAME" }`.
    api_key: Option<Value>,
    /// A file to which events are added, a line each.
    file: Option<PathBuf>,
    /// Whether events are written to stderr, a line each.
    console: bool,
}

/// What jobs are called, and where events of their runs are sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Lineage {
    /// The namespace of jobs.
    pub namespace: String,
    /// Where events are sent, if they are.
    pub transport: Option<Transport>,
}

/// Where events are sent. The outbox keeps it so: with a reference to a secret, and no secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// To a collector.
    Http {
        /// Its URL, with the path.
        url: String,
        /// Where its key is found; else the environment may have one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        api_key: Option<Value>,
    },
    /// To the end of a file.
    File(PathBuf),
    /// To stderr.
    Console,
}

impl Default for Lineage {
    fn default() -> Self {
        Self { namespace: NAMESPACE.to_owned(), transport: None }
    }
}

impl Lineage {
    /// Brings the settings and the environment together; the environment wins.
    pub(super) fn resolve(raw: Option<RawLineage>) -> Result<Self> {
        Self::of(raw.unwrap_or_default(), &environment::variables())
    }

    fn of(raw: RawLineage, variables: &[(String, String)]) -> Result<Self> {
        let namespace = environment::variable(variables, "OPENLINEAGE_NAMESPACE");
        let namespace = namespace.map(str::to_owned).or_else(|| raw.namespace.clone());
        let written = of_settings(raw)?;
        let transport = match environment::transport(variables) {
            environment::Choice::Unsaid => written,
            environment::Choice::Off => None,
            environment::Choice::To(transport) => Some(transport),
        };
        Ok(Self { namespace: namespace.unwrap_or_else(|| NAMESPACE.to_owned()), transport })
    }
}

fn of_settings(raw: RawLineage) -> Result<Option<Transport>> {
    let RawLineage { url, endpoint, api_key, file, console, .. } = raw;
    let wrong = |cause: &str, hint: &str| Err(Error::config(cause).with_hint(hint));
    if url.is_none() && (endpoint.is_some() || api_key.is_some()) {
        return wrong("`lineage` has a key or a path, and no `url`", "add `url`");
    }
    match (url, file, console) {
        (None, None, false) => Ok(None),
        (Some(url), None, false) => {
            let api_key = api_key.map(|written| secret::reference("lineage.api_key", written));
            let url = collector(&url, endpoint.as_deref())?;
            Ok(Some(Transport::Http { url, api_key: api_key.transpose()? }))
        }
        (None, Some(file), false) => {
            let file = std::path::absolute(&file).map_err(|error| Error::io(file.display(), error));
            Ok(Some(Transport::File(file?)))
        }
        (None, None, true) => Ok(Some(Transport::Console)),
        _ => wrong(
            "`lineage` names several places for events",
            "keep one of `url`, `file` and `console`",
        ),
    }
}

/// The URL of a collector. A login in it would be in the ledger.
fn collector(base: &str, endpoint: Option<&str>) -> Result<String> {
    let wrong = |what: &str| {
        Err(Error::config(format!("`lineage.url` {what}"))
            .with_hint("write it as in https://marquez.internal, and its key as `api_key`"))
    };
    let endpoint = endpoint.unwrap_or(ENDPOINT).trim_start_matches('/');
    let Ok(url) = Url::parse(&format!("{}/{endpoint}", base.trim().trim_end_matches('/'))) else {
        return wrong("is not a URL");
    };
    if !matches!(url.scheme(), "http" | "https") {
        return wrong("is not one of http or https");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("holds a login");
    }
    match Endpoint::of_url(&url) {
        Some(_) => Ok(url.to_string()),
        None => wrong("names no server"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolved(toml: &str, variables: &[(&str, &str)]) -> Result<Lineage> {
        let raw = toml::from_str(toml).map_err(|error| Error::config(error.to_string()))?;
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Lineage::of(raw, &variables.iter().map(own).collect::<Vec<_>>())
    }

    fn transport(toml: &str, variables: &[(&str, &str)]) -> Option<Transport> {
        resolved(toml, variables).unwrap().transport
    }

    fn http(url: &str) -> Option<Transport> {
        Some(Transport::Http { url: url.to_owned(), api_key: None })
    }

    #[test]
    fn the_variables_mean_what_they_mean_elsewhere() {
        let url = ("OPENLINEAGE_URL", "http://marquez:5000/");
        let of = |variables: &[(&str, &str)]| transport("", variables);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[url]), http("http://marquez:5000/api/v1/lineage"));
        assert_eq!(of(&[url, ("OPENLINEAGE_ENDPOINT", "/in")]), http("http://marquez:5000/in"));
        assert_eq!(of(&[url, ("OPENLINEAGE_DISABLED", "True")]), None);
        let kind = |kind| ("OPENLINEAGE__TRANSPORT__TYPE", kind);
        assert_eq!(of(&[url, kind("console")]), Some(Transport::Console));
        assert_eq!(of(&[url, kind("noop")]), None);
        let file = ("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", "/log/lineage.jsonl");
        assert_eq!(of(&[kind("file"), file]), Some(Transport::File("/log/lineage.jsonl".into())));
        let own = ("OPENLINEAGE__TRANSPORT__URL", "https://own.internal");
        assert_eq!(of(&[url, own, kind("http")]), http("https://own.internal/api/v1/lineage"));
        let whole = r#"{"type": "http", "url": "https://whole.internal", "endpoint": "in"}"#;
        let whole = ("OPENLINEAGE__TRANSPORT", whole);
        assert_eq!(of(&[whole]), http("https://whole.internal/in"));
        assert_eq!(of(&[("OPENLINEAGE_URL", "marquez")]), None);
        assert_eq!(of(&[kind("kafka")]), None);
    }

    #[test]
    fn the_environment_wins_over_the_settings() {
        let toml = "namespace = 'shop'\nurl = 'https://a.internal'\napi_key = { secret = 'key' }\n";
        let settings = resolved(toml, &[]).unwrap();
        assert_eq!(settings.namespace, "shop");
        let api_key = Some(json!({ "secret": "key" }));
        let url = "https://a.internal/api/v1/lineage".to_owned();
        assert_eq!(settings.transport, Some(Transport::Http { url, api_key }));
        let variables =
            [("OPENLINEAGE_URL", "http://b.internal"), ("OPENLINEAGE_NAMESPACE", "other")];
        let both = resolved(toml, &variables).unwrap();
        assert_eq!(both.namespace, "other");
        assert_eq!(both.transport, http("http://b.internal/api/v1/lineage"));
        assert_eq!(transport(toml, &[("OPENLINEAGE_DISABLED", "true")]), None);
    }

    #[test]
    fn settings_that_say_two_things_are_refused() {
        let refused = |toml: &str| resolved(toml, &[]).unwrap_err().to_string();
        assert!(refused("url = 'https://a'\nconsole = true").contains("several places"));
        assert!(refused("endpoint = 'in'").contains("no `url`"));
        assert!(refused("url = 'https://me:key@a'").contains("holds a login"));
        assert!(!refused("url = 'https://me:key@a'").contains("me:key"));
        assert!(refused("url = 'a.internal'").contains("is not a URL"));
        assert!(refused("url = 'https://a'\napi_key = 'hunter2'").contains("a secret's value"));
    }
}
