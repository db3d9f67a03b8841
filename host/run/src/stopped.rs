//! Why a run ends before it is done.

use longshore_model::error::Error;

use super::commit::Uncommitted;

/// Why a run did not succeed.
pub(super) enum Stopped {
    Failed(Error),
    Cancelled,
    /// It goes on when somebody takes it up.
    Interrupted(Error),
    /// It could not begin to read.
    Unprepared(Error),
}

impl<E: Into<Error>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Uncommitted> for Stopped {
    fn from(uncommitted: Uncommitted) -> Self {
        match uncommitted {
            Uncommitted::TakenBack(error) => Self::Failed(error),
            Uncommitted::HalfWay(error) => Self::Interrupted(error),
        }
    }
}
