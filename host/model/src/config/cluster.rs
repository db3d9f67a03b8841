//! The cluster that reads and writes rows in the place of this machine, and how processes of a cluster know each
//! other.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use url::Url;

use crate::error::{Error, Result};

/// The port of a scheduler, unless its URL has one.
pub const SCHEDULER_PORT: u16 = 50_050;

const SCHEME: &str = "https://";

const HTTPS_PORT: u16 = 443;

/// The URL of a cluster's scheduler: `https://HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterUrl(String);

impl ClusterUrl {
    /// Checks a URL; `at` is the key that holds it.
    pub fn parse(at: &str, text: &str) -> Result<Self> {
        let url = Url::parse(text).ok().filter(|url| url.scheme() == "https");
        let host = url.as_ref().and_then(|url| url.host_str());
        let (Some(url), Some(host)) = (&url, host) else {
            return Err(Error::config(format!("`{at}` is no URL of a scheduler: {}", shown(text)))
                .with_hint("write https://HOST:PORT; clusters speak TLS only"));
        };
        let has_more = !url.username().is_empty()
            || url.password().is_some()
            || url.path() != "/"
            || url.query().is_some();
        if has_more {
            return Err(Error::config(format!("`{at}` has more than a host and a port"))
                .with_hint("write https://HOST:PORT"));
        }
        // The parser drops the port that is HTTPS's own.
        let is_https_port = text.trim_end_matches('/').ends_with(":443");
        let default = if is_https_port { HTTPS_PORT } else { SCHEDULER_PORT };
        let port = url.port().unwrap_or(default);
        Ok(Self(format!("{SCHEME}{host}:{port}")))
    }

    /// Its host and its port.
    pub fn authority(&self) -> &str {
        self.0.trim_start_matches(SCHEME)
    }
}

/// A URL without a login that it may hold.
fn shown(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(_, host)| host)
}

impl fmt::Display for ClusterUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Settings of clusters as flags.
#[derive(Args, Clone, Debug, Default)]
pub struct ClusterArgs {
    /// The scheduler of the cluster that reads and writes the rows of runs, such as https://scheduler:50050
    /// [default: this machine does it]
    #[arg(long = "cluster", global = true, env = "LONGSHORE_CLUSTER", value_name = "URL")]
    url: Option<String>,
    /// The folder of this process's certificate in its cluster: ca.pem, cert.pem and key.pem
    #[arg(long = "cluster-tls", global = true, env = "LONGSHORE_CLUSTER_TLS", value_name = "DIR")]
    tls: Option<PathBuf>,
    /// The address by which the other processes of the cluster reach this one [default: the one that it reaches the
    /// scheduler from, and a free port]
    #[arg(
        long = "cluster-address",
        global = true,
        env = "LONGSHORE_CLUSTER_ADDRESS",
        value_name = "HOST[:PORT]"
    )]
    address: Option<String>,
}

impl ClusterArgs {
    /// The same of `longshore.toml`.
    pub(super) fn of(url: Option<String>, tls: Option<PathBuf>, address: Option<String>) -> Self {
        Self { url, tls, address }
    }
}

/// What a process knows of its cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterSettings {
    /// The scheduler, if runs go to a cluster unless their jobs say otherwise.
    pub url: Option<ClusterUrl>,
    /// The folder of its certificate.
    pub tls: Option<PathBuf>,
    /// The address by which others reach it.
    pub address: Option<ClusterAddress>,
}

/// A host, and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterAddress {
    /// A name, or an IP address.
    pub host: String,
    /// The port; any that is free if absent.
    pub port: Option<u16>,
}

impl ClusterAddress {
    fn parse(text: &str) -> Result<Self> {
        let refused = || {
            Error::config(format!("`cluster_address`: `{text}` is no address"))
                .with_hint("write HOST or HOST:PORT, and an IPv6 address in brackets")
        };
        let url = Url::parse(&format!("longshore://{text}")).map_err(|_| refused())?;
        let host = url.host_str().filter(|_| url.path().is_empty()).ok_or_else(refused)?;
        Ok(Self { host: host.to_owned(), port: url.port() })
    }
}

impl ClusterSettings {
    /// Flags come before the file.
    pub(super) fn resolve(args: ClusterArgs, file: ClusterArgs) -> Result<Self> {
        let url = args.url.or(file.url).filter(|url| !url.is_empty());
        let address = args.address.or(file.address).filter(|address| !address.is_empty());
        Ok(Self {
            url: url.map(|url| ClusterUrl::parse("cluster", &url)).transpose()?,
            tls: args.tls.or(file.tls),
            address: address.map(|text| ClusterAddress::parse(&text)).transpose()?,
        })
    }

    /// The folder of the certificate.
    pub fn tls_folder(&self) -> Result<&Path> {
        self.tls.as_deref().ok_or_else(|| {
            Error::config("this process has no certificate of its cluster").with_hint(
                "name the folder of ca.pem, cert.pem and key.pem with --cluster-tls or LONGSHORE_CLUSTER_TLS",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheduler_is_named_by_https_a_host_and_a_port() {
        let url = |text: &str| ClusterUrl::parse("cluster", text).map(|url| url.to_string());
        assert_eq!(url("https://a:1").unwrap(), "https://a:1");
        assert_eq!(url("https://a/").unwrap(), "https://a:50050");
        assert_eq!(url("https://a:443").unwrap(), "https://a:443");
        assert_eq!(url("https://[::1]:9").unwrap(), "https://[::1]:9");
        for wrong in ["http://a:1", "a:1", "", "https://", "https://a/b", "https://a?b"] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
        let error = url("http://ada:s3cret@a:1").unwrap_err().to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }

    #[test]
    fn an_address_is_a_host_and_perhaps_a_port() {
        let address = |text: &str| ClusterAddress::parse(text).map(|own| (own.host, own.port));
        assert_eq!(address("a.internal").unwrap(), ("a.internal".to_owned(), None));
        assert_eq!(address("10.0.0.1:7").unwrap(), ("10.0.0.1".to_owned(), Some(7)));
        assert_eq!(address("[::1]:7").unwrap(), ("[::1]".to_owned(), Some(7)));
        for wrong in ["", ":7", "a/b", "a:x"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
