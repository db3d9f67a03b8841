//! OTLP in JSON, as collectors take it by HTTP: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.

use chrono::{DateTime, Utc};
use longshore_model::trace_context::{SpanId, TraceId};
use serde_json::{Value, json};

/// The most spans of one request.
const SPANS_PER_REQUEST: usize = 1_000;

/// Work within one process.
const KIND_INTERNAL: u8 = 1;

/// The status of what failed.
const STATUS_ERROR: u8 = 2;

/// A span.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) name: String,
    pub(super) start: DateTime<Utc>,
    pub(super) end: DateTime<Utc>,
    pub(super) attributes: Vec<Attribute>,
    /// Why it failed.
    pub(super) error: Option<String>,
}

/// An attribute of a span.
#[derive(Debug)]
pub(super) struct Attribute {
    key: &'static str,
    value: Value,
}

impl Attribute {
    pub(super) fn text(key: &'static str, text: &str) -> Self {
        Self { key, value: json!({ "stringValue": text }) }
    }

    /// Numbers of 64 bits are texts in JSON.
    pub(super) fn number(key: &'static str, number: u64) -> Self {
        Self { key, value: json!({ "intValue": number.to_string() }) }
    }

    fn to_json(&self) -> Value {
        json!({ "key": self.key, "value": self.value })
    }
}

/// The bodies of the requests that tell a collector of spans.
pub(super) fn requests(service: &str, trace: TraceId, spans: &[Span]) -> Vec<String> {
    let version = env!("CARGO_PKG_VERSION");
    let resource =
        [Attribute::text("service.name", service), Attribute::text("service.version", version)];
    let resource: Vec<Value> = resource.iter().map(Attribute::to_json).collect();
    let request = |spans: &[Span]| {
        let spans: Vec<Value> = spans.iter().map(|span| span.to_json(trace)).collect();
        json!({ "resourceSpans": [{
            "resource": { "attributes": resource },
            "scopeSpans": [{ "scope": { "name": "longshore", "version": version }, "spans": spans }],
        }] })
        .to_string()
    };
    spans.chunks(SPANS_PER_REQUEST).map(request).collect()
}

impl Span {
    fn to_json(&self, trace: TraceId) -> Value {
        let attributes: Vec<Value> = self.attributes.iter().map(Attribute::to_json).collect();
        let mut span = json!({
            "traceId": trace.to_string(),
            "spanId": self.id.to_string(),
            "name": self.name,
            "kind": KIND_INTERNAL,
            "startTimeUnixNano": nanos(self.start),
            // Clocks may be set back.
            "endTimeUnixNano": nanos(self.end.max(self.start)),
            "attributes": attributes,
        });
        if let Some(parent) = self.parent {
            span["parentSpanId"] = json!(parent.to_string());
        }
        if let Some(error) = &self.error {
            span["status"] = json!({ "code": STATUS_ERROR, "message": error });
        }
        span
    }
}

fn nanos(at: DateTime<Utc>) -> String {
    at.timestamp_nanos_opt().unwrap_or_default().to_string()
}
