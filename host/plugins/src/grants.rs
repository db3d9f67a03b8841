//! Grants come from the job: the endpoints and secrets that its config for a plugin names.

use std::path::Path;

use longshore_model::config::{PolicyScope, check_shape, secret};
use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::grant::{Endpoint, Grant, SecretValue};
use longshore_sandbox::{EndpointField, PluginInfo};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use url::Url;

/// The config field for a password that stands in a URL.
const URL_PASSWORD_FIELD: &str = "password";

/// Where the values of secrets come from.
#[derive(Clone, Copy, Debug)]
pub enum Secrets<'a> {
    /// Also from the operator's folder, if there is one.
    Folder(Option<&'a Path>),
    /// From nowhere: only how a job writes them is looked at.
    Unread,
}

/// Checks a plugin's config against its schema, takes the secrets out, and works out the grant.
/// Gives the config as the plugin gets it.
pub fn bind(
    config: &Map<String, Value>,
    info: &PluginInfo,
    secrets: Secrets<'_>,
    powers: &PolicyScope<'_>,
) -> Result<(String, Grant)> {
    let (secret_fields, endpoint_fields) = (info.secrets(), info.endpoints());
    let schema: Value = serde_json::from_str(info.config_schema()).map_err(|error| {
        Error::internal(format!("the plugin's config schema is not JSON: {error}"))
    })?;
    let mut config = config.clone();
    let mut grant = Grant::default();
    if secret_fields.iter().any(|field| field == URL_PASSWORD_FIELD) {
        take_url_password(&mut config)?;
    }
    let mut shaped = Value::Object(config);
    Error::all(check_shape(&schema, "", &mut shaped))?;
    let Value::Object(mut config) = shaped else {
        return Err(Error::internal("a config that is no set of keys"));
    };
    for field in secret_fields {
        let Some(written) = config.get_mut(field).filter(|written| !written.is_null()) else {
            continue;
        };
        powers.secret(field, written)?;
        let value = match secrets {
            Secrets::Folder(folder) => secret::resolve(field, written, folder)?,
            Secrets::Unread => {
                secret::check_form(field, written)?;
                SecretValue::new(String::new())
            }
        };
        grant.secrets.insert(field.clone(), value);
        *written = json!({ "secret": field });
    }
    for EndpointField { field, default_port } in endpoint_fields {
        if let Some(value) = config.get(field).and_then(Value::as_str) {
            let endpoint = endpoint(value, *default_port).context(format!("`{field}`"))?;
            powers.endpoint(&endpoint).context(format!("`{field}`"))?;
            // A field may have several ports where its value has none.
            if !grant.endpoints.contains(&endpoint) {
                grant.endpoints.push(endpoint);
            }
        }
    }
    if !endpoint_fields.is_empty() {
        grant.endpoints.extend(powers.also().cloned());
    }
    Ok((Value::Object(config).to_string(), grant))
}

/// Moves the password of `scheme://user:password@host` to its own field.
fn take_url_password(config: &mut Map<String, Value>) -> Result<()> {
    let Some(Value::String(text)) = config.get("url") else { return Ok(()) };
    let Ok(mut url) = Url::parse(text) else { return Ok(()) };
    let Some(password) = url.password() else { return Ok(()) };
    let password = percent_decode_str(password)
        .decode_utf8()
        .map_err(|_| Error::config("`url`: its password is not UTF-8"))?
        .into_owned();
    if config.contains_key(URL_PASSWORD_FIELD) {
        return Err(
            Error::config("both `url` and `password` hold a password").with_hint("keep `password`")
        );
    }
    // A URL with a password has a host, so that it can be set.
    let _ = url.set_password(None);
    config.insert("url".into(), Value::String(url.to_string()));
    config.insert(URL_PASSWORD_FIELD.into(), Value::String(password));
    Ok(())
}

/// The endpoint in a URL, a host, or `host:port`.
fn endpoint(value: &str, default_port: u16) -> Result<Endpoint> {
    let text = if value.contains("://") { value.to_owned() } else { format!("host://{value}") };
    let url = Url::parse(&text).map_err(|error| {
        Error::config(error.to_string())
            .with_hint("write it as in postgres://user@host:5432/database")
    })?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| {
        Error::config("names no host")
            .with_hint("write it as in postgres://user@host:5432/database")
    })?;
    let host = percent_decode_str(host.trim_matches(['[', ']'])).decode_utf8_lossy().into_owned();
    Ok(Endpoint { host, port: url.port_or_known_default().unwrap_or(default_port) })
}

#[cfg(test)]
mod tests {
    use semver::Version;

    use super::*;
    use longshore_model::config::Policy;
    use longshore_sandbox::Description;

    fn bound(config: Value) -> Result<(String, Grant)> {
        let schema =
            r#"{"properties":{"url":{},"password":{},"sslmode":{}},"additionalProperties":false}"#;
        let config = config.as_object().unwrap().clone();
        let policy = Policy::default();
        let powers = policy.powers("postgres", &Version::new(1, 0, 0), "").unwrap();
        let info = PluginInfo {
            description: Description {
                name: "postgres".into(),
                version: "1.0.0".into(),
                summary: String::new(),
                schemes: Vec::new(),
                config_schema: schema.into(),
                endpoints: vec![EndpointField { field: "url".into(), default_port: 5432 }],
                secrets: vec!["password".into()],
            },
            features: None,
        };
        bind(&config, &info, Secrets::Folder(None), &powers)
    }

    #[test]
    fn a_url_becomes_an_endpoint_and_its_password_a_secret() {
        let (config, grant) = bound(json!({ "url": "postgres://u:p%40ss@db:6000/x" })).unwrap();
        assert_eq!(config, r#"{"password":{"secret":"password"},"url":"postgres://u@db:6000/x"}"#);
        assert_eq!(grant.endpoints[0].to_string(), "db:6000");
        assert_eq!(grant.secret("password").unwrap().reveal(), "p@ss");
    }

    #[test]
    fn hosts_of_every_form_are_understood() {
        let at = |value: &str| endpoint(value, 5432).unwrap().to_string();
        assert_eq!(at("postgres://[::1]/x"), "[::1]:5432");
        assert_eq!(at("db.internal"), "db.internal:5432");
        assert_eq!(at("10.0.0.7:99"), "10.0.0.7:99");
        assert_eq!(at("http://in.internal/rows"), "in.internal:80");
        assert_eq!(at("https://in.internal/rows"), "in.internal:443");
        assert!(endpoint("postgres:///x", 5432).is_err());
    }

    #[test]
    fn an_unknown_key_of_a_plugin_is_refused_with_the_nearest() {
        let error = bound(json!({ "url": "postgres://h", "ssl_mode": "require" })).unwrap_err();
        assert_eq!(error.hint(), Some("did you mean `sslmode`?"));
    }
}
