//! `postgres://user@host:port/database?sslmode=..`

use longshore_sdk::{Error, Result};
use percent_encoding::percent_decode_str;

use crate::SslMode;

/// PostgreSQL's port.
pub const PORT: u16 = 5432;

/// Where the server is, and as whom to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The database; the user's name if the URL names none.
    pub database: String,
    /// What the URL says of TLS.
    pub sslmode: Option<SslMode>,
}

impl Address {
    /// Reads a URL.
    pub fn parse(url: &str) -> Result<Self> {
        let refused = |cause: &str| {
            Error::config(cause).with_hint("write it as in postgres://user@host:5432/database")
        };
        let (_, rest) = url.split_once("://").ok_or_else(|| refused("no `://` in it"))?;
        let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let user = decode(user)?;
        if user.is_empty() {
            return Err(refused("it names no user"));
        }
        let (host, port) = match place.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().map_err(|_| refused("its port is not a number"))?,
            None => PORT,
        };
        let database = match decode(database)? {
            empty if empty.is_empty() => user.clone(),
            database => database,
        };
        let mut sslmode = None;
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", mode)) => sslmode = Some(parse_mode(mode)?),
                _ => {
                    // Its value may be a password.
                    let name = parameter.split('=').next().unwrap_or_default();
                    return Err(Error::config(format!("unknown parameter `{name}`"))
                        .with_hint("the one known parameter is sslmode"));
                }
            }
        }
        Ok(Self { host: decode(host)?, port, user, database, sslmode })
    }
}

fn parse_mode(mode: &str) -> Result<SslMode> {
    Ok(match mode {
        "disable" => SslMode::Disable,
        "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        other => {
            return Err(Error::config(format!("sslmode `{other}` is not known"))
                .with_hint("give disable, prefer, require, verify-ca or verify-full"));
        }
    })
}

fn decode(text: &str) -> Result<String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| Error::config("it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_every_form_are_understood() {
        let parsed =
            Address::parse("postgres://re%40der@[::1]:6000/my%20shop?sslmode=verify-full").unwrap();
        assert_eq!(
            parsed,
            Address {
                host: "::1".into(),
                port: 6000,
                user: "re@der".into(),
                database: "my shop".into(),
                sslmode: Some(SslMode::VerifyFull),
            }
        );
        let short = Address::parse("postgresql://reader@db").unwrap();
        assert_eq!((short.port, short.database.as_str()), (5432, "reader"));
        assert!(Address::parse("postgres://db/shop").is_err());
        assert!(Address::parse("postgres://u@db/shop?sslmod=require").is_err());
    }
}
