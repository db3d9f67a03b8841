//! The newest lines of the log that tell of runs, kept in memory for who looks at a run.

use std::collections::VecDeque;
use std::fmt;
use std::sync::LazyLock;

use chrono::{SecondsFormat, Utc};
use longshore_run::is_run_id;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// The lines that are kept, of all runs together.
const LINE_LIMIT: usize = 4_096;

/// The longest text of a line or of a field.
const TEXT_LIMIT_BYTES: usize = 1_024;

/// The crates whose lines are kept.
const TARGET: &str = "longshore";

/// The field that names the run of a line.
const RUN: &str = "run";

static LOG: LazyLock<Log> = LazyLock::new(Log::default);

/// A line of the log.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LogLine {
    /// Its id: later lines have larger ones, also after a restart.
    pub id: i64,
    /// When it was logged.
    pub at: String,
    /// error, warn, info or debug.
    pub level: String,
    /// What it says.
    pub text: String,
    /// What else it holds.
    pub fields: Map<String, Value>,
    #[serde(skip)]
    run: String,
}

struct Log {
    lines: Mutex<VecDeque<LogLine>>,
    last: watch::Sender<i64>,
}

impl Default for Log {
    fn default() -> Self {
        // The moment of the start: ids go on growing after it.
        let (last, _) = watch::channel(Utc::now().timestamp_micros());
        Self { lines: Mutex::default(), last }
    }
}

impl Log {
    fn add(&self, line: LogLine) {
        let mut lines = self.lines.lock();
        if lines.len() == LINE_LIMIT {
            lines.pop_front();
        }
        let id = *self.last.borrow() + 1;
        lines.push_back(LogLine { id, ..line });
        self.last.send_replace(id);
    }
}

/// The lines of a run after this id, oldest first.
pub fn lines(run: &str, after: i64, limit: usize) -> Vec<LogLine> {
    let lines = LOG.lines.lock();
    let first = lines.partition_point(|line| line.id <= after);
    let of_run = lines.range(first..).filter(|line| line.run == run);
    of_run.take(limit).cloned().collect()
}

/// Tells the id of the last line, each time that one comes.
pub fn news() -> watch::Receiver<i64> {
    LOG.last.subscribe()
}

/// Keeps lines that tell of runs.
pub struct RunLogLayer;

impl<S: Subscriber> Layer<S> for RunLogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if !metadata.target().starts_with(TARGET) || *metadata.level() > Level::DEBUG {
            return;
        }
        let mut seen = EventFields::default();
        event.record(&mut seen);
        let Some(run) = seen.run.or_else(|| run_in(&seen.text).map(str::to_owned)) else { return };
        LOG.add(LogLine {
            id: 0,
            at: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
            level: metadata.level().as_str().to_ascii_lowercase(),
            text: seen.text,
            fields: seen.fields,
            run,
        });
    }
}

/// What an event holds.
#[derive(Default)]
struct EventFields {
    run: Option<String>,
    text: String,
    fields: Map<String, Value>,
}

impl EventFields {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.text = text,
            (RUN, Value::String(run)) => self.run = Some(run),
            (name, value) => {
                self.fields.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for EventFields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = format!("{value:?}");
        text.truncate(text.floor_char_boundary(TEXT_LIMIT_BYTES));
        self.add(field, text.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value[..value.floor_char_boundary(TEXT_LIMIT_BYTES)].into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }
}

/// The run that a text names.
fn run_in(text: &str) -> Option<&str> {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.find(|word| is_run_id(word))
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn lines_are_found_by_the_run_that_they_name() {
        let subscriber = tracing_subscriber::registry().with(RunLogLayer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "longshore_x", "shop: taken, run 20261128T083137Z-0a1b2c3d");
            tracing::debug!(target: "longshore_x", run = "20261128T083137Z-0a1b2c3d", chunk = 3u64, "read");
            tracing::info!(target: "longshore_x", run = "20261128T083137Z-ffffffff", "another");
            tracing::info!(target: "another_crate", "run 20261128T083137Z-0a1b2c3d");
        });
        let found = lines("20261128T083137Z-0a1b2c3d", 0, 10);
        let texts: Vec<&str> = found.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["shop: taken, run 20261128T083137Z-0a1b2c3d", "read"]);
        assert_eq!(found[1].fields["chunk"], 3);
        assert_eq!(lines("20261128T083137Z-0a1b2c3d", found[0].id, 10).len(), 1);
    }
}
