//! Which connector a part of a job is for, checked: where rows come from, or the catalog that tables are made in.

use serde_json::{Map, Value};

use super::direct::Direct;
use super::plugin_requirement::PluginRequirement;
use super::raw::{RawKerberos, RawKeys};
use crate::error::{Error, Result, ResultExt};
use crate::grant::KerberosGrant;

/// A connector, and what the job says to it.
#[derive(Clone, Debug)]
pub struct Connector {
    /// The URL's scheme: it chooses the connector.
    pub scheme: String,
    /// Which connector.
    pub plugin: PluginRequirement,
    /// All keys that are the connector's, `url` included. Still holds secrets as written: show it to
    /// nobody.
    pub config: Map<String, Value>,
    /// Whether its tables are read from their files.
    pub direct: Option<Box<Direct>>,
    /// As whom it may log in by Kerberos, if at all.
    pub kerberos: Option<KerberosGrant>,
}

/// What a part of the job says of a connector; `config` holds `url`, too.
pub(super) fn check_connector(
    at: &str,
    url: &str,
    plugin: Option<String>,
    kerberos: Option<RawKerberos>,
    config: Map<String, Value>,
) -> Result<Connector> {
    let plugin = plugin.map(|text| wanted(&format!("{at}.plugin"), &text)).transpose()?;
    let (scheme, plugin) = (scheme(at, url)?, plugin.unwrap_or_default());
    let kerberos = match kerberos {
        None | Some(RawKerberos::Word(false)) => None,
        Some(RawKerberos::Word(true)) => Some(KerberosGrant::default()),
        Some(RawKerberos::Keys(RawKeys { principal, keytab })) => {
            Some(KerberosGrant { principal, keytab })
        }
    };
    Ok(Connector { scheme, plugin, config, direct: None, kerberos })
}

/// Which plugin a text means.
pub(super) fn wanted(at: &str, text: &str) -> Result<PluginRequirement> {
    text.parse::<PluginRequirement>().context(format!("`{at}`"))
}

/// A URL's scheme.
pub(super) fn scheme(at: &str, url: &str) -> Result<String> {
    let scheme = url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    let is_scheme = |s: &String| {
        s.starts_with(|c: char| c.is_ascii_lowercase())
            && s.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    scheme.filter(is_scheme).ok_or_else(|| {
        Error::config(format!("`{at}.url` does not begin with a scheme"))
            .with_hint("write it as in postgres://user@host:5432/database")
    })
}
