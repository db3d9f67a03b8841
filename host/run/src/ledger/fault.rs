//! The errors of the ledger.

use longshore_model::error::{Class, Error};

/// A result of the ledger.
pub(super) type Result<T> = std::result::Result<T, LedgerError>;

/// An error of the ledger.
#[derive(Debug, thiserror::Error)]
pub(super) enum LedgerError {
    /// The file cannot be read or written.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// Its content is not what this program wrote, or not what it may write.
    #[error(transparent)]
    Content(#[from] Error),
}

impl From<serde_json::Error> for LedgerError {
    fn from(error: serde_json::Error) -> Self {
        Self::Content(error.into())
    }
}

impl From<LedgerError> for Error {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Sqlite(error) => of_sqlite(error),
            LedgerError::Content(error) => error,
        }
    }
}

/// An error of SQLite, with the next step for whoever must act.
fn of_sqlite(error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as Code;
    let hint = match error.sqlite_error_code() {
        Some(Code::DiskFull) => {
            return Error::new(Class::Full, format!("the ledger: {error}"))
                .with_hint("make room where the state folder is")
                .with_source(error);
        }
        Some(Code::CannotOpen | Code::PermissionDenied | Code::ReadOnly) => {
            "let the user that Longshore runs as write the state folder"
        }
        Some(Code::DatabaseCorrupt | Code::NotADatabase) => {
            "move the ledger away, and run again: what is published is not touched"
        }
        _ => "look at the state folder",
    };
    Error::resource(format!("the ledger: {error}")).with_hint(hint).with_source(error)
}
