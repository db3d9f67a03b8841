//! The retention of runs: the operator sets how many are remembered. Their tapes are kept as long.

use std::fs::{self, DirEntry};
use std::time::Duration;

use longshore_model::config::Settings;
use longshore_model::error::{Error, Result};
use longshore_model::layout::JOB_COPIES;
use longshore_sandbox::tape;

use super::scratch;
use crate::ledger::Ledger;
use crate::phase::{Outcome, Phase};

/// How long a job may lie there before its run is recorded: a run that just begins is in no ledger yet.
const UNRECORDED_LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Forgets the oldest runs beyond the limit, and removes what runs that are over have left in scratch.
pub fn forget_old_runs(ledger: &Ledger, settings: &Settings) -> Result<()> {
    let forgotten = ledger.prune(settings.history_runs)?;
    forgotten.iter().try_for_each(|run| tape::forget(&settings.state, run))?;
    forget_kept_jobs(ledger, settings)?;
    scratch::sweep(settings, |run| Ok(ledger.entry(run)?.is_none_or(|entry| entry.phase.is_done())))
}

/// Removes the jobs without a file with whose runs nobody goes on.
fn forget_kept_jobs(ledger: &Ledger, settings: &Settings) -> Result<()> {
    let found = fs::read_dir(settings.state.join(JOB_COPIES)).into_iter().flatten().flatten();
    // Files are copies of standing jobs.
    for folder in found.filter(|entry| entry.path().is_dir()) {
        let Ok(run) = folder.file_name().into_string() else { continue };
        let is_over = match ledger.entry(&run)? {
            Some(entry) => entry.phase == Phase::Done(Outcome::Succeeded),
            None => is_old(&folder),
        };
        if is_over && !ledger.is_locked(&run)? {
            let removed = fs::remove_dir_all(folder.path());
            removed.map_err(|error| Error::io(folder.path().display(), error))?;
        }
    }
    Ok(())
}

fn is_old(folder: &DirEntry) -> bool {
    let changed = folder.metadata().and_then(|found| found.modified());
    changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > UNRECORDED_LIMIT))
}
