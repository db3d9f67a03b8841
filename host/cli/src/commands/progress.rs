//! Progress as people see it: a few lines on a terminal that are drawn again and again, a line every few
//! seconds elsewhere; as programs read it; and events in the daemon's log.

mod json;
mod layout;

use std::convert::Infallible;
use std::io::{IsTerminal, stderr};
use std::sync::Arc;
use std::time::Duration;

use longshore_run::{Pace, Progress};
use tokio::sync::watch::Receiver;
use tokio::task::AbortHandle;

use super::{board, show};
use board::Size;
use layout::Layout;

/// How often lines are drawn on a terminal.
const DRAW_MILLIS: u64 = 100;

/// When the first line is written where there is no terminal, and how often one is written then.
const FIRST_LINE_SECS: u64 = 1;
const LINE_SECS: u64 = 5;

/// How often programs are told.
const JSON_MILLIS: u64 = 500;

/// How often the daemon's log says how far a run is, if it got on.
const EVENT_SECS: u64 = 10;

/// Shows progress until it is dropped.
pub(super) struct ProgressDisplay {
    task: AbortHandle,
    is_drawn: bool,
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        self.task.abort();
        if self.is_drawn {
            board::clear();
        }
    }
}

/// Shows a run's progress: drawn on a terminal, as lines elsewhere. Call it on a runtime.
pub(super) fn watch(progress: Arc<Progress>) -> ProgressDisplay {
    let is_drawn =
        stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    let task = if is_drawn { tokio::spawn(drawn(progress)) } else { tokio::spawn(lines(progress)) };
    ProgressDisplay { task: task.abort_handle(), is_drawn }
}

/// Shows the progress of a run: that of each plan, one after the other. Call it on a runtime.
pub(super) async fn follow(
    mut progress: Receiver<Option<Arc<Progress>>>,
    show: impl Fn(Arc<Progress>) -> Option<ProgressDisplay>,
) -> Infallible {
    let mut showing = None;
    loop {
        let now = progress.borrow_and_update().clone();
        showing = now.and_then(&show).or(showing);
        if progress.changed().await.is_err() {
            // The run is over: what is shown stays until that is said.
            return std::future::pending().await;
        }
    }
}

async fn drawn(progress: Arc<Progress>) {
    let (mut pace, has_colors) = (Pace::new(&progress), !show::wants_no_color());
    loop {
        let layout = Layout { size: Size::now(), has_colors };
        board::draw(layout.lines(&progress, &pace.look(&progress)));
        tokio::time::sleep(Duration::from_millis(DRAW_MILLIS)).await;
    }
}

async fn lines(progress: Arc<Progress>) {
    let (mut pace, mut wait) = (Pace::new(&progress), FIRST_LINE_SECS);
    loop {
        tokio::time::sleep(Duration::from_secs(wait)).await;
        wait = LINE_SECS;
        show::progress_line(&layout::line(&progress, &pace.look(&progress)));
    }
}

/// Tells programs that a run has begun.
pub(super) fn tell_begin(run: &str, job: &str) {
    show::progress_line(&json::planning(run, job).to_string());
}

/// Tells programs a run's progress. Call it on a runtime.
pub(super) fn tell(run: &str, job: &str, progress: Arc<Progress>) -> ProgressDisplay {
    let (run, job, mut pace) = (run.to_owned(), job.to_owned(), Pace::new(&progress));
    let task = tokio::spawn(async move {
        loop {
            let line = json::line(&run, &job, &progress, &pace.look(&progress));
            show::progress_line(&line.to_string());
            tokio::time::sleep(Duration::from_millis(JSON_MILLIS)).await;
        }
    });
    ProgressDisplay { task: task.abort_handle(), is_drawn: false }
}

/// Logs a run's progress, of relations that got on, until what it gives is dropped. Call it on a runtime.
pub(super) fn events(run: &str, job: &str, progress: Arc<Progress>) -> ProgressDisplay {
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
    ProgressDisplay { task: task.abort_handle(), is_drawn: false }
}
