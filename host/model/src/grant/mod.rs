//! What a plugin may touch in a run: exactly what the job's config for it names.

pub mod odbc;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use url::Url;

use crate::error::{Error, Result};
use odbc::OdbcGrant;

/// A secret's value. Shows itself to nobody.
#[derive(Clone)]
pub struct SecretValue(String);

impl SecretValue {
    /// Takes a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for whoever was granted it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A network endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Host name or address, as the job names it.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Endpoint {
    /// The server of a URL, if it names one and its port is known.
    pub fn of_url(url: &Url) -> Option<Self> {
        let host = url.host_str().filter(|host| !host.is_empty())?;
        let host = host.trim_matches(['[', ']']).to_owned();
        Some(Self { host, port: url.port_or_known_default()? })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// As whom a plugin may log in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KerberosGrant {
    /// The principal; absent: the keytab's first, or whoever the environment's ticket is for.
    pub principal: Option<String>,
    /// Its keys; absent: the environment's ticket.
    pub keytab: Option<PathBuf>,
}

/// The endpoints and secrets of one plugin in one run.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    /// Where it may connect to.
    pub endpoints: Vec<Endpoint>,
    /// By config field.
    pub secrets: BTreeMap<String, SecretValue>,
    /// What it may connect to over ODBC, if it asks for that at all.
    pub odbc: Option<OdbcGrant>,
    /// As whom it may log in by Kerberos, if at all.
    pub kerberos: Option<KerberosGrant>,
}

/// The most that is shown of one text of a plugin.
pub const TEXT_LIMIT_BYTES: usize = 4_096;

/// Secrets shorter than this are not searched for in texts: they would black out common words.
pub const REDACT_MIN_BYTES: usize = 4;

impl Grant {
    /// `secrets.get`.
    pub fn secret(&self, field: &str) -> Result<&SecretValue> {
        self.secrets.get(field).ok_or_else(|| {
            Error::config(format!("the job gives no `{field}`"))
                .with_hint(format!("add `{field}` to the job, for example as {{ env: NAME }}"))
        })
    }

    /// Whether a connection is granted.
    pub fn check(&self, endpoint: &Endpoint) -> Result<()> {
        let granted = self
            .endpoints
            .iter()
            .any(|own| own.port == endpoint.port && own.host.eq_ignore_ascii_case(&endpoint.host));
        if !granted {
            return Err(Error::auth(format!(
                "the plugin asked for {endpoint}, which its config in the job does not name"
            )));
        }
        Ok(())
    }

    /// What may be connected to over ODBC.
    pub fn odbc(&self) -> Result<&OdbcGrant> {
        self.odbc.as_ref().ok_or_else(|| Error::auth("the plugin has no grant for ODBC"))
    }

    /// As whom it may log in by Kerberos.
    pub fn kerberos(&self) -> Result<&KerberosGrant> {
        self.kerberos.as_ref().ok_or_else(|| {
            Error::auth("the job gives the plugin no login by Kerberos")
                .with_hint("add `kerberos: true` beside `url`, or `kerberos: { keytab: .. }`")
        })
    }

    /// A text that left the plugin, as people may see it: without the secrets that it was given,
    /// without what would steer a terminal or begin a line of its own, and not too long.
    pub fn clean(&self, text: &str) -> String {
        // Before it is cut: half a secret would not be found.
        shown(&self.redact(text))
    }

    fn redact(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for secret in self.secrets.values() {
            if secret.reveal().len() >= REDACT_MIN_BYTES {
                clean = clean.replace(secret.reveal(), "***");
            }
        }
        clean
    }
}

/// A text as people may see it, whatever wrote it.
pub fn shown(text: &str) -> String {
    cut(text, TEXT_LIMIT_BYTES).replace(char::is_control, " ")
}

/// The beginning of a text.
pub fn cut(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant {
            endpoints: vec![Endpoint { host: "db.internal".into(), port: 5432 }],
            secrets: [("password".to_string(), SecretValue::new("hunter2"))].into(),
            odbc: None,
            kerberos: None,
        }
    }

    #[test]
    fn only_what_the_job_names_is_granted() {
        let endpoint = |host: &str, port| Endpoint { host: host.into(), port };
        assert!(grant().check(&endpoint("DB.internal", 5432)).is_ok());
        assert!(grant().check(&endpoint("db.internal", 5433)).is_err());
        assert!(grant().check(&endpoint("169.254.169.254", 5432)).is_err());
        assert!(grant().secret("salt").is_err());
    }

    #[test]
    fn a_text_steers_no_terminal_and_begins_no_line() {
        assert_eq!(
            grant().clean("\u{1b}[2J\u{7}gone\nlongshore: well"),
            " [2J gone longshore: well"
        );
        assert_eq!(grant().clean(&"é".repeat(1 << 20)).len(), TEXT_LIMIT_BYTES);
    }

    #[test]
    fn a_secret_shows_in_no_text() {
        assert_eq!(grant().clean("login as u:hunter2 failed"), "login as u:*** failed");
        let late = format!("{}hunter2", "x".repeat(TEXT_LIMIT_BYTES - 4));
        assert!(!grant().clean(&late).contains("hunt"));
        assert!(!format!("{:?}", grant()).contains("hunter2"));
    }
}
