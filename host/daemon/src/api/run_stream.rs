//! The lines of a run's log, as they come.

use crate::run_log::{self, LogLine};

/// Lines that are given at a time.
const BATCH: usize = 100;

/// Reads the log of one run.
pub(super) struct LogReader {
    run: String,
    last: i64,
    news: tokio::sync::watch::Receiver<i64>,
}

impl LogReader {
    /// Reads what comes from now on.
    pub(super) fn of(run: &str) -> Self {
        let mut news = run_log::news();
        let last = *news.borrow_and_update();
        Self { run: run.to_owned(), last, news }
    }

    /// The next lines, as soon as there are any; never, where no log is read.
    pub(super) async fn next(reader: &mut Option<Self>) -> Vec<LogLine> {
        let Some(reader) = reader else { return std::future::pending().await };
        loop {
            let lines = run_log::lines(&reader.run, reader.last, BATCH);
            if let Some(line) = lines.last() {
                reader.last = line.id;
                return lines;
            }
            if reader.news.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}
