//! The refusal of rows whose columns do not go with those of the target.

use longshore_engine::drift::{Alignment, Refusal};
use longshore_model::config::target::Mode;
use longshore_model::error::{Error, Result};

/// The code of an error that tells of drift.
pub(crate) const DRIFT: &str = "drift";

/// The most causes that an error names.
const CAUSES_LIMIT: usize = 5;

/// What is left where a mode has no policies.
const WITHOUT_POLICY: &str = "make them the same in an `sql` step, or publish into a new folder";

/// Refuses rows that are not written as they are aligned with what lies at `url`.
pub(crate) fn check_columns(url: &str, mode: Mode, alignment: Option<&Alignment>) -> Result<()> {
    let refusals = alignment.map(Alignment::refusals).unwrap_or_default();
    let Some(Refusal { hint, .. }) = refusals.first() else { return Ok(()) };
    let hint = if mode.reads_first() { WITHOUT_POLICY } else { hint };
    let mut causes: Vec<String> =
        refusals.iter().take(CAUSES_LIMIT).map(|refusal| refusal.cause.clone()).collect();
    if refusals.len() > CAUSES_LIMIT {
        causes.push(format!("and {} more", refusals.len() - CAUSES_LIMIT));
    }
    Err(Error::config(format!("{url} has other columns: {}", causes.join("; ")))
        .with_code(Some(DRIFT.to_owned()))
        .with_hint(hint))
}
