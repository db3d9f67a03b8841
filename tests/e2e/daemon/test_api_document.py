"""The OpenAPI document: requests that are made from it find no error of the server."""

import json
import signal
from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, given, settings

from support.api import serving
from support.longshore import ROOT, only

#: Requests of each operation.
EXAMPLES = 20

#: A stream has no end.
WITHOUT_END = "/api/v1/events"


def test_requests_made_from_the_document_find_no_server_error(program):
    # A plugin folder of its own: what is sent may lock it.
    daemon, api = serving(only(program))
    try:
        document = api.call("GET", "/api/v1/openapi.json", token=False)[2]
        schema = schemathesis.openapi.from_dict(document)
        schema.config.update(base_url=api.url)
        for found in schema.get_all_operations():
            operation = found.ok()
            if operation.path != WITHOUT_END:
                requests(operation, api)
        assert daemon.process.poll() is None
    finally:
        daemon.stop(signal.SIGKILL)


def requests(operation, api):
    """Sends requests of one operation."""

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def send(case):
        answer = case.call(headers={"Authorization": f"Bearer {api.token}"})
        assert answer.status_code < 500, (operation.label, answer.text)
        checks = [schemathesis.checks.not_a_server_error]
        case.validate_response(answer, checks=checks)

    send()


def test_the_published_document_is_the_programs(program):
    published = json.loads(Path(ROOT / "docs/reference/openapi.json").read_text())
    assert published == json.loads(program.ok("schema", "--api"))
