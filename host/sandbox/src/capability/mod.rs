//! The host's side of what a plugin can import: one file per WIT interface; `outside` is all of them
//! together, live or from a tape. Nothing here knows of WebAssembly; the sandbox binds it.

mod address;
pub mod connection;
pub mod digest;
pub mod host_env;
pub mod http;
pub mod kerberos;
pub mod log;
pub mod odbc;
pub mod scram;
pub mod tape;
pub mod tls;

pub use host_env::HostEnv;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use longshore_model::error::{Error, Result};

/// The most bytes that one call for randomness gives.
pub const RANDOM_LIMIT_BYTES: u32 = 65_536;

/// `clock.now`: nanoseconds since 1970-01-01T00:00:00Z.
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// `clock.monotonic`: nanoseconds since `start`.
pub fn monotonic_ns(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The longest that one call waits.
pub const SLEEP_LIMIT_MILLIS: u32 = 60_000;

/// `clock.sleep`.
pub async fn sleep(milliseconds: u32) {
    let wait = Duration::from_millis(milliseconds.min(SLEEP_LIMIT_MILLIS).into());
    tokio::time::sleep(wait).await;
}

/// `random.bytes`.
pub fn random_bytes(len: u32) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len.min(RANDOM_LIMIT_BYTES) as usize];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::resource(format!("the system gave no randomness: {error}")))?;
    Ok(bytes)
}
