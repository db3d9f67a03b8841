//! Why a run ends before everything is published.

use longshore_model::error::{Class, Error};

use super::commit::CommitError;
use super::report::Status;
use crate::phase::StopAction;

/// Why a run did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunEnd {
    /// It failed before its first chunk was read.
    #[error("{0}")]
    PreparationFailed(Error),
    /// It failed.
    #[error("{0}")]
    Failed(Error),
    /// Somebody cancelled it.
    #[error("{0}")]
    Cancelled(Error),
    /// It resumes when somebody takes it up.
    #[error("{0}")]
    Interrupted(Error),
}

impl RunEnd {
    /// The end of a run that was drained or interrupted.
    fn interrupted(exit_code: Option<u8>) -> Self {
        let error = Error::cancelled("the run was interrupted").with_hint(
            "the same run key resumes it, and `longshore runs retry`; a daemon resumes its runs when it starts",
        );
        Self::Interrupted(by_signal(error, exit_code))
    }

    /// The end of a run that was cancelled, with the exit code of the signal that did it.
    fn cancelled(exit_code: Option<u8>) -> Self {
        Self::Cancelled(by_signal(Error::cancelled("the run was cancelled"), exit_code))
    }

    /// The end of a run that was asked to stop.
    pub(super) fn after_stop(action: StopAction, exit_code: Option<u8>) -> Self {
        if action == StopAction::Discard {
            Self::cancelled(exit_code)
        } else {
            Self::interrupted(exit_code)
        }
    }

    /// Whether the run stays in its phase, and what it has in its target too.
    pub(super) fn is_resumable(&self) -> bool {
        matches!(self, Self::Interrupted(_))
    }

    /// As reports say it.
    pub(super) fn status(&self) -> Status {
        match self {
            Self::PreparationFailed(_) | Self::Failed(_) => Status::Failed,
            Self::Cancelled(_) => Status::Cancelled,
            Self::Interrupted(_) => Status::Interrupted,
        }
    }

    pub(super) fn into_error(self) -> Error {
        match self {
            Self::PreparationFailed(error)
            | Self::Failed(error)
            | Self::Cancelled(error)
            | Self::Interrupted(error) => error,
        }
    }
}

/// The process ends with the exit code of the signal, if a signal asked for it.
fn by_signal(error: Error, exit_code: Option<u8>) -> Error {
    match exit_code {
        Some(exit_code) => error.with_exit_code(exit_code),
        None => error,
    }
}

impl<E: Into<Error>> From<E> for RunEnd {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl From<CommitError> for RunEnd {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::TakenBack(error) if error.class() == Class::Cancelled => {
                Self::Cancelled(error)
            }
            CommitError::TakenBack(error) => Self::Failed(error),
            CommitError::Incomplete(error) => Self::Interrupted(error),
        }
    }
}
