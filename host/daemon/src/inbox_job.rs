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
use serde::Serialize;

use super::parameter_file::parameter_file;
use super::part::Part;

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
    let part = |name| Part::open(inbox, name).map_err(fault);
    let (running, folder) = (part(RUNNING)?, part(outcome.folder())?);
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
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let mut bytes = Vec::new();
            let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
            let file = File::options().read(true).custom_flags(flags).open(from)?;
            // Who may not read it there may not read it here.
            let mode = file.metadata()?.permissions().mode() & 0o777;
            file.take(DOCUMENT_LIMIT_BYTES).read_to_end(&mut bytes)?;
            atomic_file::write_with_mode(to, &bytes, mode)?;
            fs::remove_file(from)
        }
        moved => moved,
    }
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

/// `20261128T083137Z-0a1b2c3d`: nothing else is taken for one, as it becomes a part of paths.
fn is_run_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 25
        && bytes[..8].iter().chain(&bytes[9..15]).all(u8::is_ascii_digit)
        && (bytes[8], bytes[15], bytes[16]) == (b'T', b'Z', b'-')
        && bytes[17..].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
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
    fn a_job_that_was_taken_away_leaves_its_report() {
        let inbox = tempfile::tempdir().unwrap();
        let taken = InboxJob::new(inbox.path(), OsStr::new("a.yaml"), RUN);
        put_away(inbox.path(), &taken, Outcome::Failed, &"report").unwrap();
        let report = inbox.path().join("failed").join(taken.report_name());
        assert_eq!(fs::read_to_string(report).unwrap(), "\"report\"");
    }
}
