//! What people see: answers on stdout; progress, logs and errors on stderr.

use std::io::{self, IsTerminal, Write, stderr, stdout};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use longshore_model::error::Error;
use longshore_model::format::{is_steering, json_escaped};
use longshore_run::{Progress, RelationProgress};
use serde::Serialize;
use tokio::task::AbortHandle;

/// How often bars move.
const BAR_MILLIS: u64 = 100;

/// How often a line is written where there is no terminal.
const LINE_MILLIS: u64 = 1_000;

/// How often the daemon's log says how far a run is, if it got on.
const EVENT_SECS: u64 = 10;

/// More relations than this share one bar.
const BARS: usize = 20;

/// A bar's full length.
const BAR_STEPS: u64 = 1_000;

static BOARD: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// An answer for people.
pub(super) fn answer(text: &str) {
    // Whoever reads has closed the pipe: there is nobody to tell.
    let _ = writeln!(stdout(), "{}", plain(text.trim_end()));
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

/// What somebody should look at.
pub(super) fn warning(text: &str) {
    say(&format!("longshore: {text}"));
}

fn say(line: &str) {
    BOARD.suspend(|| {
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

/// Writes log lines without tearing the bars.
pub(super) struct LogWriter;

impl LogWriter {
    pub(super) fn new() -> Self {
        Self
    }
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        BOARD.suspend(|| stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().flush()
    }
}

/// Shows progress until it is dropped.
pub(super) struct Showing(AbortHandle, Vec<ProgressBar>);

impl Drop for Showing {
    fn drop(&mut self) {
        self.0.abort();
        self.1.iter().for_each(ProgressBar::finish_and_clear);
    }
}

/// Shows a run's progress: bars on a terminal, lines elsewhere. Call it on a runtime.
pub(super) fn progress(progress: Arc<Progress>) -> Showing {
    if stderr().is_terminal() { bars(progress) } else { lines(progress) }
}

fn bars(progress: Arc<Progress>) -> Showing {
    let bar = if wants_no_color() { "{bar:30}" } else { "{bar:30.cyan/blue}" };
    let style = ProgressStyle::with_template(&format!(
        "{{prefix:20!}} {bar} {{percent:>3}}%  {{msg}}  {{elapsed}}"
    ))
    .unwrap_or_else(|_| ProgressStyle::default_bar());
    let shown = progress.relations.len().min(BARS);
    let bars: Vec<ProgressBar> = progress.relations[..shown]
        .iter()
        .map(|relation| {
            BOARD.add(
                ProgressBar::new(BAR_STEPS)
                    .with_style(style.clone())
                    .with_prefix(relation.name.clone()),
            )
        })
        .collect();
    let moving = bars.clone();
    let task = tokio::spawn(async move {
        loop {
            for (bar, relation) in moving.iter().zip(&progress.relations) {
                bar.set_position((relation.fraction() * BAR_STEPS as f64) as u64);
                bar.set_message(counts(relation));
            }
            tokio::time::sleep(Duration::from_millis(BAR_MILLIS)).await;
        }
    });
    Showing(task.abort_handle(), bars)
}

fn lines(progress: Arc<Progress>) -> Showing {
    let task = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(LINE_MILLIS)).await;
            for relation in &progress.relations {
                let fraction = relation.fraction();
                if relation.rows() > 0 && fraction < 1.0 {
                    say(&format!(
                        "{}: {:.0}%, {}",
                        relation.name,
                        fraction * 100.0,
                        counts(relation)
                    ));
                }
            }
        }
    });
    Showing(task.abort_handle(), Vec::new())
}

/// Logs a run's progress, of relations that got on, until what it gives is dropped. Call it on a runtime.
pub(super) fn events(run: &str, job: &str, progress: Arc<Progress>) -> Showing {
    let (run, job) = (run.to_owned(), job.to_owned());
    let task = tokio::spawn(async move {
        let mut last = vec![(0, 0); progress.relations.len()];
        loop {
            tokio::time::sleep(Duration::from_secs(EVENT_SECS)).await;
            for (relation, last) in progress.relations.iter().zip(&mut last) {
                let now = (relation.rows(), relation.chunks_done());
                if now == *last || now.1 == relation.chunks {
                    continue;
                }
                *last = now;
                let (rows, done) = now;
                let (chunks, name) = (relation.chunks, relation.name.as_str());
                tracing::info!(run, job, relation = name, rows, done, chunks, "reading");
            }
        }
    });
    Showing(task.abort_handle(), Vec::new())
}

fn counts(relation: &RelationProgress) -> String {
    format!(
        "{} rows, {} of {} chunks",
        longshore_model::format::grouped(relation.rows()),
        relation.chunks_done(),
        relation.chunks
    )
}
