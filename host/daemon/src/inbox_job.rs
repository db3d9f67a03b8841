//! A job file that was taken: what it is called, and where it goes.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use longshore_model::atomic_file;
use longshore_model::config::document::DOCUMENT_LIMIT_BYTES;
use longshore_model::error::{Error, Result};
use longshore_model::format::is_steering;
use longshore_model::layout::{DONE, FAILED, RUNNING};
use longshore_run::is_run_id;
use serde::Serialize;

use super::inbox_folder::InboxFolder;
use super::parameter_file::parameter_file;

/// The longest name of a job without its ending: with the run's id and the endings of its report, a file
/// system takes no longer one.
const STEM_LIMIT_BYTES: usize = 180;

/// What stands for a byte that is no text, and for a character that steers terminals.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// A job file that was taken: it lies in `running`, under a name that holds the run's id.
#[derive(Clone, Debug)]
pub struct InboxJob {
    /// Its name when it was dropped, as one line of text.
    pub name: String,
    /// The run's id.
    pub run: String,
    /// Where it lies.
    pub path: PathBuf,
}

/// Where a job file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// To `done`.
    Done,
    /// To `failed`.
    Failed,
}

impl Outcome {
    fn folder(self) -> &'static str {
        match self {
            Self::Done => DONE,
            Self::Failed => FAILED,
        }
    }
}

impl InboxJob {
    /// A file that was dropped under this name.
    pub(super) fn new(inbox: &Path, dropped: &OsStr, run: &str) -> Self {
        let name = plain_name(dropped);
        let path = inbox.join(RUNNING).join(with_run(&name, run));
        Self { name, run: run.to_owned(), path }
    }

    /// A file that lies in `running`, if it is a job's.
    pub(super) fn of(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let (rest, ending) = name.rsplit_once('.')?;
        let (stem, run) = rest.rsplit_once('.')?;
        is_run_id(run).then(|| Self {
            name: format!("{stem}.{ending}"),
            run: run.to_owned(),
            path: path.clone(),
        })
    }

    /// What it is called where it lies.
    pub(super) fn file_name(&self) -> String {
        with_run(&self.name, &self.run)
    }

    /// What its parameter file is called where it lies.
    pub(super) fn parameter_file_name(&self) -> PathBuf {
        let name = PathBuf::from(self.file_name());
        parameter_file(&name).unwrap_or(name)
    }

    fn report_name(&self) -> String {
        let stem = self.name.rsplit_once('.').map_or(self.name.as_str(), |(stem, _)| stem);
        format!("{stem}.{}.report.json", self.run)
    }
}

/// Puts a job file away, with its report and its parameter file beside it; gives where it lies then. The job file
/// goes last: whoever sees it there finds the others.
pub(super) fn put_away(
    inbox: &Path,
    taken: &InboxJob,
    outcome: Outcome,
    report: &impl Serialize,
) -> Result<PathBuf> {
    let fault = |error| Error::io(format!("putting {} away", shown(&taken.path)), error);
    let open = |name| InboxFolder::open(inbox, name).map_err(fault);
    let (running, folder) = (open(RUNNING)?, open(outcome.folder())?);
    let text = serde_json::to_vec_pretty(report)?;
    write_public(&folder.file(taken.report_name()), &text).map_err(fault)?;
    for name in [taken.parameter_file_name(), PathBuf::from(taken.file_name())] {
        match move_file(&running.file(&name), &folder.file(&name)) {
            // There is none, or somebody took it away: the report tells all.
            Err(error) if error.kind() == io::ErrorKind::NotFound && folder.path().exists() => {}
            moved => moved.map_err(fault)?,
        }
    }
    Ok(inbox.join(outcome.folder()).join(taken.file_name()))
}

/// Writes a file of the inbox, which everybody may read whatever the daemon's umask is.
pub(super) fn write_public(path: &Path, bytes: &[u8]) -> io::Result<()> {
    atomic_file::write_with_mode(path, bytes, 0o644)
}

/// Also to another file system: one may be mounted at `done`.
pub(super) fn move_file(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => move_by_copy(from, to),
        moved => moved,
    }
}

/// Copies a file whole, and then removes it: one that has grown beyond what a job file may hold stays.
fn move_by_copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut bytes = Vec::new();
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = File::options().read(true).custom_flags(flags).open(from)?;
    // Who may not read it there may not read it here.
    let mode = file.metadata()?.permissions().mode() & 0o777;
    file.take(DOCUMENT_LIMIT_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > DOCUMENT_LIMIT_BYTES {
        let what = format!("the file has more than {DOCUMENT_LIMIT_BYTES} bytes by now");
        return Err(io::Error::other(what));
    }
    atomic_file::write_with_mode(to, &bytes, mode)?;
    fs::remove_file(from)
}

/// A name as a job is called by: text on one line, short enough for the names that are made of it.
fn plain_name(dropped: &OsStr) -> String {
    let text = dropped.to_string_lossy();
    let clean: String =
        text.chars().map(|c| if is_steering(c) { REPLACEMENT } else { c }).collect();
    let (stem, ending) = clean.rsplit_once('.').unwrap_or((clean.as_str(), ""));
    format!("{}.{ending}", &stem[..stem.floor_char_boundary(STEM_LIMIT_BYTES)])
}

/// A path on one line of a log.
pub(super) fn shown(path: &Path) -> String {
    path.to_string_lossy()
        .chars()
        .flat_map(
            |c| if is_steering(c) { c.escape_default().collect::<Vec<char>>() } else { vec![c] },
        )
        .collect()
}

/// `shop.yaml` becomes `shop.RUN.yaml`.
fn with_run(name: &str, run: &str) -> String {
    match name.rsplit_once('.') {
        Some((stem, ending)) => format!("{stem}.{run}.{ending}"),
        None => format!("{name}.{run}"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    const RUN: &str = "20261128T083137Z-0a1b2c3d";

    #[test]
    fn names_hold_the_run_and_give_it_back() {
        let taken = InboxJob::new(Path::new("/in"), OsStr::new("my.shop.yaml"), RUN);
        assert_eq!(taken.path, Path::new("/in/running/my.shop.20261128T083137Z-0a1b2c3d.yaml"));
        let found = InboxJob::of(taken.path).unwrap();
        assert_eq!((found.name.as_str(), found.run.as_str()), ("my.shop.yaml", RUN));
        assert!(InboxJob::of(PathBuf::from("/in/running/a.report.json")).is_none());
        assert!(InboxJob::of(PathBuf::from("/in/running/x..yaml")).is_none());
    }

    #[test]
    fn every_name_becomes_one_that_can_be_written() {
        let long = "é".repeat(120) + ".yaml";
        for name in [
            b"caf\xe9.yaml".as_slice(),
            b"a\nERROR b.yaml",
            "a\u{202e}b.yaml".as_bytes(),
            long.as_bytes(),
        ] {
            let taken = InboxJob::new(Path::new("/in"), OsStr::from_bytes(name), RUN);
            assert!(taken.report_name().len() + 20 <= 255, "{}", taken.name);
            assert!(!taken.name.contains(is_steering) && taken.name.ends_with(".yaml"));
        }
    }

    #[test]
    fn a_file_is_copied_whole_or_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::write(&from, vec![b'x'; DOCUMENT_LIMIT_BYTES as usize + 1]).unwrap();
        assert!(move_by_copy(&from, &to).is_err());
        assert!(from.exists() && !to.exists());
        fs::write(&from, vec![b'x'; DOCUMENT_LIMIT_BYTES as usize]).unwrap();
        move_by_copy(&from, &to).unwrap();
        assert_eq!(fs::metadata(&to).unwrap().len(), DOCUMENT_LIMIT_BYTES);
        assert!(!from.exists());
    }

    #[test]
    fn a_job_that_was_taken_away_leaves_its_report() {
        let inbox = tempfile::tempdir().unwrap();
        let taken = InboxJob::new(inbox.path(), OsStr::new("a.yaml"), RUN);
        put_away(inbox.path(), &taken, Outcome::Failed, &"report").unwrap();
        let report = inbox.path().join("failed").join(taken.report_name());
        assert_eq!(fs::read_to_string(report).unwrap(), "\"report\"");
    }
}
