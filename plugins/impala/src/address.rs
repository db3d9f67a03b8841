//! `impala://user@host:21050/database`, `hive://user@host:10000/database`

use longshore_sdk::{Error, Result};
use percent_encoding::percent_decode_str;

/// The ports that servers listen on unless told.
pub const IMPALA_PORT: u16 = 21050;
pub const HIVE_PORT: u16 = 10000;

/// The user where the URL names none.
const NOBODY: &str = "anonymous";

/// Whose SQL, and whose catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    Impala,
    /// And Spark, which answers as Hive does.
    Hive,
}

/// Where the server is, and as whom to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub product: Product,
    pub host: String,
    pub port: u16,
    pub user: String,
    /// Of tables that are named without one; the server's own if absent.
    pub database: Option<String>,
}

impl Address {
    pub fn parse(url: &str) -> Result<Self> {
        let refused = |cause: &str| {
            Error::config(cause).with_hint(
                "write it as in impala://user@host:21050/db or hive://user@host:10000/db",
            )
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| refused("no `://` in it"))?;
        let (product, default_port) = match scheme {
            "impala" => (Product::Impala, IMPALA_PORT),
            _ => (Product::Hive, HIVE_PORT),
        };
        if rest.contains('?') {
            return Err(refused("parameters are keys beside `url`"));
        }
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, place) = authority.rsplit_once('@').unwrap_or((NOBODY, authority));
        let (host, port) = match place.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        let port = port.map_or(Ok(default_port), |port| {
            port.parse().map_err(|_| refused("its port is not a number"))
        })?;
        let database = decode(database)?;
        if host.is_empty() {
            Err(refused("it names no host"))
        } else {
            Ok(Self {
                product,
                host: decode(host)?,
                port,
                user: decode(user)?,
                database: Some(database).filter(|name| !name.is_empty()),
            })
        }
    }
}

fn decode(text: &str) -> Result<String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| Error::config("it is not UTF-8 after decoding `%`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_server_and_what_it_is() {
        let address = Address::parse("impala://ada@db.internal/sales").unwrap();
        assert_eq!((address.product, address.port), (Product::Impala, 21050));
        assert_eq!((address.user.as_str(), address.database.as_deref()), ("ada", Some("sales")));
        let address = Address::parse("hive://[::1]:9999").unwrap();
        assert_eq!((address.host.as_str(), address.port, address.database), ("::1", 9999, None));
        assert_eq!(Address::parse("hive://h").unwrap().port, HIVE_PORT);
        for wrong in ["impala:h", "hive://", "hive://h:x", "hive://h/db?ssl=1"] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }
}
