//! Requests to a store on other machines.

use std::time::Duration;

use longshore_model::error::{Class, Error, Result};

/// How long a store may take for one request that carries no rows.
pub(super) const STORE_TIMEOUT_SECS: u64 = 60;

/// Succeeds if the object that should be removed is not there.
pub(super) fn absent_is_fine(done: Result<()>) -> Result<()> {
    match done {
        Err(error) if error.class() != Class::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Gives up waiting after so many seconds: no wait is without a limit.
pub(super) async fn within<T, E: Into<Error>>(
    secs: u64,
    what: impl FnOnce() -> String,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T> {
    match tokio::time::timeout(Duration::from_secs(secs), work).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(Error::timeout(format!("{}: no answer within {secs} s", what()))
            .with_hint("check the store and the network to it")),
    }
}
