//! Secrets that somebody typed. Everybody on the machine can read arguments, and the job is written down.

use longshore_model::config::plain_path::is_url;
use longshore_model::error::{Error, Result};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// Parts of the names of secrets, in small letters and without what stands between words.
const PARTS: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "apikey",
    "privatekey",
    "authorization",
    "signature",
    "cookie",
];

/// Whole names of secrets.
const NAMES: [&str; 5] = ["accesskey", "pass", "pwd", "sas", "sig"];

/// The keys of what tells where a secret is found.
const REFERENCES: [&str; 3] = ["env", "file", "secret"];

/// Where secrets are looked for.
#[derive(Clone, Copy)]
pub(super) struct Side {
    /// What the URL is.
    pub(super) url: &'static str,
    /// The flag of options.
    pub(super) option: &'static str,
    /// The flag of the password.
    pub(super) password: &'static str,
}

pub(super) const SOURCE: Side =
    Side { url: "SOURCE", option: "--option", password: "--password-env NAME" };

pub(super) const TARGET: Side =
    Side { url: "TARGET", option: "--target-option", password: "--target-password-env NAME" };

impl Side {
    /// Refuses a URL that holds a secret.
    pub(super) fn check_url(self, url: &str) -> Result<()> {
        match secret_in(url) {
            Some(name) => Err(self.refused(self.url, &name)),
            None => Ok(()),
        }
    }

    /// Refuses options that are secrets, and not where one is found.
    pub(super) fn check_options(self, section: &Map<String, Value>) -> Result<()> {
        match secret_among(section) {
            Some(key) => Err(self.refused(&format!("{} {key}", self.option), &key)),
            None => Ok(()),
        }
    }

    fn refused(self, what: &str, key: &str) -> Error {
        let is_password = is_password(key.rsplit('.').next().unwrap_or(key));
        let kind = if is_password { "a password" } else { "a secret" };
        let error = Error::config(format!(
            "{what} holds {kind}, which everybody on this machine can read in the list of processes"
        ));
        if is_password {
            return error.with_hint(format!("leave it out, and give {}", self.password));
        }
        let key = match plain(key).as_str() {
            // The header is made of the token.
            header if header.ends_with("authorization") => "token",
            "sig" => "azure.sas",
            _ => key,
        };
        let reference = format!("{} '{key}={{\"env\":\"NAME\"}}'", self.option);
        error.with_hint(format!("name the environment variable that holds it: {reference}"))
    }
}

/// The key of an option that is a secret.
fn secret_among(section: &Map<String, Value>) -> Option<String> {
    section.iter().find_map(|(key, value)| match value {
        Value::Object(inner) if is_reference(inner) => None,
        Value::Object(inner) => Some(format!("{key}.{}", secret_among(inner)?)),
        Value::String(_) | Value::Number(_) if is_secret(key) => Some(key.clone()),
        Value::String(text) if is_url(text) => secret_in(text),
        _ => None,
    })
}

fn is_reference(value: &Map<String, Value>) -> bool {
    value.len() == 1 && value.keys().all(|key| REFERENCES.contains(&key.as_str()))
}

/// The name of a secret in a URL: a password before its host, or a parameter as in `?token=` and `;PWD=`.
pub(in super::super) fn secret_in(url: &str) -> Option<String> {
    let (_, rest) = url.split_once(':').filter(|_| is_url(url))?;
    let parameters = match rest.strip_prefix("//") {
        None => rest,
        Some(rest) => {
            let end = rest.find(['/', '?', '#', ';']).unwrap_or(rest.len());
            let login = rest[..end].rsplit_once('@').map(|(login, _)| login);
            if login.is_some_and(|login| login.contains(':')) {
                return Some("password".to_owned());
            }
            rest.split_once(['?', ';']).map_or("", |(_, parameters)| parameters)
        }
    };
    let names = parameters.split(['?', '&', ';', '#']).filter_map(|pair| pair.split_once('='));
    let decoded = |name: &str| percent_decode_str(name).decode_utf8_lossy().trim().to_owned();
    names.map(|(name, _)| decoded(name)).find(|name| is_secret(name))
}

fn is_secret(name: &str) -> bool {
    let name = plain(name);
    PARTS.iter().any(|part| name.contains(part)) || NAMES.contains(&name.as_str())
}

fn is_password(name: &str) -> bool {
    ["password", "passwd", "pass", "pwd"].contains(&plain(name).as_str())
}

fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '-', ' '], "")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_in_urls_are_found() {
        for (url, name) in [
            ("postgres://lo:pw@db/shop", "password"),
            ("postgres://lo@db/shop?sslmode=require&password=x", "password"),
            ("postgres://lo@db/shop?pass%77ord=x", "password"),
            ("mysql://u@h/x?pwd=x", "pwd"),
            ("impala://h/x;PWD=x", "PWD"),
            ("odbc:DSN=x;UID=u;PWD=x", "PWD"),
            ("https://h/hook?token=x", "token"),
            ("https://h/hook?X-Amz-Signature=x", "X-Amz-Signature"),
        ] {
            assert_eq!(secret_in(url).as_deref(), Some(name), "{url}");
        }
        for url in [
            "postgres://lo@db/shop?sslmode=require",
            "tpch:?scale=0.1",
            "odbc:DSN=x;UID=u",
            "s3://lake/token=5/a.csv",
            "file:///data/pwd=1/a.csv",
            "data/x?password=1.csv",
        ] {
            assert_eq!(secret_in(url), None, "{url}");
        }
    }

    #[test]
    fn options_are_references_to_secrets() {
        let told = |options: Value| {
            let error = TARGET.check_options(options.as_object().unwrap()).err()?;
            Some((error.to_string(), error.hint().unwrap().to_owned()))
        };
        for fine in [
            json!({ "s3": { "secret_access_key": { "env": "KEY" }, "access_key_id": "AK" } }),
            json!({ "password": { "file": "/run/pw" }, "auth": "nosasl" }),
            json!({ "headers": { "x-team": "a" }, "token": { "secret": "t" } }),
        ] {
            assert_eq!(told(fine), None);
        }
        let (error, hint) = told(json!({ "s3": { "secret_access_key": "x" } })).unwrap();
        assert!(error.starts_with("--target-option s3.secret_access_key holds a secret, "));
        let reference = "--target-option 's3.secret_access_key={\"env\":\"NAME\"}'";
        assert!(hint.ends_with(reference), "{hint}");
        let (_, hint) = told(json!({ "headers": { "authorization": "Bearer x" } })).unwrap();
        assert!(hint.ends_with("--target-option 'token={\"env\":\"NAME\"}'"), "{hint}");
        let (error, hint) = told(json!({ "sftp": { "password": 5 } })).unwrap();
        assert!(error.starts_with("--target-option sftp.password holds a password, "));
        assert_eq!(hint, "leave it out, and give --target-password-env NAME");
        assert!(told(json!({ "proxy": "http://u:p@h" })).is_some());
    }
}
