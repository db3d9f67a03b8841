//! Notifications: the webhooks that a job, or the operator's settings, want to be told what happens to runs.

mod event;
pub(super) mod raw;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::access::Access;
use super::secret;
use crate::error::{Error, Result, ResultExt};
use crate::grant::{Endpoint, SecretValue};

pub use event::NotifyEvent;
use raw::RawWebhook;

/// The most webhooks of a job, and of the settings.
pub const WEBHOOK_LIMIT: usize = 16;

/// The longest URL of a webhook.
pub const WEBHOOK_URL_LIMIT_BYTES: usize = 2_048;

/// The most headers of a webhook.
pub const WEBHOOK_HEADER_LIMIT: usize = 16;

/// What the names of our own headers begin with.
const OWN_HEADERS: &str = "longshore-";

/// Headers that say what is sent, or where it ends.
const FIXED_HEADERS: [&str; 7] =
    ["connection", "content-length", "content-type", "expect", "host", "te", "transfer-encoding"];

/// A webhook, checked. The outbox keeps it so: with references to secrets, and no secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    /// Where events are posted.
    pub url: String,
    /// The events.
    #[serde(skip)]
    pub on: Vec<NotifyEvent>,
    /// Where the key of the signature is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Value>,
    /// More headers: texts, or where secrets are found.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Value>,
}

impl Webhook {
    /// The server.
    pub fn endpoint(&self) -> Result<Endpoint> {
        endpoint(&self.url)
    }

    /// The key of the signature, if there is one.
    pub fn key(&self, secrets: Option<&Path>) -> Result<Option<SecretValue>> {
        let resolve = |written| secret::resolve("notify.secret", written, secrets);
        self.secret.as_ref().map(resolve).transpose()
    }

    /// The headers, with the values of secrets.
    pub fn header_values(&self, secrets: Option<&Path>) -> Result<Vec<(String, SecretValue)>> {
        let resolve = |(name, written): (&String, &Value)| {
            let value = secret::resolve(&format!("notify.headers.{name}"), written, secrets)?;
            Ok((name.clone(), value))
        };
        self.headers.iter().map(resolve).collect()
    }

    /// Whether the policy lets a job name its server and its secrets.
    pub(super) fn check_access(&self, at: &str, access: &Access<'_>) -> Result<()> {
        access.powers().endpoint(&self.endpoint()?).context(format!("`{at}.url`"))?;
        if let Some(written) = &self.secret {
            access.powers().secret(&format!("{at}.secret"), written)?;
        }
        let secrets = self.headers.iter().filter(|(_, written)| written.is_object());
        secrets.into_iter().try_for_each(|(name, written)| {
            access.powers().secret(&format!("{at}.headers.{name}"), written)
        })
    }
}

/// Checks the webhooks of a job or of the settings.
pub(super) fn check_webhooks(raw: Vec<RawWebhook>) -> Result<Vec<Webhook>> {
    if raw.len() > WEBHOOK_LIMIT {
        return Err(Error::config(format!("`notify` names {} webhooks", raw.len()))
            .with_hint(format!("name at most {WEBHOOK_LIMIT}")));
    }
    let check = |(index, raw)| check_webhook(&format!("notify[{index}]"), raw);
    raw.into_iter().enumerate().map(check).collect()
}

fn check_webhook(at: &str, raw: RawWebhook) -> Result<Webhook> {
    let RawWebhook { url, on, secret, headers } = raw;
    endpoint(&url).context(format!("`{at}.url`"))?;
    if on.is_empty() {
        return Err(Error::config(format!("`{at}.on` names no event"))
            .with_hint("name some of failed, succeeded, late, drifted, paused"));
    }
    if headers.len() > WEBHOOK_HEADER_LIMIT {
        return Err(Error::config(format!("`{at}.headers` has {} headers", headers.len()))
            .with_hint(format!("give at most {WEBHOOK_HEADER_LIMIT}")));
    }
    let secret =
        secret.map(|written| secret::reference(&format!("{at}.secret"), written)).transpose()?;
    let check = |(name, written): (String, Value)| {
        let value = check_header(&format!("{at}.headers.{name}"), &name, written)?;
        Ok((name, value))
    };
    let headers = headers.into_iter().map(check).collect::<Result<_>>()?;
    Ok(Webhook { url, on, secret, headers })
}

/// The server of a webhook's URL. A password in a URL would be in the ledger.
fn endpoint(text: &str) -> Result<Endpoint> {
    let wrong = |what: &str| {
        Err(Error::config(format!("the webhook's URL {what}"))
            .with_hint("write it as in https://hooks.internal/longshore"))
    };
    if text.len() > WEBHOOK_URL_LIMIT_BYTES {
        return wrong("is too long");
    }
    let Ok(url) = Url::parse(text) else { return wrong("is not a URL") };
    if !matches!(url.scheme(), "http" | "https") {
        return wrong("is not one of http or https");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("holds a login: give it as a header, `Authorization: { secret: NAME }`");
    }
    Endpoint::of_url(&url).map_or_else(|| wrong("names no server"), Ok)
}

fn check_header(at: &str, name: &str, written: Value) -> Result<Value> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let lower = name.to_ascii_lowercase();
    if name.is_empty() || !name.chars().all(is_token) {
        return Err(Error::config(format!("`{at}`: no header has such a name"))
            .with_hint("write it as in X-Team: data"));
    }
    if FIXED_HEADERS.contains(&lower.as_str()) || lower.starts_with(OWN_HEADERS) {
        return Err(Error::config(format!("`{at}`: Longshore sets this header itself"))
            .with_hint("remove it"));
    }
    match written {
        Value::String(text) if text.chars().any(char::is_control) => {
            Err(Error::config(format!("`{at}`: the text holds a control character"))
                .with_hint("write it on one line"))
        }
        Value::String(text) => Ok(Value::String(text)),
        written => secret::reference(at, written),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn webhook(written: Value) -> Result<Webhook> {
        let raw = serde_json::from_value(written).map_err(Error::from)?;
        check_webhooks(vec![raw]).map(|mut webhooks| webhooks.remove(0))
    }

    #[test]
    fn a_webhook_keeps_references_and_no_secrets() {
        let written = json!({
            "url": "https://hooks.internal/longshore",
            "secret": { "secret": "hook" },
            "headers": { "X-Team": "data", "Authorization": { "file": "/run/token" } },
        });
        let webhook = webhook(written).unwrap();
        assert_eq!(webhook.on, [NotifyEvent::Failed]);
        let endpoint = Endpoint { host: "hooks.internal".into(), port: 443 };
        assert_eq!(webhook.endpoint().unwrap(), endpoint);
        let kept = serde_json::to_value(&webhook).unwrap();
        assert_eq!(kept["headers"]["Authorization"], json!({ "file": "/run/token" }));
        assert_eq!(kept.get("on"), None);
    }

    #[test]
    fn what_is_no_webhook_is_refused_with_its_key() {
        let with = |key: &str, value: Value| {
            let mut written = json!({ "url": "https://hooks.internal/" });
            written[key] = value;
            webhook(written).map(|_| ()).unwrap_err().to_string()
        };
        assert!(with("url", json!("file:///etc/passwd")).contains("`notify[0].url`"));
        assert!(with("url", json!("https://me:secret@hooks.internal/")).contains("holds a login"));
        assert!(!with("url", json!("https://me:secret@hooks.internal/")).contains("me:secret"));
        assert!(with("on", json!([])).contains("names no event"));
        assert!(
            with("secret", json!("hunter2")).contains("`notify[0].secret` is a secret's value")
        );
        assert!(with("headers", json!({ "Host": "other" })).contains("sets this header itself"));
        assert!(with("headers", json!({ "Longshore-Signature": "x" })).contains("itself"));
        assert!(with("headers", json!({ "X": "a\r\nHost: b" })).contains("control character"));
        assert!(with("headers", json!({ "a b": "c" })).contains("no header has such a name"));
    }
}
