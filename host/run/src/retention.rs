//! The retention of runs: the operator sets how many are remembered. Their tapes are kept as long.

use longshore_model::config::Settings;
use longshore_model::error::Result;
use longshore_sandbox::tape;

use super::scratch;
use crate::ledger::Ledger;

/// Forgets the oldest runs beyond the limit, and removes what runs that are over have left in scratch.
pub fn forget_old_runs(ledger: &Ledger, settings: &Settings) -> Result<()> {
    let forgotten = ledger.prune(settings.history_runs)?;
    forgotten.iter().try_for_each(|run| tape::forget(&settings.state, run))?;
    scratch::sweep(settings, |run| Ok(ledger.entry(run)?.is_none_or(|entry| entry.phase.is_done())))
}
