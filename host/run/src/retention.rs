//! The retention of runs: the operator sets how many are remembered. Their tapes are kept as long.

use std::fs;

use longshore_model::config::Settings;
use longshore_model::error::{Error, Result};
use longshore_model::layout::COPIES;
use longshore_sandbox::tape;

use super::scratch;
use crate::ledger::{Ledger, RunEntry};
use crate::phase::{Outcome, Phase};

/// Forgets the oldest runs beyond the limit, and removes what runs that are over have left in scratch.
pub fn forget_old_runs(ledger: &Ledger, settings: &Settings) -> Result<()> {
    let forgotten = ledger.prune(settings.history_runs)?;
    forgotten.iter().try_for_each(|run| tape::forget(&settings.state, run))?;
    forget_copies(ledger, settings)?;
    scratch::sweep(settings, |run| Ok(ledger.entry(run)?.is_none_or(|entry| entry.phase.is_done())))
}

/// Removes the jobs of copies with whose runs nobody goes on.
fn forget_copies(ledger: &Ledger, settings: &Settings) -> Result<()> {
    let found = fs::read_dir(settings.state.join(COPIES)).into_iter().flatten().flatten();
    for file in found.map(|entry| entry.path()) {
        let Some(run) = file.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let is_over = |entry: &RunEntry| entry.phase == Phase::Done(Outcome::Succeeded);
        if ledger.entry(run)?.as_ref().is_none_or(is_over) && !ledger.is_locked(run)? {
            fs::remove_file(&file).map_err(|error| Error::io(file.display(), error))?;
        }
    }
    Ok(())
}
