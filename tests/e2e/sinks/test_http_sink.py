"""Rows to an HTTP endpoint: every one, once, however often the server says no before it says yes."""

import io

import pyarrow as pa
import pytest

from support.endpoint import Endpoint, target
from support.wait import wait_for

TPCH = {"url": "tpch:", "scale": 0.01, "text_mib": 1}


def test_rows_arrive_as_json_lines_in_requests_of_a_number(program, endpoint):
    job = program.job(TPCH, tables=["nation", "customer"], target=target(endpoint, batch_rows=400))
    report = program.report("run", job)
    nations = sorted(endpoint.rows("/rows/nation"), key=lambda row: row["n_nationkey"])
    assert len(nations) == 25 and nations[0]["n_name"] == "ALGERIA" and set(nations[0]) == {
        "n_nationkey", "n_name", "n_regionkey", "n_comment"}  # fmt: skip
    customers = endpoint.rows("/rows/customer")
    assert len({row["c_custkey"] for row in customers}) == len(customers) == 1500
    assert max(len(body.splitlines()) for _, _, body in endpoint.taken.values()) == 400
    headers = next(headers for at, headers, _ in endpoint.taken.values() if at == "/rows/customer")
    assert headers["longshore-run"] == report["run"] and headers["longshore-relation"] == "customer"
    assert headers["longshore-mode"] == "version" and headers["longshore-attempt"] == "0"


def test_rows_arrive_as_arrow(program, endpoint):
    program.ok("run", program.job(TPCH, tables=["lineitem"], target=target(endpoint, format="arrow", batch_rows=10_000),
                                  chunk={"rows": 25_000}))  # fmt: skip
    tables = [pa.ipc.open_stream(io.BytesIO(body)).read_all() for _, _, body in endpoint.taken.values()]
    assert sum(table.num_rows for table in tables) == 60_175
    assert tables[0].schema.field("l_quantity").type == pa.decimal128(15, 2)


def test_what_a_server_refuses_for_a_while_is_sent_again_and_taken_once(program, endpoint):
    said = {}

    def refuse(request, number):
        key = request.headers["idempotency-key"]
        count = said[key] = said.get(key, 0) + 1
        answers = [
            (503, {"Retry-After": "0"}, b"busy"),
            "cut",
            (500, {}, b"oops"),
            ("taken",),
            (429, {}, b""),
        ]
        return answers[count - 1] if count <= len(answers) else None

    endpoint.refuse = refuse
    program.ok("run", program.job(TPCH, tables=["nation"], target=target(endpoint, retries=6)))
    assert len(endpoint.rows("/rows/nation")) == 25 and len(endpoint.taken) == 1
    assert list(said.values()) == [6]


def test_a_chunk_that_comes_again_has_the_same_keys(program, endpoint):
    """The third request of each chunk is refused until the chunk is started again."""
    endpoint.refuse = lambda request, number: (
        (503, {}, b"") if request.headers["longshore-attempt"] == "0" and "-2-" in request.headers["idempotency-key"][-19:]
        else None
    )  # fmt: skip
    job = program.job(
        TPCH, tables=["customer"], target=target(endpoint, retries=0, batch_rows=100), chunk={"rows": 500}
    )
    report = program.report("run", job, env={"LONGSHORE_RETRY_BACKOFF_MILLIS": "10"})
    assert report["relations"][0]["retries"] == 3
    customers = endpoint.rows("/rows/customer")
    assert len({row["c_custkey"] for row in customers}) == len(customers) == 1500
    assert {headers["longshore-attempt"] for _, headers, _ in endpoint.taken.values()} >= {"1"}


def test_a_server_is_told_of_the_run(program, endpoint):
    job = program.job(
        TPCH, tables=["nation", "region"], target=target(endpoint, events_url=f"{endpoint.url}/events")
    )
    run = program.report("run", job)["run"]
    began = [event for event in endpoint.events if event["event"] == "begin"]
    assert [event["relation"] for event in began] == ["nation", "region"]
    assert began[0]["columns"][0] == {"name": "n_nationkey", "type": "Int64", "nullable": False}
    [commit] = [event for event in endpoint.events if event["event"] == "commit"]
    assert commit["run"] == run
    assert commit["relations"][1] == {
        "relation": "region", "mode": "version",
        "chunks": [{"chunk": 0, "attempt": 0, "requests": 1, "rows": 5}]}  # fmt: skip
    assert [event["event"] for event in endpoint.events][-2:] == ["commit", "end"]


REFUSED = {
    "a redirect": (
        (302, {"Location": "http://127.0.0.1:1/elsewhere"}, b""),
        "give its new address: http://127.0.0.1:1/",
        2,
    ),
    "no permission": ((401, {}, b"who are you"), "the server answered 401: who are you", 5),
    "not there": ((404, {}, b""), "the server answered 404", 4),
    "a bad row": ((422, {}, b"n_name is taken"), "n_name is taken", 4),
    "too large": ((413, {}, b""), "lower `batch_rows`", 4),
    "a control character": ((400, {}, b"\x1b[2Jgone"), "[2Jgone", 4),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_server_refuses_for_good_ends_the_run(program, endpoint, what):
    answer, says, code = REFUSED[what]
    endpoint.refuse = lambda request, number: answer
    line, given = program.refused("run", program.job(TPCH, tables=["nation"], target=target(endpoint)))
    assert says in line and given == code and "\x1b" not in line, line
    assert len(endpoint.requests) == 1


def test_a_token_is_sent_and_shown_to_nobody(program, endpoint):
    job = program.job(
        TPCH, tables=["nation"], target=target(endpoint, token="t0p-s3cret", headers={"X-Team": "lake"})
    )
    done = program.call("--log", "longshore=trace", "run", job)
    assert done.returncode == 0 and "t0p-s3cret" not in done.stderr + done.stdout
    [(_, headers, _)] = endpoint.taken.values()
    assert headers["authorization"] == "Bearer t0p-s3cret" and headers["x-team"] == "lake"
    endpoint.refuse = lambda request, number: (403, {}, request.headers["authorization"].encode())
    line, _ = program.refused("run", job)
    assert "Bearer ***" in line


def test_only_what_the_job_names_is_reached(program, endpoint):
    other = Endpoint()
    try:
        job = program.job(TPCH, tables=["nation"], target={
            "url": f"{endpoint.url}/rows", "headers": {"Host": "metadata.internal"}})  # fmt: skip
        line, _ = program.refused("run", job)
        assert "`Host` is not a header that a plugin can send" in line
        job = program.job(
            TPCH, tables=["nation"], target={"url": f"http://{{relation}}:{other.server.server_port}/"}
        )
        program.refused("run", job)
        assert other.requests == [] and endpoint.requests == []
    finally:
        other.server.shutdown()


def test_a_run_that_is_stopped_while_a_server_is_down_goes_on_later(program, endpoint):
    from support.daemon import Daemon

    endpoint.refuse = lambda request, number: (503, {"Retry-After": "30"}, b"")
    daemon = Daemon(program, "--drain-secs", "1")
    job = program.job(TPCH, tables=["nation"], target=target(endpoint))
    job.rename(daemon.inbox / job.name)
    wait_for(lambda: endpoint.requests)
    assert daemon.stop() == 0
    endpoint.refuse = lambda request, number: None
    daemon.start()
    assert daemon.reports("done")[0]["rows"] == 25
    assert len(endpoint.rows("/rows/nation")) == 25
    assert daemon.stop() == 0
