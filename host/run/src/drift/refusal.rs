//! The refusal of rows whose columns do not go with those of the target.

use longshore_engine::drift::{Alignment, Refusal};
use longshore_model::error::{Error, Result};

/// The code of an error that tells of drift.
pub(crate) const DRIFT: &str = "drift";

/// The most causes that an error names.
const CAUSES_LIMIT: usize = 5;

/// Refuses rows that are not written as they are aligned with what lies at `url`.
pub(crate) fn check_columns(url: &str, alignment: Option<&Alignment>) -> Result<()> {
    let refusals = alignment.map(Alignment::refusals).unwrap_or_default();
    let Some(Refusal { hint, .. }) = refusals.first() else { return Ok(()) };
    let mut causes: Vec<String> =
        refusals.iter().take(CAUSES_LIMIT).map(|refusal| refusal.cause.clone()).collect();
    if refusals.len() > CAUSES_LIMIT {
        causes.push(format!("and {} more", refusals.len() - CAUSES_LIMIT));
    }
    Err(Error::config(format!("{url} has other columns: {}", causes.join("; ")))
        .with_code(Some(DRIFT.to_owned()))
        .with_hint(hint.clone()))
}
