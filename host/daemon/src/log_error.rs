//! Errors in the daemon's log.

use longshore_model::error::{Error, Result};

/// The next step of an error, as the end of a line.
pub(super) fn next_step(error: &Error) -> String {
    error.hint().map(|hint| format!("; next: {hint}")).unwrap_or_default()
}

/// Logs the error of a result, if it is one.
pub(super) fn log_error<T>(result: Result<T>) -> Option<T> {
    result.inspect_err(|error| tracing::error!("{error}{}", next_step(error))).ok()
}
