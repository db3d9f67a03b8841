//! Panics as errors: a panic ends the run in which it happened, and nothing else.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use longshore_model::error::Error;

/// Makes a panic an error.
pub(super) async fn catch_panic<T, E: From<Error>>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
        let message = message.unwrap_or("no message");
        let error = Error::internal(format!("the program panicked: {message}"));
        Err(error.with_hint("this is a fault of Longshore: report it, with the log").into())
    })
}
