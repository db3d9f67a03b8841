//! Where a sink writes to, as a policy and a job name it: a URL of which scheme, host, port and path count.
//! Who logs in there does not.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::error::{Error, Result};

/// What a sink writes to, with all that is beneath it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkUrl {
    scheme: String,
    host: String,
    port: Option<u16>,
    /// The port where none is named, if it is known: only the plugin knows that of most schemes.
    default_port: Option<u16>,
    path: Vec<String>,
}

impl SinkUrl {
    /// Takes a URL apart. What two readers could take for two places is refused.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let wrong = |cause: &str| {
            Error::config(format!("`{text}`: {cause}"))
                .with_hint("write it as in postgres://dw.internal/shop or https://hooks.internal/")
        };
        if text.trim() != text || text.contains(|c: char| c.is_control() || c == '\\' || c == '#') {
            return Err(wrong("the URL holds a character that does not belong there"));
        }
        let whole = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        let host = whole.host_str().filter(|host| !host.is_empty());
        let host = decoded(host.ok_or_else(|| wrong("the URL names no host"))?);
        // As it stands: a URL that is parsed has its dots carried out already.
        let rest = text.split_once("://").map(|(_, rest)| rest);
        let rest = rest.filter(|rest| !rest.starts_with('/'));
        let rest = rest.ok_or_else(|| wrong("two slashes are wanted before the host"))?;
        let rest = rest.split('?').next().unwrap_or_default();
        let path = rest.split_once('/').map_or("", |(_, path)| path);
        let path: Vec<String> = match path.trim_end_matches('/') {
            "" => Vec::new(),
            path => path.split('/').map(decoded).collect(),
        };
        if path.iter().any(|name| matches!(name.as_str(), "." | "..") || name.contains('/')) {
            return Err(wrong("a name in the URL's path is a place and no name"));
        }
        Ok(Self {
            scheme: whole.scheme().to_owned(),
            host: host.to_ascii_lowercase(),
            port: whole.port_or_known_default(),
            default_port: None,
            path,
        })
    }

    /// The same, where it is known what port is meant where none is named.
    pub(super) fn with_default_port(self, default_port: Option<u16>) -> Self {
        Self { default_port, ..self }
    }

    /// Whether it is a place or one beneath it. Ports differ where both are known.
    pub(super) fn is_under(&self, area: &Self) -> bool {
        let own = self.port.or(self.default_port);
        let other = area.port.or(self.default_port);
        let port_fits = own.zip(other).is_none_or(|(own, other)| own == other);
        self.scheme == area.scheme
            && self.host == area.host
            && port_fits
            && self.path.starts_with(&area.path)
    }
}

impl fmt::Display for SinkUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.path.iter().try_for_each(|name| write!(f, "/{name}"))
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_under(text: &str, area: &str) -> bool {
        let url = SinkUrl::parse(text).unwrap().with_default_port(Some(5432));
        url.is_under(&SinkUrl::parse(area).unwrap())
    }

    #[test]
    fn an_area_is_a_scheme_a_host_a_port_and_a_path_with_all_beneath() {
        let area = "postgres://dw.internal/shop";
        for fine in [
            "postgres://dw.internal/shop",
            "postgres://loader:secret@DW.internal:5432/shop?sslmode=require",
            "postgres://dw.internal/shop/",
            "postgres://dw.internal/sh%6Fp",
        ] {
            assert!(is_under(fine, area), "{fine}");
        }
        for other in [
            "postgres://dw.internal/shop-evil",
            "postgres://dw.internal/sho",
            "postgres://dw.internal",
            "postgres://dw.internal//shop",
            "postgres://dw.internal:5433/shop",
            "postgres://dw.internal.evil/shop",
            "postgres://shop@dw/shop",
            "postgresql://dw.internal/shop",
        ] {
            assert!(!is_under(other, area), "{other}");
        }
        assert!(is_under("https://u@hooks.internal:443/a/b?x=1", "https://hooks.internal/"));
        assert!(!is_under("http://hooks.internal/a", "https://hooks.internal/"));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for odd in [
            "https://hooks.internal/a/../b",
            "https://hooks.internal/a/%2e%2E/b",
            "https://hooks.internal/a%2Fb",
            "https://hooks.internal\\@evil/",
            "postgres://dw.internal/shop#x",
            "postgres://dw.internal/sh\top",
            "postgres:///shop",
            "https:///hooks.internal/a",
            "https:hooks.internal/a",
            "dw.internal",
        ] {
            assert!(SinkUrl::parse(odd).is_err(), "{odd}");
        }
    }
}
