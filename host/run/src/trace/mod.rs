//! The trace of a run: spans for the run, its relations, the attempts at its chunks, and the commit. It is built
//! from the ledger when the run ends, and written into the outbox.

mod otlp;

use chrono::{DateTime, Utc};
use longshore_model::config::traces::Traces;
use longshore_model::error::Result;
use longshore_model::grant::cut;
use longshore_model::trace_context::{SpanId, TraceId, TraceParent};
use serde_json::json;

use super::report::{RunReport, Status};
use crate::ledger::{AttemptTimes, Ledger, MessageKind, NewMessage, RelationTimes};
use otlp::{Attribute, Span, requests};

/// The most spans of a run. Of a run with more, the attempts of a relation are summed up.
pub const SPAN_LIMIT: usize = 5_000;

/// The longest message of a span.
const MESSAGE_LIMIT_BYTES: usize = 500;

/// The inputs of a trace.
pub(super) struct RunTrace<'a> {
    pub(super) report: &'a RunReport,
    pub(super) ledger: &'a Ledger,
    /// The span that the run is a part of.
    pub(super) parent: Option<TraceParent>,
}

impl RunTrace<'_> {
    /// The messages to a collector.
    pub(super) fn messages(&self, to: &Traces) -> Result<Vec<NewMessage>> {
        if self.parent.is_some_and(|parent| !parent.is_sampled) {
            return Ok(Vec::new());
        }
        let destination = json!({ "url": to.url }).to_string();
        let spans = self.spans()?;
        let message =
            |body| NewMessage { kind: MessageKind::Traces, destination: destination.clone(), body };
        Ok(requests(&to.service, self.trace(), &spans).into_iter().map(message).collect())
    }

    fn trace(&self) -> TraceId {
        self.parent.map_or_else(|| TraceId::of(&self.report.run), |parent| parent.trace)
    }

    /// The id of a part of the run.
    fn id(&self, part: &str) -> SpanId {
        SpanId::of(&format!("{}/{part}", self.report.run))
    }

    fn spans(&self) -> Result<Vec<Span>> {
        let (run, ended) = (&self.report.run, Utc::now());
        // The run and the commit are spans, too.
        let relations = self.ledger.relation_times(run, SPAN_LIMIT - 2)?;
        let room = SPAN_LIMIT - 2 - relations.len();
        let attempts = self.ledger.attempt_times(run, room)?;
        let mut spans = vec![self.run(ended)];
        spans.extend(self.commit(&relations, ended));
        spans.extend(relations.iter().map(|relation| self.relation(relation, ended)));
        spans.extend(attempts.iter().map(|attempt| self.attempt(attempt, ended)));
        Ok(spans)
    }

    fn run(&self, ended: DateTime<Utc>) -> Span {
        let report = self.report;
        let error = report.error.as_ref().filter(|_| report.status != Status::Succeeded);
        Span {
            id: self.id(""),
            parent: self.parent.map(|parent| parent.span),
            name: format!("run {}", report.job),
            start: moment(&report.started).unwrap_or(ended),
            end: ended,
            attributes: vec![
                Attribute::text("longshore.run", &report.run),
                Attribute::text("longshore.job", &report.job),
                Attribute::number("longshore.rows", report.rows),
                Attribute::number("longshore.bytes", report.bytes),
            ],
            error: error.map(|error| short(&error.message)),
        }
    }

    /// From the end of the last attempt until the run has ended: nothing else happens then.
    fn commit(&self, relations: &[RelationTimes], ended: DateTime<Utc>) -> Option<Span> {
        if self.report.status != Status::Succeeded {
            return None;
        }
        let read =
            relations.iter().filter_map(|relation| moment(relation.finished.as_deref()?)).max();
        Some(Span {
            id: self.id("commit"),
            parent: Some(self.id("")),
            name: "commit".to_owned(),
            start: read.or_else(|| moment(&self.report.started)).unwrap_or(ended),
            end: ended,
            attributes: Vec::new(),
            error: None,
        })
    }

    fn relation(&self, times: &RelationTimes, ended: DateTime<Utc>) -> Span {
        Span {
            id: self.id(&times.position.to_string()),
            parent: Some(self.id("")),
            name: format!("relation {}", times.relation),
            start: moment(&times.started).unwrap_or(ended),
            end: times.finished.as_deref().and_then(moment).unwrap_or(ended),
            attributes: vec![
                Attribute::text("longshore.relation", &times.relation),
                Attribute::number("longshore.attempts", times.attempts),
                Attribute::number("longshore.attempts_failed", times.failed),
            ],
            error: None,
        }
    }

    fn attempt(&self, times: &AttemptTimes, ended: DateTime<Utc>) -> Span {
        let AttemptTimes { relation, chunk, attempt, restart, .. } = times;
        let mut attributes = vec![
            Attribute::number("longshore.chunk", *chunk),
            Attribute::number("longshore.attempt", (*attempt).into()),
            Attribute::number("longshore.restart", (*restart).into()),
        ];
        let executor = times.executor.as_ref();
        attributes.extend(executor.map(|name| Attribute::text("longshore.executor", name)));
        attributes.extend(times.class.as_ref().map(|class| Attribute::text("error.type", class)));
        Span {
            id: self.id(&format!("{relation}/{restart}/{chunk}/{attempt}")),
            parent: Some(self.id(&relation.to_string())),
            name: format!("chunk {chunk}"),
            start: moment(&times.started).unwrap_or(ended),
            end: times.finished.as_deref().and_then(moment).unwrap_or(ended),
            attributes,
            error: times.error.as_deref().map(short),
        }
    }
}

fn moment(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
}

fn short(message: &str) -> String {
    cut(message, MESSAGE_LIMIT_BYTES).to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::Path;

    use longshore_model::config::ParameterRecord;
    use longshore_model::error::Error;
    use serde_json::Value;

    use super::*;
    use crate::ledger::{NewRun, Owner, Task};

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn ledger(chunks: usize) -> Ledger {
        let ledger = Ledger::in_memory().unwrap();
        ledger
            .begin(&NewRun {
                id: "r1",
                job: "shop",
                digest: "d",
                file: Path::new("/in/shop.yaml"),
                parameters: &ParameterRecord::default(),
                owner: Owner::Command,
            })
            .unwrap();
        for chunk in 0..chunks {
            let task = Task { relation: 0, chunk };
            let attempt = ledger.attempt("r1", task).unwrap();
            ledger.failed("r1", task, attempt, &Error::connection("gone")).unwrap();
        }
        ledger
    }

    /// The spans of a run, as a collector gets them.
    fn spans(ledger: &Ledger, parent: Option<&str>) -> Vec<Value> {
        let report = json!({
            "run": "r1", "job": "shop", "status": "succeeded", "started": "2026-11-29T02:00:00.250Z",
            "seconds": 1, "rows": 3, "bytes": 9, "consistency": null, "relations": [], "interruptions": [],
            "manifest": null, "error": null,
        });
        let report = serde_json::from_value(report).unwrap();
        let parent = parent.map(|parent| parent.parse().unwrap());
        let to =
            Traces { url: "http://collector:4318/v1/traces".into(), service: "nightly".into() };
        let messages = RunTrace { report: &report, ledger, parent }.messages(&to).unwrap();
        let body = |message: &NewMessage| serde_json::from_str::<Value>(&message.body).unwrap();
        let spans = |body: Value| body["resourceSpans"][0]["scopeSpans"][0]["spans"].clone();
        messages.iter().flat_map(|m| spans(body(m)).as_array().unwrap().clone()).collect()
    }

    #[test]
    fn a_run_has_spans_for_its_parts_which_belong_together() {
        let spans = spans(&ledger(2), None);
        let names: Vec<&str> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["run shop", "commit", "relation ", "chunk 0", "chunk 1"]);
        assert_eq!(spans[0]["startTimeUnixNano"], "1795917600250000000");
        assert_eq!(spans[0].get("parentSpanId"), None);
        let parent = |span: usize| &spans[span]["parentSpanId"];
        assert_eq!([parent(1), parent(2)], [&spans[0]["spanId"]; 2]);
        assert_eq!([parent(3), parent(4)], [&spans[2]["spanId"]; 2]);
        assert_eq!(spans[3]["status"]["code"], 2);
        let ids: HashSet<&str> =
            spans.iter().map(|span| span["spanId"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), 5);
    }

    #[test]
    fn a_run_is_a_part_of_its_callers_trace() {
        let root = &spans(&ledger(0), Some(PARENT))[0];
        assert_eq!(root["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(root["parentSpanId"], "00f067aa0ba902b7");
        assert!(spans(&ledger(0), Some(&PARENT.replace("-01", "-00"))).is_empty());
    }

    #[test]
    fn the_attempts_of_a_large_run_are_summed_up() {
        let fits = SPAN_LIMIT - 3;
        assert_eq!(spans(&ledger(fits), None).len(), SPAN_LIMIT);
        let spans = spans(&ledger(fits + 1), None);
        assert_eq!(spans.len(), 3);
        let attempts = &spans[2]["attributes"][1];
        assert_eq!(attempts["value"]["intValue"], (fits + 1).to_string());
    }
}
