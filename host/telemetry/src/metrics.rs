//! Metrics in Prometheus's text format. Labels are bounded: there are classes, outcomes and names of jobs, and
//! no ids of runs or chunks.

use std::fmt;

use chrono::{DateTime, Utc};
use longshore_model::error::{Error, Result};
use longshore_model::figures::{ByCheck, Figures, Histogram, Members, figures};
use longshore_model::memory::memory;
use longshore_run::ledger::{LastSuccess, Ledger};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// The most jobs that have a label of their own: those that succeeded last. The rest are one, `other`.
pub const JOB_LIMIT: usize = 1_000;

/// The jobs beyond.
const OTHER_JOBS: &str = "other";

/// The jobs that wait to be run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Queue {
    /// How many.
    pub jobs: u64,
    /// Since when the oldest of them waits.
    pub since: Option<DateTime<Utc>>,
}

/// The metrics of this process and its ledger. A command has no queue.
pub fn metrics_text(ledger: &Ledger, queue: Option<Queue>) -> Result<String> {
    let collected = MetricValues {
        figures: figures(),
        memory_used: memory().used(),
        memory_limit: memory().limit(),
        queue,
        now: Utc::now(),
        outbox: ledger.outbox_length()?,
        successes: bounded(ledger.last_successes()?),
    };
    let mut registry = Registry::with_prefix("longshore");
    registry.register_collector(Box::new(collected));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry)
        .map_err(|error| Error::internal(format!("rendering metrics: {error}")))?;
    Ok(text)
}

/// At most so many jobs. The others are one, which succeeded when the first of them did.
fn bounded(mut successes: Vec<LastSuccess>) -> Vec<LastSuccess> {
    let oldest = successes.iter().skip(JOB_LIMIT).map(|success| success.at).min();
    successes.truncate(JOB_LIMIT);
    successes.extend(oldest.map(|at| LastSuccess { job: OTHER_JOBS.to_owned(), at }));
    successes
}

/// All values, at one moment.
#[derive(Debug)]
struct MetricValues {
    figures: &'static Figures,
    memory_used: u64,
    memory_limit: u64,
    queue: Option<Queue>,
    now: DateTime<Utc>,
    outbox: u64,
    successes: Vec<LastSuccess>,
}

impl Collector for MetricValues {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        page.gauges(
            "build_info",
            "The version of the program; always 1",
            "version",
            [(env!("CARGO_PKG_VERSION").to_owned(), 1.0)],
        )?;
        self.rows(&mut page)?;
        self.work(&mut page)?;
        self.process(&mut page)?;
        self.clusters(&mut page)?;
        self.jobs(&mut page)
    }
}

impl MetricValues {
    fn rows(&self, page: &mut Page<'_>) -> fmt::Result {
        let Figures { rows_read, bytes_read, rows_left_out, .. } = self.figures;
        let Figures { rows_written, bytes_written, .. } = self.figures;
        page.counter("read_rows", "Rows read of sources, retries included", rows_read.get())?;
        page.counter("read_bytes", "Bytes read of sources, in memory", bytes_read.get())?;
        page.counter(
            "left_out_rows",
            "Rows that could not be read and were left out",
            rows_left_out.get(),
        )?;
        page.counter("written_rows", "Rows of parts that were written", rows_written.get())?;
        page.counter("written_bytes", "Bytes of parts that were written", bytes_written.get())
    }

    fn work(&self, page: &mut Page<'_>) -> fmt::Result {
        let figures = self.figures;
        let runs = [
            ("succeeded", figures.runs_succeeded.get()),
            ("failed", figures.runs_failed.get()),
            ("cancelled", figures.runs_cancelled.get()),
        ];
        page.counters("runs", "Runs that have ended", "outcome", runs)?;
        let chunks = [
            ("done", figures.chunks_done.get()),
            ("failed", figures.chunks_failed.get()),
            ("kept", figures.chunks_kept.get()),
        ];
        page.counters(
            "chunks",
            "Chunks that are done, have failed, or were kept",
            "outcome",
            chunks,
        )?;
        let succeeded = figures.attempts_succeeded.get();
        page.counter("attempts_succeeded", "Attempts at chunks that succeeded", succeeded)?;
        let failed = figures.attempts_failed.each().map(|(class, count)| (class.name(), count));
        page.counters("attempts_failed", "Attempts at chunks that failed", "class", failed)?;
        let changes = figures.schema_changes.each().map(|(kind, count)| (kind.name(), count));
        let help = "Changes of columns that runs have found";
        page.counters("schema_changes", help, "kind", changes)?;
        page.counter("plugin_traps", "Traps of plugins", figures.plugin_traps.get())?;
        page.checks("checks", "Checks that were judged", &figures.checks)
    }

    fn process(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge("memory_used_bytes", "What is counted as held", self.memory_used as f64)?;
        page.gauge("memory_budget_bytes", "What may be held", self.memory_limit as f64)?;
        let Figures { ledger_write, schedule_lateness, .. } = self.figures;
        page.histogram("ledger_write_seconds", "How long writes of the ledger take", ledger_write)?;
        let help = "How late scheduled runs begin";
        page.histogram("schedule_lateness_seconds", help, schedule_lateness)?;
        page.gauge("outbox_messages", "Messages that wait to be delivered", self.outbox as f64)
    }

    fn clusters(&self, page: &mut Page<'_>) -> fmt::Result {
        let clusters = self.figures.clusters.each();
        if clusters.is_empty() {
            return Ok(());
        }
        let of = |count: fn(&Members) -> u64| {
            clusters.iter().map(move |(url, members)| (url.clone(), count(members) as f64))
        };
        let executors = of(|members| members.executors);
        page.gauges("cluster_executors", "Executors of a cluster", "cluster", executors)?;
        let help = "Chunks that a cluster works on at the same time";
        page.gauges("cluster_slots", help, "cluster", of(|members| members.slots))
    }

    fn jobs(&self, page: &mut Page<'_>) -> fmt::Result {
        if let Some(queue) = self.queue {
            page.gauge("queue_jobs", "Jobs that wait to be run", queue.jobs as f64)?;
            let age = queue.since.map_or(0.0, |since| (self.now - since).as_seconds_f64().max(0.0));
            page.gauge("queue_oldest_age_seconds", "How long the oldest job waits", age)?;
        }
        let seconds = |at: DateTime<Utc>| at.timestamp_millis() as f64 / 1_000.0;
        let successes =
            self.successes.iter().map(|success| (success.job.clone(), seconds(success.at)));
        page.gauges(
            "job_last_success_timestamp_seconds",
            "When a job succeeded last",
            "job_name",
            successes,
        )
    }
}

/// The text of the metrics.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn counters<'l>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'l str, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value, count) in values {
            let labels = [(label, value)];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }

    fn checks(&mut self, name: &str, help: &str, checks: &ByCheck) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (severity, outcome, count) in checks.each() {
            let labels = [("severity", severity.name()), ("outcome", outcome.name())];
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: impl IntoIterator<Item = (String, f64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (value, gauge) in values {
            metric.encode_family(&[(label, value)])?.encode_gauge(&gauge)?;
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, help: &str, values: &Histogram) -> fmt::Result {
        let buckets = values.buckets();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(values.sum(), count, &buckets, None)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_text_has_types_helps_and_base_units() {
        figures().ledger_write.observe(Duration::from_millis(2));
        let queue = Queue { jobs: 2, since: Some(Utc::now()) };
        let text = metrics_text(&Ledger::in_memory().unwrap(), Some(queue)).unwrap();
        for expected in [
            "# TYPE longshore_read_rows_total counter\n",
            "# TYPE longshore_ledger_write_seconds histogram\n",
            "longshore_ledger_write_seconds_bucket{le=\"+Inf\"} ",
            "longshore_attempts_failed_total{class=\"not-found\"} 0\n",
            "longshore_checks_total{severity=\"warn\",outcome=\"failed\"} 0\n",
            "longshore_queue_jobs 2.0\n",
            "longshore_outbox_messages 0.0\n",
            concat!("longshore_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(!text.contains("# EOF"), "{text}");
    }

    #[test]
    fn jobs_beyond_the_limit_are_one() {
        let at = |number: usize| DateTime::from_timestamp(9_999_999 - number as i64, 0).unwrap();
        let job = |number| LastSuccess { job: format!("job{number}"), at: at(number) };
        let bounded = bounded((0..JOB_LIMIT + 5).map(job).collect());
        assert_eq!(bounded.len(), JOB_LIMIT + 1);
        let other = LastSuccess { job: OTHER_JOBS.to_owned(), at: at(JOB_LIMIT + 4) };
        assert_eq!(bounded.last(), Some(&other));
    }
}
