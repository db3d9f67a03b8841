"""Traces: a run that ends is told to a collector, and never waits for it."""

import base64
import json
import socket

import pytest

from support.api import serving
from support.longshore import QUICK, rows_job, runs
from support.wait import wait_for
from support.webhook import Webhooks

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def collector():
    return Webhooks()


def env(collector, **more):
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **more}


def spans(collector):
    """The spans that a collector got, by their names."""
    requests = [told.body for told in collector.told if told.path == "/v1/traces"]
    found = [span for body in requests for span in body["resourceSpans"][0]["scopeSpans"][0]["spans"]]
    return {span["name"]: span for span in found}


def test_a_run_is_a_trace_within_its_callers(program, collector):
    headers = {"OTEL_EXPORTER_OTLP_HEADERS": "api-key=of%20a%20key", "OTEL_SERVICE_NAME": "nightly"}
    program.ok("run", rows_job(program), env=env(collector, TRACEPARENT=PARENT, **headers))
    [told] = collector.told
    assert told.headers["api-key"] == "of a key" and told.headers["Content-Type"] == "application/json"
    resource = told.body["resourceSpans"][0]["resource"]["attributes"]
    assert {"key": "service.name", "value": {"stringValue": "nightly"}} in resource
    run, commit, relation, chunk = spans(collector).values()
    assert (run["name"], commit["name"], chunk["name"]) == ("run good", "commit", "chunk 0")
    assert run["traceId"] == PARENT.split("-")[1] and run["parentSpanId"] == PARENT.split("-")[2]
    assert {span["traceId"] for span in (commit, relation, chunk)} == {run["traceId"]}
    assert commit["parentSpanId"] == relation["parentSpanId"] == run["spanId"]
    assert chunk["parentSpanId"] == relation["spanId"]
    for span in (commit, relation, chunk):
        start, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
        assert int(run["startTimeUnixNano"]) <= start <= end <= int(run["endTimeUnixNano"])


def test_a_run_that_is_submitted_is_a_part_of_its_callers_trace(program, collector):
    program.env.update(env(collector))
    daemon, _ = serving(program)
    program.ok("submit", rows_job(program), "--wait", env={"TRACEPARENT": PARENT})
    wait_for(lambda: collector.told)
    run = spans(collector)["run good"]
    assert run["traceId"] == PARENT.split("-")[1] and run["parentSpanId"] == PARENT.split("-")[2]
    daemon.stop()


def test_failed_attempts_are_told_with_their_class(program, collector, endpoint):
    endpoint.refuse = lambda request, number: (503, {}, b"")
    job = rows_job(program, target={"url": f"{endpoint.url}/rows"})
    program.call("run", job, env={**QUICK, **env(collector)})
    found = spans(collector)
    assert found["run good"]["status"]["code"] == found["chunk 0"]["status"]["code"] == 2
    types = [a["value"]["stringValue"] for a in found["chunk 0"]["attributes"] if a["key"] == "error.type"]
    assert types and "commit" not in found


def test_there_are_no_traces_unless_somebody_asks(program, collector):
    job = rows_job(program)
    program.ok("run", job)
    program.ok("run", job, env=env(collector, OTEL_SDK_DISABLED="true"))
    program.ok("run", job, env=env(collector, TRACEPARENT=PARENT.replace("-01", "-00")))
    assert collector.told == []
    # What is no context is none.
    program.ok("run", job, env=env(collector, TRACEPARENT="nonsense"))
    assert "parentSpanId" not in spans(collector)["run good"]


def test_a_collector_that_never_answers_holds_up_no_run(program):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        job = rows_job(program)
        report = program.report("run", job, env={"OTEL_EXPORTER_OTLP_ENDPOINT": url})
        [run] = runs(program)
        assert run["state"] == "succeeded" and run["run"] == report["run"]
    done = program.call("run", job, env={"OTEL_EXPORTER_OTLP_ENDPOINT": "no URL"})
    assert done.returncode == 0 and "there are no traces" in done.stderr


def test_a_collectors_own_parser_takes_them(program, collector):
    service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    json_format = pytest.importorskip("google.protobuf.json_format")
    program.ok("run", rows_job(program), env=env(collector))

    def to_protobuf(node):
        """OTLP's JSON has ids in hexadecimal, where Protobuf's has base64."""
        if isinstance(node, list):
            return [to_protobuf(value) for value in node]
        if not isinstance(node, dict):
            return node
        ids = ["traceId", "spanId", "parentSpanId"]
        return {
            key: base64.b64encode(bytes.fromhex(value)).decode() if key in ids else to_protobuf(value)
            for key, value in node.items()
        }

    [told] = collector.told
    text = json.dumps(to_protobuf(told.body))
    request = json_format.Parse(text, service.ExportTraceServiceRequest())
    spans = request.resource_spans[0].scope_spans[0].spans
    assert len(spans) == 4 and all(len(span.trace_id) == 16 and len(span.span_id) == 8 for span in spans)
