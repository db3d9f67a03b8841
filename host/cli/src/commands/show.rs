//! What people see: answers on stdout; logs and errors on stderr.

use std::io::{self, ErrorKind, Write, stderr, stdout};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use longshore_model::error::Error;
use longshore_model::format::{is_steering, json_escaped};
use serde::Serialize;

use super::board;

/// Whether only errors are said.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// Why an answer could not be written.
static UNWRITTEN: OnceLock<io::Error> = OnceLock::new();

/// An answer for people.
pub(super) fn answer(text: &str) {
    note_unwritten(writeln!(stdout(), "{}", plain(text.trim_end())));
}

/// Keeps in mind that an answer could not be written: the command goes on, and fails at its end.
pub(super) fn note_unwritten(written: io::Result<()>) {
    match written {
        // Whoever reads has closed the pipe: there is nobody to tell.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => drop(UNWRITTEN.set(error)),
        _ => {}
    }
}

/// The error of an answer that could not be written.
pub(super) fn unwritten() -> Option<Error> {
    note_unwritten(stdout().flush());
    let cause = UNWRITTEN.get()?;
    let error = Error::resource(format!("the answer cannot be written to stdout: {cause}"));
    Some(error.with_hint("check where stdout leads, then ask again"))
}

/// An answer for machines.
pub(super) fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => answer(&json_escaped(&text)),
        Err(error) => warning(&error.to_string()),
    }
}

/// An error, on one line: the thing, the cause, the next step. What else is wrong has a line each.
pub(super) fn failure(error: &Error) {
    match error.hint() {
        Some(hint) => say(&format!("longshore: {error}; next: {hint}")),
        None => say(&format!("longshore: {error}")),
    }
    error.also().iter().for_each(failure);
}

/// Prints a warning.
pub(super) fn warning(text: &str) {
    if !is_quiet() {
        say(&format!("longshore: {text}"));
    }
}

/// What a command does besides its answer.
pub(super) fn note(text: &str) {
    warning(text);
}

/// How far a run is, where there is no terminal.
pub(super) fn progress_line(line: &str) {
    say(line);
}

/// From now on, only errors are said.
pub(super) fn be_quiet() {
    IS_QUIET.store(true, Ordering::Relaxed);
}

/// Whether only errors are said.
pub(super) fn is_quiet() -> bool {
    IS_QUIET.load(Ordering::Relaxed)
}

fn say(line: &str) {
    board::above(|| {
        let _ = writeln!(stderr(), "{}", plain(line));
    });
}

/// Whatever plugins and sources call things, it steers no terminal.
fn plain(text: &str) -> String {
    text.replace(|c: char| is_steering(c) && c != '\n' && c != '\t', " ")
}

/// Whether somebody asked for plain text: <https://no-color.org>.
pub(super) fn wants_no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Writes log lines above the progress.
pub(super) struct LogWriter;

impl LogWriter {
    pub(super) fn new() -> Self {
        Self
    }
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        board::above(|| stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().flush()
    }
}
