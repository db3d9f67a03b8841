"""`longshore.Client`, against a real daemon."""

import json
import signal
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from support.api import serving
from support.longshore import only, rows_job
from support.wait import wait_for


@pytest.fixture
def serves(longshore, program):
    # It compiles what there is before it serves.
    daemon, api = serving(only(program, "http-sink"))
    yield daemon, longshore.Client(api.url, api.token)
    daemon.stop()


@pytest.fixture
def keys(program, gate):
    """A job that is under way until the gate is opened."""
    rows_job(program)
    source = {"url": f"file://{program.folder}/rows.csv"}
    return {"name": "held", "source": source, "target": {"url": f"{gate.url}/rows", "timeout_secs": 120}}


def test_a_job_is_submitted_once_under_its_key_and_waited_for(longshore, program, serves):
    daemon, client = serves
    job = rows_job(program, "shop.yaml", parameters={"least": "integer"},
                   transform=[{"sql": "SELECT * FROM data WHERE id >= {{ least }}"}])  # fmt: skip
    run = client.submit(job, params={"least": 2}, key="nightly")
    assert client.submit(job, params={"least": 2}, key="nightly") == run
    with pytest.raises(longshore.ConfigError, match="another job"):
        client.submit(job, params={"least": 1}, key="nightly")
    report = client.wait(run)
    assert (report.run, report.job, report.rows) == (run, "shop", 2)
    found = client.run(run)
    assert (found.state, found.report, found.rows_read > 0) == ("succeeded", report, True)
    assert client.manifest(run)["run"] == run
    # The text of a job, and its keys.
    text = client.submit(job.read_text(), name="text", params={"least": 3})
    assert client.wait(text).rows == 1
    own = client.submit({**json.loads(rows_job(program, "x.json").read_text()), "name": "own"})
    assert client.wait(own).rows == 3
    # Newest by when they began: two that wait at the same time begin in any order.
    assert [run.job for run in client.runs()] == ["own", "text", "shop"]
    assert [run.job for run in client.runs(limit=2)] == ["own", "text"]
    assert [run.run for run in client.runs(job="shop")] == [run]


def test_a_run_is_followed_and_cancelled(longshore, program, gate, keys, serves):
    daemon, client = serves
    run = client.submit(keys)
    events = client.events(run)
    assert next(event for event in events if event.kind == "run").data["run"] == run
    gate.holds(daemon)
    assert next(event for event in events if event.kind == "progress" and event.data).data[0]["run"] == run
    seen = []
    with pytest.raises(TimeoutError):
        client.wait(run, timeout=0.01, on_progress=seen.append)
    wait_for(lambda: client.run(run).progress)
    assert client.run(run).progress.relations[0].name == "held"
    gate.open.set()
    assert client.wait(run).rows == 3
    # From the beginning again, for who was away.
    again = client.events(run)
    texts = [next(event for event in again if event.kind == "run").data["text"] for _ in range(2)]
    assert texts and any(line.text for line in client.logs(run))
    for stream in (events, again):
        stream.close()


def test_a_cancelled_run_raises_and_is_tried_again(longshore, program, gate, keys, serves):
    daemon, client = serves
    run = client.submit(keys)
    gate.holds(daemon)
    client.cancel(run, deadline=0.1)
    wait_for(lambda: client.run(run).finished)
    assert [one.run for one in client.runs(state="cancelled")] == [run]
    with pytest.raises(longshore.Cancelled) as caught:
        client.wait(run)
    assert caught.value.run == run
    with pytest.raises(longshore.ConfigError, match="nothing to cancel"):
        client.cancel(run)
    gate.open.set()
    again = client.retry(run)
    assert again != run and client.wait(again).rows == 3


def test_a_failed_run_raises_its_own_error(longshore, program, serves):
    daemon, client = serves
    job = rows_job(program, transform=[{"sql": "SELECT id / 0 AS x FROM data"}])
    with pytest.raises(longshore.DataError) as caught:
        client.wait(client.submit(job))
    assert caught.value.report.status == "failed" and not caught.value.retryable
    with pytest.raises(longshore.ConfigError, match="tabels"):
        client.submit(rows_job(program, "bad.yaml", tabels=["x"]))
    with pytest.raises(longshore.NotFoundError):
        client.run("20261129T000000Z-00000000")
    with pytest.raises(longshore.ConfigError, match="none.yaml"):
        client.submit("none.yaml")


def test_a_wait_survives_a_restart_of_the_daemon(longshore, program, gate, keys):
    daemon, api = serving(only(program, "http-sink"))
    port = api.address.port
    client = longshore.Client(f"{api.url}/", api.token)
    run = client.submit(keys)
    gate.holds(daemon)
    daemon.stop(signal.SIGKILL)
    with pytest.raises(longshore.ConnectionFailed):
        client.wait(run, patience=0)
    daemon.args = ("--listen", f"127.0.0.1:{port}")
    gate.open.set()
    events = client.events(run)
    daemon.start()
    assert client.wait(run).rows == 3
    assert next(event for event in events if event.kind == "run").data["run"] == run
    events.close()
    daemon.stop()


def test_who_may_not_ask_is_told(longshore, program, serves):
    daemon, client = serves
    url = client.url
    for token in ("longshore_wrong", None):
        with pytest.raises(longshore.AuthError) as caught:
            list(longshore.Client(url, token).runs())
        assert not caught.value.retryable and "longshore_wrong" not in str(caught.value)
    # As `$(cat ..)` and mounted secrets give it.
    assert list(longshore.Client(f"{url}\n", f"{client_token(program)}\n").runs()) == []


def client_token(program):
    return (program.folder / "state/api-token").read_text().strip()


@pytest.mark.parametrize(
    "token", ["longshore_s3cr3t\nx", "longshore_s3cr3t\0", "longshore_s3cr3tä", b"s3cr3t"]
)
def test_a_token_that_is_none_is_not_shown(longshore, program, token):
    url, file = "http://127.0.0.1:1", program.folder / "token"
    with pytest.raises(longshore.ConfigError) as caught:
        longshore.Client(url, token).run("x")
    shown = [caught]
    if isinstance(token, str):
        file.write_text(token, encoding="latin-1")
        with pytest.raises(longshore.ConfigError, match=str(file)) as caught:
            longshore.Client(url, token_file=file).run("x")
        shown.append(caught)
    for caught in shown:
        assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))
        assert caught.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "https://ada:s3cr3t@lake:8460",
        "http://lake?token=s3cr3t",
        "http://ada:s3cr3t@lake:x",
        "ada:s3cr3t@lake",
    ],
)
def test_what_a_url_holds_besides_is_not_shown(longshore, url):
    with pytest.raises(longshore.ConfigError) as caught:
        longshore.Client(url, "t").run("x")
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))


def test_a_proxys_password_is_not_shown(longshore, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://ada:x@proxy:s3cr3t")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(longshore.ConfigError, match="proxy") as caught:
        longshore.Client("http://lake:8460", "t").run("x")
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))


def test_what_the_api_does_not_take_is_told_in_words_of_python(longshore, endpoint):
    client = longshore.Client(endpoint.url, "t")
    for deadline in (-1, 56, float("nan"), float("inf")):
        with pytest.raises(longshore.ConfigError, match="`deadline`.*55"):
            client.cancel("x", deadline=deadline)
    with pytest.raises(longshore.ConfigError, match="`state`.*succeeded"):
        client.runs(state="nope")
    with pytest.raises(longshore.ConfigError, match="1048576"):
        client.submit({"name": "x", "transform": [{"sql": "x" * 2**20}]})
    for wrong in ("a\0b.yaml", ""):
        with pytest.raises(longshore.ConfigError, match="the job file"):
            client.submit(wrong)
    with pytest.raises(longshore.ConfigError, match="token's file"):
        longshore.Client(endpoint.url, token_file="a\0b")
    with pytest.raises(longshore.ConfigError, match="`timeout`"):
        longshore.Client(endpoint.url, timeout=-1)
    assert not endpoint.requests


def test_the_socket_needs_no_token_and_the_environment_names_the_daemon(
    longshore, program, serves, monkeypatch
):
    socket = f"unix:{program.folder}/state/api.sock"
    assert list(longshore.Client(socket).runs()) == []
    monkeypatch.setenv("LONGSHORE_SERVER", socket)
    assert list(longshore.Client().runs()) == []
    monkeypatch.setenv("LONGSHORE_SERVER", serves[1].url)
    monkeypatch.setenv("LONGSHORE_TOKEN_FILE", str(program.folder / "state/api-token"))
    assert list(longshore.Client().runs()) == []
    monkeypatch.setenv("LONGSHORE_TOKEN_FILE", "/none")
    with pytest.raises(longshore.ConfigError, match="/none"):
        longshore.Client()


def test_a_daemon_that_is_away_and_what_is_no_daemon(longshore, program, endpoint, monkeypatch):
    with pytest.raises(longshore.ConfigError, match="no daemon is named"):
        longshore.Client()
    for url in ("http://127.0.0.1:1", f"unix:{program.folder}/none.sock"):
        with pytest.raises(longshore.ConnectionFailed) as caught:
            longshore.Client(url, "t").run("x")
        assert caught.value.retryable and caught.value.responsible == "the platform"
    for url in ("ftp://x", "127.0.0.1:8460", "http://127.0.0.1:port"):
        with pytest.raises(longshore.ConfigError):
            longshore.Client(url, "t").run("x")
    # Another server, also one that leads elsewhere.
    endpoint.refuse = lambda request, number: (302, {"Location": "http://127.0.0.1:1/"}, b"")
    with pytest.raises(longshore.ConfigError, match="no daemon of Longshore"):
        longshore.Client(endpoint.url, "t").retry("x")


class Other(BaseHTTPRequestHandler):
    """A server that is no daemon."""

    answers = []

    def do_GET(self):
        status, kind, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def other():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_page_of_another_server_is_no_answer(longshore, other):
    client = longshore.Client(other, "t")
    for answer in (
        (200, "text/html", b"<p>Welcome"),
        (200, "application/json", b"[]"),
        (500, "text/html", b""),
    ):
        Other.answers = [answer]
        for ask in (lambda: client.run("x"), lambda: next(client.runs()), lambda: next(client.events())):
            with pytest.raises(longshore.ConfigError, match="no daemon of Longshore"):
                ask()


def test_a_daemon_that_restarts_behind_a_proxy_is_waited_for(longshore, other):
    ended = {"run": "x", "finished": "now", "report": {"run": "x", "status": "succeeded"}}
    Other.answers = [
        (502, "text/html", b"<p>Bad Gateway"),
        (200, "application/json", json.dumps(ended).encode()),
    ]
    assert longshore.Client(other, "t").wait("x").run == "x"
    Other.answers = [(503, "text/html", b"")]
    with pytest.raises(longshore.ConnectionFailed, match="503") as caught:
        longshore.Client(other, "t").wait("x", patience=0)
    assert caught.value.retryable
