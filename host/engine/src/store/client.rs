//! The HTTP clients of object stores: how long they wait, and how often they try.

use std::time::Duration;

use longshore_model::error::{Error, Result};
use object_store::{ClientOptions, RetryConfig};
use url::Url;

/// How long a store may take for one try of a request that carries no rows.
pub(crate) const REQUEST_TIMEOUT_SECS: u64 = 20;

/// How long a store may take for one try of a request that carries rows here.
pub(super) const READ_TIMEOUT_SECS: u64 = 300;

/// A request is tried again so often at once.
pub(super) const STORE_RETRIES: usize = 3;

/// And for so long.
const STORE_RETRY_SECS: u64 = 30;

/// A server's URL, before a client is made that would not survive it.
pub(super) fn check_endpoint(at: &str, endpoint: &str) -> Result<()> {
    let is_web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    let is_plain = !endpoint.contains(|c: char| c.is_control() || c == ' ');
    if is_plain && Url::parse(endpoint).is_ok_and(|url| is_web(&url)) {
        return Ok(());
    }
    let shown: String = endpoint.chars().filter(|c| !c.is_control()).collect();
    Err(Error::config(format!("`{at}`: `{shown}` is no server's URL"))
        .with_hint("write it as in https://storage.internal:9000"))
}

/// How long one request may take.
pub(super) fn client_options(plain_http: bool, secs: u64) -> ClientOptions {
    ClientOptions::new().with_timeout(Duration::from_secs(secs)).with_allow_http(plain_http)
}

/// The store's own retries; ours come on top.
pub(super) fn retry_config() -> RetryConfig {
    RetryConfig {
        max_retries: STORE_RETRIES,
        retry_timeout: Duration::from_secs(STORE_RETRY_SECS),
        ..Default::default()
    }
}
