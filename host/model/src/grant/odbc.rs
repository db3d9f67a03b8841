//! What a plugin may connect to over ODBC: what the job's config says, and nothing of its own.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::error::{Error, Result};
use crate::grant::Grant;

/// The most attributes of a connection string.
pub const ATTRIBUTE_LIMIT: usize = 64;

/// The most digits of a number that a plugin sets of its own.
const SWITCH_LIMIT_DIGITS: usize = 9;

/// Attributes that say where a session leads or what code it loads, in whatever driver.
const LEADING: &[&str] = &[
    "addr", "database", "dbq", "driver", "dsn", "file", "host", "lib", "port", "server", "socket",
];

/// Attributes that no session has: the manager of drivers reads or writes files for them.
const FORBIDDEN: &[&str] = &["filedsn", "savefile"];

/// What a session begins with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Login {
    /// Names and what they are set to, in their order.
    pub attributes: Vec<(String, Setting)>,
    /// Statements that it runs first.
    pub setup: Vec<String>,
    /// How long any one answer may take.
    pub timeout_secs: u32,
}

/// What an attribute is set to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// A text.
    Text(String),
    /// The secret of this config field.
    Secret(String),
}

/// What attributes may be set to.
#[derive(Clone, Debug, Default)]
pub struct OdbcGrant {
    /// What stands in the job's config.
    texts: BTreeSet<String>,
    /// The drivers and data sources that the operator allows; all that are set up, if absent.
    allowed: Option<AllowedKeywords>,
}

/// What the operator's policy lets be used.
#[derive(Clone, Debug)]
pub struct AllowedKeywords {
    /// Names of drivers and data sources.
    pub names: Vec<String>,
    /// The policy's file.
    pub policy: PathBuf,
}

impl AllowedKeywords {
    fn refusal(&self, what: &str) -> Error {
        Error::auth(format!("{what} may not be used: the policy forbids it"))
            .with_hint(format!("ask the operator of {}", self.policy.display()))
    }
}

impl fmt::Display for OdbcGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.allowed {
            None => f.write_str("to what its config names"),
            Some(allowed) => write!(f, "to what its config names, by {}", allowed.names.join(", ")),
        }
    }
}

impl OdbcGrant {
    /// What a config says: its texts, and the parts of its URLs and connection strings.
    pub fn new(config: &Map<String, Value>, allowed: Option<AllowedKeywords>) -> Self {
        let mut texts = BTreeSet::new();
        config.values().for_each(|value| collect(value, &mut texts));
        Self { texts, allowed }
    }

    /// Of these drivers, those that the operator allows; an error if there are some, and none may be used.
    pub fn allowed(&self, installed: Vec<String>) -> Result<Vec<String>> {
        let is_allowed = |driver: &String| self.check_allowed(driver).is_ok();
        let allowed: Vec<String> = installed.iter().filter(|it| is_allowed(it)).cloned().collect();
        match &self.allowed {
            Some(policy) if allowed.is_empty() && !installed.is_empty() => {
                Err(policy.refusal("ODBC drivers"))
            }
            _ => Ok(allowed),
        }
    }

    fn check_allowed(&self, name: &str) -> Result<()> {
        match &self.allowed {
            Some(allowed) if !allowed.names.iter().any(|it| it.eq_ignore_ascii_case(name)) => {
                Err(allowed.refusal(&format!("`{name}`")))
            }
            _ => Ok(()),
        }
    }

    /// The attributes of a login with its secrets, if all are granted.
    pub fn attributes(&self, grant: &Grant, login: &Login) -> Result<Vec<(String, String)>> {
        if login.attributes.len() > ATTRIBUTE_LIMIT {
            return Err(Error::config(format!("more than {ATTRIBUTE_LIMIT} attributes")));
        }
        let attributes = login.attributes.iter().map(|(name, setting)| {
            let value = match setting {
                Setting::Secret(field) => grant.secret(field)?.reveal(),
                Setting::Text(text) => {
                    self.check(name, text)?;
                    text
                }
            };
            Ok((name.clone(), value.to_owned()))
        });
        attributes.collect()
    }

    fn check(&self, name: &str, text: &str) -> Result<()> {
        let known = name.trim().to_ascii_lowercase();
        let is_name = |c: char| c.is_ascii_alphanumeric() || " _-.".contains(c);
        if FORBIDDEN.contains(&known.as_str()) || !name.chars().all(is_name) {
            return Err(Error::auth(format!("the attribute `{name}` is not allowed"))
                .with_hint("remove it from the job's source"));
        }
        let is_driver = known == "driver";
        if is_driver || known == "dsn" {
            self.check_allowed(text)?;
        }
        // A driver is one that is installed: the process looks.
        if is_driver || self.texts.contains(text) || is_switch(text) && !leads(&known) {
            return Ok(());
        }
        Err(Error::auth(format!(
            "the plugin set `{name}` to something that its config in the job does not say"
        )))
    }
}

fn leads(name: &str) -> bool {
    LEADING.iter().any(|leading| name.contains(leading))
}

fn is_switch(text: &str) -> bool {
    let is_number = (1..=SWITCH_LIMIT_DIGITS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number || ["yes", "no", "true", "false"].contains(&text.to_ascii_lowercase().as_str())
}

fn collect(value: &Value, texts: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => collect_text(text, texts),
        Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, texts)),
        Value::Number(number) => drop(texts.insert(number.to_string())),
        Value::Null | Value::Bool(_) => {}
    }
}

fn collect_text(text: &str, texts: &mut BTreeSet<String>) {
    texts.insert(text.to_owned());
    let string = text.split_once(':').map_or(text, |(_, string)| string);
    texts.extend(longshore_odbc_wire::attributes(string).into_iter().map(|(_, value)| value));
    let Ok(url) = Url::parse(text) else { return };
    let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    texts.insert(decoded(url.username()));
    texts.insert(decoded(url.path()));
    texts.extend(url.path().split('/').map(decoded));
    texts.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    if let Some(host) = url.host_str() {
        let host = decoded(host.trim_matches(['[', ']']));
        texts.extend(url.port().map(|port| format!("{host},{port}")));
        texts.extend(url.port().map(|port| format!("{host}:{port}")));
        texts.extend(url.port().map(|port| format!("{host}:{port}{}", url.path())));
        texts.insert(host);
    }
    texts.extend(url.port().map(|port| port.to_string()));
    texts.remove("");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn attributes(config: Value, set: &[(&str, &str)]) -> Result<Vec<(String, String)>> {
        let allowed = AllowedKeywords { names: vec!["SQLite3".into()], policy: PathBuf::new() };
        let odbc = OdbcGrant::new(config.as_object().unwrap(), Some(allowed));
        let text =
            |(name, value): &(&str, &str)| ((*name).to_owned(), Setting::Text((*value).to_owned()));
        let login = Login {
            attributes: set.iter().map(text).collect(),
            setup: Vec::new(),
            timeout_secs: 1,
        };
        odbc.attributes(&Grant::default(), &login)
    }

    #[test]
    fn a_plugin_connects_to_what_the_job_says_only() {
        let url = json!({ "url": "mysql://me@db.internal:3306/my%20shop", "options": { "n": 5 } });
        let set = |set: &[(&str, &str)]| attributes(url.clone(), set).is_ok();
        assert!(set(&[("Driver", "sqlite3"), ("Server", "db.internal"), ("Database", "my shop")]));
        assert!(set(&[("Port", "3306"), ("UID", "me"), ("NO_CACHE", "1"), ("StepAPI", "yes")]));
        assert!(!set(&[("Server", "localhost")]));
        assert!(!set(&[("Server", "0")]), "an address is no switch");
        assert!(!set(&[("Port", "22")]));
        assert!(!set(&[("TraceFile", "1")]));
        assert!(!set(&[("Driver", "PostgreSQL Unicode")]), "the policy allows another one");
        assert!(!set(&[("SaveFile", "5")]));
        assert!(!set(&[("x;Server", "5")]));
    }

    #[test]
    fn the_parts_of_a_connection_string_are_granted() {
        let url = json!({ "url": "odbc:DSN=SQLite3;Server={db;internal}" });
        assert!(attributes(url.clone(), &[("DSN", "SQLite3"), ("Server", "db;internal")]).is_ok());
        assert!(attributes(url, &[("Server", "internal")]).is_err());
    }
}
