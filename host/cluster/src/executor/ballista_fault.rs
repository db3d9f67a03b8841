//! What Ballista says of errors, in our words.

use std::error::Error as StdError;
use std::io;
use std::iter::successors;

use ballista_core::error::BallistaError;
use datafusion::error::DataFusionError;
use longshore_model::error::Error;

use crate::executor_id::name_of;

/// The error of a full disk, if that is the cause.
pub(super) fn no_room(error: &DataFusionError) -> Option<io::Error> {
    for inner in causes(error) {
        let kind = inner.downcast_ref::<io::Error>().map(io::Error::kind);
        if let Some(kind @ (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) = kind {
            return Some(kind.into());
        }
    }
    None
}

/// The cause of an error. Ballista does not tell those of its own.
fn source<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref() {
        Some(BallistaError::ArrowError(inner)) => Some(inner),
        Some(BallistaError::IoError(inner)) => Some(inner),
        Some(BallistaError::DataFusionError(inner)) => Some(inner.as_ref()),
        _ => error.source(),
    }
}

/// The error of rows that cannot be had from another executor, if that is the cause.
pub(super) fn not_fetched(error: &DataFusionError) -> Option<Error> {
    let failed = causes(error).find_map(|cause| match cause.downcast_ref() {
        Some(BallistaError::FetchFailed(executor, ..)) => Some(executor),
        _ => None,
    })?;
    tracing::debug!("{error}");
    let text = format!("rows cannot be fetched from executor {}", name_of(failed));
    Some(Error::connection(text).with_hint(
        "check that executors reach each other at the addresses that `longshore-cluster cluster status` shows; \
         --cluster-address gives an executor another",
    ))
}

fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    successors(Some(error), |cause| source(*cause))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::error::ArrowError;

    use super::*;

    #[test]
    fn a_full_disk_is_found_where_arrow_and_datafusion_put_it() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let arrow = ArrowError::IoError("full".into(), full());
        let ballista = BallistaError::ArrowError(Box::new(arrow));
        let shared = DataFusionError::Shared(Arc::new(DataFusionError::External(ballista.into())));
        assert_eq!(no_room(&shared).map(|error| error.kind()), Some(io::ErrorKind::StorageFull));
        assert!(no_room(&DataFusionError::IoError(full())).is_some());
        assert!(no_room(&DataFusionError::Execution("No space left".into())).is_none());
    }

    #[test]
    fn rows_that_cannot_be_fetched_are_tried_again() {
        let failed = BallistaError::FetchFailed("b".into(), 1, 0, "no route".into());
        let error = not_fetched(&DataFusionError::External(failed.into())).unwrap();
        assert!(error.class().is_transient() && error.to_string().contains("executor b"));
        assert!(not_fetched(&DataFusionError::Execution("fetch".into())).is_none());
    }
}
