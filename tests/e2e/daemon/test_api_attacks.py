"""Attacks on the HTTP API are refused or bounded, and a run in progress does not notice."""

import http.client
import json
import resource
import signal
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from support.api import Api, serving
from support.endpoint import held
from support.longshore import only, rows_job
from support.wait import wait_for


@pytest.fixture
def api(program, gate):
    """An API, with a run in progress that ends well whatever is tried."""
    daemon, api = serving(only(program, "http-sink"))
    api.daemon = daemon
    held(daemon, gate)
    run = wait_for(lambda: api.get("/overview")["active"])[0]["run"]
    try:
        yield api
        gate.open.set()
        ended = api.ended(run)
        assert (ended["state"], ended["restarts"], ended["tasks"]["failed_attempts"]) == ("succeeded", 0, 0)
    finally:
        daemon.stop(signal.SIGKILL)


def refused(api):
    """What the audit log has, without its moments."""
    return [(e["who"], e["method"], e["path"], e["outcome"]) for e in api.get("/audit")["entries"]]


def test_nobody_comes_in_without_a_token(api):
    for headers in [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {api.token[:-1]}"},
        {"Authorization": f"Basic {api.token}"},
        {"Cookie": f"longshore_session={api.token}"},
        {"Cookie": "longshore_session="},
    ]:
        for method, path in [("GET", "/api/v1/runs"), ("GET", "/api/v1/events"), ("POST", "/api/v1/runs")]:
            status, answer, body = api.call(method, path, headers=headers, token=False)
            assert status == 401 or (status == 403 and method == "POST"), (headers, body)
            assert status == 403 or answer["www-authenticate"] == "Bearer"
    wait_for(lambda: ("", "GET", "/api/v1/events", 401) in refused(api))


def test_each_role_does_what_it_may(api, program):
    made = lambda role: api.post("/tokens", {"name": role, "role": role}, 201)["token"]
    viewer, operator = (Api(program, made(role)) for role in ["viewer", "operator"])
    assert viewer.get("/session") == {"name": "viewer", "role": "viewer"}
    assert viewer.get("/overview")["active"]
    body = {"name": "shop", "document": rows_job(program).read_text()}
    error = viewer.post("/runs", body, 403)["error"]
    assert error["class"] == "auth" and "operator" in error["message"]
    for method, path in [("GET", "/tokens"), ("GET", "/audit"), ("DELETE", "/tokens/viewer")]:
        assert operator.call(method, f"/api/v1{path}")[0] == 403, path
    run = operator.post("/runs", body, 201)["run"]
    assert api.get(f"/runs/{run}")["trigger"]["requested_by"] == "operator"
    assert api.call("DELETE", "/api/v1/tokens/viewer")[0] == 204
    assert viewer.call("GET", "/api/v1/overview")[0] == 401
    wait_for(lambda: ("viewer", "POST", "/api/v1/runs", 403) in refused(api))
    entries = refused(api)
    assert ("operator", "POST", "/api/v1/runs", 201) in entries
    assert ("api-token", "DELETE", "/api/v1/tokens/viewer", 204) in entries


def test_another_name_does_not_lead_here(api):
    for host in ["evil.example", "evil.example:8460", "127.0.0.1.evil.example", "[::ffff:10.0.0.1]"]:
        status, _, body = api.call("GET", "/api/v1/overview", headers={"Host": host})
        assert status == 421 and "Host" in body["error"]["message"], host
        assert api.call("GET", "/", headers={"Host": host}, token=False)[0] == 421
    for host in ["localhost:1", f"127.0.0.1:{api.address.port}", "[::1]"]:
        assert api.call("GET", "/api/v1/overview", headers={"Host": host})[0] == 200, host


def test_pages_of_other_sites_change_nothing(api, program):
    link = json.loads(program.ok("--json", "dashboard"))["url"]
    path = link.removeprefix(api.url)
    status, headers, _ = api.call("GET", path, token=False)
    assert status == 303 and headers["location"] == "/"
    cookie = headers["set-cookie"]
    for flag in ["HttpOnly", "SameSite=Strict", "Path=/"]:
        assert flag in cookie
    assert api.call("GET", path, token=False)[0] == 401, "a link logs in once"
    session = {"Cookie": cookie.split(";")[0]}
    status, _, who = api.call("GET", "/api/v1/session", headers=session, token=False)
    assert who == {"name": "dashboard", "role": "operator"}
    body = json.dumps({"name": "shop", "document": rows_job(program).read_text()})
    post = {**session, "Content-Type": "application/json"}
    for origin in [None, "http://evil.example", "null", f"https://127.0.0.1:{api.address.port}"]:
        headers = {**post, **({"Origin": origin} if origin else {})}
        assert api.call("POST", "/api/v1/runs", body, headers, token=False)[0] == 403, origin
    own = {**post, "Origin": api.url}
    assert api.call("POST", "/api/v1/runs", body, own, token=False)[0] == 201
    assert api.call("DELETE", "/api/v1/session", headers=own, token=False)[0] == 204
    assert api.call("GET", "/api/v1/session", headers=session, token=False)[0] == 401
    _, headers, _ = api.call("GET", "/api/v1/overview", headers={"Origin": "http://evil.example"})
    assert not [name for name in headers if name.lower().startswith("access-control")]


def test_answers_carry_the_headers_that_protect_pages(api):
    for path in ["/", "/ui/runs", "/api/v1/overview", "/nothing", "/api/v1/nothing"]:
        _, headers, _ = api.call("GET", path)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"


def test_no_path_leads_out(api):
    secret = "/../../../../etc/passwd"
    for path in [
        secret,
        secret.replace("/", "%2f"),
        "/ui" + secret,
        "/%2e%2e/%2e%2e/Cargo.toml",
        "//etc/passwd",
    ]:
        status, _, body = api.call("GET", path, token=False)
        assert status in (400, 404) and "root:" not in str(body), path
    for run in ["..%2f..%2fledger.sqlite", "%2e%2e", "a%00b"]:
        assert api.call("GET", f"/api/v1/runs/{run}")[0] in (400, 404), run
        assert api.call("GET", f"/api/v1/runs/{run}/manifest")[0] in (400, 404), run
    for name in ["../../x", "/tmp/x", ".hidden", "a/b", ""]:
        assert api.post("/runs", {"name": name, "document": "source: {}"}, 400)["error"], name


def test_large_and_slow_bodies_are_bounded(api):
    status, _, body = api.call(
        "POST", "/api/v1/jobs/validate", "x" * (1 << 20), {"Content-Type": "application/yaml"}
    )
    assert status == 200 and not body["valid"]
    announced = {"Content-Length": str(100 << 20), "Content-Type": "application/yaml"}
    assert answer_to(api, announced, [b"x" * 1000]) == 413
    endless = (b"10000\r\n" + b"x" * 0x10000 + b"\r\n" for _ in range(1600))
    chunked = {"Transfer-Encoding": "chunked", "Content-Type": "application/yaml"}
    assert answer_to(api, chunked, endless) == 413
    # A body that never comes.
    assert answer_to(api, {"Content-Length": "1000", "Content-Type": "application/yaml"}, [b"x"]) == 408


def answer_to(api, headers, body):
    """The status of the answer to a request whose body is sent until somebody answers."""
    head = {"Host": api.address.netloc, "Authorization": f"Bearer {api.token}", **headers}
    lines = [f"{name}: {value}" for name, value in head.items()]
    request = "\r\n".join(["POST /api/v1/jobs/validate HTTP/1.1", *lines, "", ""]).encode()
    with socket.create_connection((api.address.hostname, api.address.port), 60) as client:
        client.sendall(request)
        try:
            for piece in body:
                client.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            answer = http.client.HTTPResponse(client)
            answer.begin()
            return answer.status
        except ConnectionResetError:
            # It was answered, and closed while more came.
            return 413


def test_a_thousand_idle_connections_are_bounded_and_let_go(api):
    # A login often has 1,024 files: this process takes what it may.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    idle = []
    for _ in range(1000):
        client = socket.socket()
        client.settimeout(60)
        client.connect((api.address.hostname, api.address.port))
        client.sendall(b"GET / HTTP/1.1\r\nHost: ")
        idle.append(client)

    def answers():
        try:
            return api.call("GET", "/api/v1/overview")[0] == 200
        except (ConnectionError, http.client.HTTPException):
            return False

    # Whoever says nothing is let go, and there is room again.
    wait_for(answers, 60)
    for client in idle:
        client.close()


def test_a_slow_reader_of_events_is_disconnected_and_resumes(api, program):
    many = 60_000
    with closing(sqlite3.connect(program.folder / "state/ledger.sqlite", timeout=60)) as ledger, ledger:
        event = ("a-run", "2026-11-29T00:00:00.000Z", "x" * 100)
        ledger.executemany("INSERT INTO events (run, at, text) VALUES (?, ?, ?)", [event] * many)
        [last] = ledger.execute("SELECT max(id) FROM events").fetchone()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((api.address.hostname, api.address.port))
        client.settimeout(60)
        request = f"GET /api/v1/events?run=a-run&after=0 HTTP/1.1\r\nHost: {api.address.netloc}\r\n"
        client.sendall(f"{request}Authorization: Bearer {api.token}\r\n\r\n".encode())
        assert is_served(api, client)
        wait_for(lambda: not is_served(api, client))
        assert api.get("/overview")["active"]
        ids = [int(line[4:]) for line in rest(client).splitlines() if line.startswith(b"id: ")]
    assert ids and ids[-1] < last
    resumed = api.events("/events?run=a-run", {"Last-Event-ID": str(ids[-1])})
    assert resumed.next()["id"] == ids[-1] + 1
    resumed.close()


def is_served(api, client):
    """Whether the daemon has its end of a connection open, as the kernel lists it."""
    ends = f":{api.address.port:04X}", f":{client.getsockname()[1]:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    established = "01"
    return any((line[1][-5:], line[2][-5:]) == ends and line[3] == established for line in lines)


def rest(client):
    """What a connection still holds."""
    read = b""
    try:
        while piece := client.recv(1 << 16):
            read += piece
    except ConnectionResetError:
        pass
    return read


def test_streams_are_bounded(api):
    streams = [api.events() for _ in range(64)]
    status, headers, body = api.call("GET", "/api/v1/events")
    assert status == 429 and int(headers["retry-after"]) > 0 and body["error"]["class"] == "throttled"
    streams.pop().close()
    wait_for(lambda: opened(api))
    for stream in streams:
        stream.close()


def opened(api):
    """Whether one more stream can be opened."""
    try:
        api.events().close()
        return True
    except AssertionError:
        return False


def test_what_is_not_meant_for_it_is_answered_as_an_error(api):
    for method, path, headers, expected in [
        ("POST", "/api/v1/runs", {"Content-Type": "text/plain"}, 415),
        ("POST", "/api/v1/runs", {"Content-Type": "application/json"}, 400),
        ("POST", "/api/v1/jobs/validate", {}, 415),
        ("PUT", "/api/v1/runs", {}, 405),
        ("GET", "/api/v1/runs?limit=x", {}, 400),
        ("GET", "/api/v1/runs?limit=0", {}, 400),
        ("GET", "/api/v1/runs?since=yesterday", {}, 400),
        ("GET", "/api/v1/runs?states=failed", {}, 400),
        ("GET", "/api/v1/runs?state=done", {}, 400),
        ("GET", "/api/v1/audit?limit=501", {}, 400),
        ("GET", "/api/v1/runs/nosuch/log", {}, 404),
        ("POST", "/api/v1/jobs/validate?day=1", {"Content-Type": "application/yaml"}, 400),
        ("POST", "/api/v1/jobs/plan?rows=1", {"Content-Type": "application/yaml"}, 400),
    ]:
        status, _, body = api.call(method, path, "{", headers)
        assert status == expected and body["error"]["message"], (method, path, body)
    for days in (0, 36_501):
        body = json.dumps({"name": "t", "role": "viewer", "days": days})
        status, _, body = api.call("POST", "/api/v1/tokens", body, {"Content-Type": "application/json"})
        assert status == 400 and body["error"]["message"] == "`days` is not from 1 to 36500", body
        assert "deserialize" not in body["error"]["message"]


def test_an_address_that_others_reach_needs_tls(program):
    line, code = program.refused("serve", "--inbox", program.folder / "inbox", "--listen", "0.0.0.0:0")
    assert code == 2 and "TLS" in line and "--listen-plain" in line
