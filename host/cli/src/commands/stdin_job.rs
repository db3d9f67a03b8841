//! A job on standard input: `longshore run -`. Programs give jobs so that nobody else should read.
//!
//! A run whose job has no file gets one in the state folder, for as long as the run can be taken up again: the
//! holder of its snapshot reads it, `longshore runs cancel` and `longshore runs retry`.

use std::fs;
use std::io::{Read, stdin};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use longshore_model::atomic_file;
use longshore_model::config::document::DOCUMENT_LIMIT_BYTES;
use longshore_model::config::{Arguments, Job, Policy};
use longshore_model::error::{Error, Result};
use longshore_model::layout::JOB_COPIES;
use serde::de::IgnoredAny;

use super::show;

/// What stands for standard input, where a job file could.
const STDIN: &str = "-";

/// What the file is called there, but for its ending, and what a job is called that says no name.
const STEM: &str = "stdin";

/// The link there to the folder in which files lie that the job names.
const FOLDER_LINK: &str = "folder";

/// Only the user reads them.
const MODE: u32 = 0o600;

/// Whether standard input is meant.
pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new(STDIN)
}

/// Reads the job; files that it names lie in the folder where the command is called.
pub(super) fn read(arguments: &Arguments, policy: &Policy) -> Result<Job> {
    let text = text()?;
    let here = std::env::current_dir().map_err(|error| Error::io("the folder", error))?;
    Job::of_text(text, &file_name(text), &here, arguments, policy)
}

/// The text, which can be read only once.
fn text() -> Result<&'static str> {
    static TEXT: OnceLock<Result<String>> = OnceLock::new();
    TEXT.get_or_init(read_text).as_deref().map_err(Error::copy)
}

fn read_text() -> Result<String> {
    let mut bytes = Vec::new();
    let read = stdin().take(DOCUMENT_LIMIT_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| Error::io("standard input", error))?;
    if bytes.len() as u64 > DOCUMENT_LIMIT_BYTES {
        let message = format!("standard input holds more than {DOCUMENT_LIMIT_BYTES} bytes");
        return Err(Error::config(message).with_hint("give a smaller job"));
    }
    String::from_utf8(bytes).map_err(|_| {
        Error::config("standard input is not UTF-8 text").with_hint("give a job in YAML or JSON")
    })
}

/// JSON is YAML, too, but for some escapes.
fn file_name(text: &str) -> String {
    let is_json = serde_json::from_str::<IgnoredAny>(text).is_ok();
    format!("{STEM}.{}", if is_json { "json" } else { "yaml" })
}

/// The job of a run, with a file of its own if it has none. Where none can be written, the run still runs.
pub(super) fn with_file(job: &Job, state: &Path, run: &str) -> Job {
    let mut job = job.clone();
    if job.file == Path::new("") {
        match keep(&kept(state, run), &job.folder) {
            Ok(file) => job.file = file,
            Err(error) => show::warning(&format!("{error}: the run cannot be taken up again")),
        }
    }
    job
}

fn keep(kept: &Path, folder: &Path) -> Result<PathBuf> {
    let text = text()?;
    let (file, link) = (kept.join(file_name(text)), kept.join(FOLDER_LINK));
    let written = || {
        fs::create_dir_all(kept)?;
        atomic_file::write_with_mode(&file, text.as_bytes(), MODE)?;
        // A run that is resumed has one.
        let _ = fs::remove_file(&link);
        symlink(folder, &link)
    };
    written()
        .map_err(|error| Error::io(format!("keeping the job in {}", kept.display()), error))?;
    Ok(file)
}

/// The folder in which files lie that a job names, if its file is one that a run got here.
pub(super) fn folder_of(file: &Path) -> Option<PathBuf> {
    let is_kept = file.file_stem().is_some_and(|stem| stem == STEM);
    is_kept.then(|| fs::read_link(file.with_file_name(FOLDER_LINK)).ok()).flatten()
}

/// Removes the file that the job of a run got, if it did.
pub(super) fn forget(state: &Path, run: &str) {
    // Most jobs have a file elsewhere.
    let _ = fs::remove_dir_all(kept(state, run));
}

/// Where the job of a run is kept that has no file.
fn kept(state: &Path, run: &str) -> PathBuf {
    state.join(JOB_COPIES).join(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_as_json_and_all_else_as_yaml() {
        assert_eq!(file_name(r#"{"name": "\ud83d\ude00"}"#), "stdin.json");
        for yaml in ["{name: x}", "name: x\n", ""] {
            assert_eq!(file_name(yaml), "stdin.yaml");
        }
    }

    #[test]
    fn a_kept_job_knows_its_folder_until_it_is_forgotten() {
        let state = tempfile::tempdir().unwrap();
        let file = kept(state.path(), "r1").join("stdin.yaml");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        symlink("/home/ada", file.with_file_name(FOLDER_LINK)).unwrap();
        assert_eq!(folder_of(&file), Some("/home/ada".into()));
        assert_eq!(folder_of(&file.with_file_name("other.yaml")), None);
        forget(state.path(), "r1");
        assert_eq!((folder_of(&file), file.exists()), (None, false));
    }
}
