//! The job of a run that has no job file: that of `longshore copy`, or one of standard input.
//!
//! It gets a file in the state folder for as long as the run can be taken up again: the holder of its snapshot reads
//! it, `longshore runs cancel` and `longshore runs retry`. Only the user can read it.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use longshore::program::Task;
use longshore_model::atomic_file;
use longshore_model::layout::JOB_COPIES;
use longshore_run::Status;

use super::show;

/// The file of the job of `longshore copy`.
pub(super) const COPY: &str = "copy.yaml";

/// What a job of standard input is called, but for its ending.
pub(super) const STDIN_STEM: &str = "stdin";

/// The link beside the file, to the folder that relative paths in the job start at.
const FOLDER_LINK: &str = "folder";

const MODE: u32 = 0o600;

/// Gives the job of a task a file. Where none can be written, the run still runs.
pub(super) fn give_file(task: &mut Task, state: &Path, name: &str, text: &str) {
    let Task::Run(work) = task else { return };
    let folder = folder_of_run(state, &work.run);
    match write(&folder, name, text, &work.job.folder) {
        Ok(()) => work.job.file = folder.join(name),
        Err(error) => show::warning(&format!(
            "keeping the job in {}: {error}: the run cannot be taken up again",
            folder.display()
        )),
    }
}

fn write(folder: &Path, name: &str, text: &str, start: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    atomic_file::write_with_mode(&folder.join(name), text.as_bytes(), MODE)?;
    let link = folder.join(FOLDER_LINK);
    // A run that is resumed has one.
    let _ = fs::remove_file(&link);
    symlink(start, &link)
}

/// The folder that relative paths in a job start at, if its file is one that a run got here.
pub(super) fn start_of_paths(file: &Path) -> Option<PathBuf> {
    let is_kept = file.file_name()? == COPY || file.file_stem()? == STDIN_STEM;
    is_kept.then(|| fs::read_link(file.with_file_name(FOLDER_LINK)).ok()).flatten()
}

/// Removes the file that the job of a run got, unless somebody may go on with the run.
pub(super) fn forget_ended(state: &Path, run: &str, status: Status) {
    let can_go_on = match status {
        Status::Interrupted => true,
        // People retry a copy. Programs give a job of standard input again.
        Status::Failed => folder_of_run(state, run).join(COPY).exists(),
        _ => false,
    };
    if !can_go_on {
        forget(state, run);
    }
}

/// Removes the file that the job of a run got, if it did.
pub(super) fn forget(state: &Path, run: &str) {
    // Most jobs have a file elsewhere.
    let _ = fs::remove_dir_all(folder_of_run(state, run));
}

fn folder_of_run(state: &Path, run: &str) -> PathBuf {
    state.join(JOB_COPIES).join(run)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Keeps the job of the run `r1`; gives its file.
    fn kept(state: &Path, name: &str) -> PathBuf {
        let folder = folder_of_run(state, "r1");
        write(&folder, name, "name: x\n", Path::new("/home/ada")).unwrap();
        folder.join(name)
    }

    #[test]
    fn only_the_user_reads_a_kept_job() {
        let state = tempfile::tempdir().unwrap();
        for name in [COPY, "stdin.yaml"] {
            let file = kept(state.path(), name);
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(fs::read_to_string(file).unwrap(), "name: x\n");
        }
    }

    #[test]
    fn a_kept_job_knows_its_folder_until_it_is_forgotten() {
        let state = tempfile::tempdir().unwrap();
        let file = kept(state.path(), "stdin.yaml");
        assert_eq!(start_of_paths(&file), Some("/home/ada".into()));
        assert_eq!(start_of_paths(&file.with_file_name("other.yaml")), None);
        forget(state.path(), "r1");
        assert_eq!((start_of_paths(&file), file.exists()), (None, false));
    }

    #[test]
    fn a_job_stays_as_long_as_somebody_may_go_on_with_its_run() {
        for (name, status, stays) in [
            (COPY, Status::Interrupted, true),
            (COPY, Status::Failed, true),
            (COPY, Status::Succeeded, false),
            (COPY, Status::Cancelled, false),
            ("stdin.json", Status::Interrupted, true),
            ("stdin.json", Status::Failed, false),
        ] {
            let state = tempfile::tempdir().unwrap();
            let file = kept(state.path(), name);
            forget_ended(state.path(), "r1", status);
            assert_eq!(file.exists(), stays, "{name} after {status:?}");
        }
    }
}
