"""Commands that ask a daemon over its API: from elsewhere with a token, from this machine by its socket."""

import json
import signal
import subprocess

import pytest

from support.api import serving
from support.longshore import rows_job


@pytest.fixture
def api(program):
    daemon, api = serving(program)
    api.daemon = daemon
    yield api
    daemon.stop(signal.SIGKILL)


def test_a_job_is_submitted_and_waited_for_with_the_usual_exit_codes(api, program):
    elsewhere = {"LONGSHORE_SERVER": api.url, "LONGSHORE_TOKEN": api.token, "LONGSHORE_STATE": "/nowhere"}
    job = rows_job(program)
    report = program.report("submit", job, "--key", "k", "--wait", env=elsewhere)
    assert (report["status"], report["rows"]) == ("succeeded", 3)
    again = program.report("submit", job, "--key", "k", env=elsewhere)
    assert again == {"run": report["run"], "is_new": False}
    assert "published 3 rows" in program.ok("wait", report["run"], env=elsewhere)
    assert report["run"] in program.ok("runs", env=elsewhere)
    [run] = program.report("runs", env=elsewhere)
    assert (run["job"], run["state"]) == ("good", "succeeded")
    assert "succeeded" in program.ok("runs", "show", report["run"], env=elsewhere)
    assert "succeeded" in program.ok("runs", "show", report["run"][:-2], env=elsewhere)
    # Global options may stand before the subcommand, too.
    assert "succeeded" in program.ok("runs", "--server", api.url, "show", report["run"][:-2], env=elsewhere)
    line, code = program.refused("runs", "--limit", "3", "show", report["run"], env=elsewhere)
    assert code == 2 and "--limit" in line
    line, code = program.refused("runs", "show", "nosuch", env=elsewhere)
    assert code == 4 and "no run" in line and "`longshore runs`" in line
    line, code = program.refused("runs", "cancel", report["run"], env=elsewhere)
    assert code == 2 and "nothing to cancel" in line
    missing = program.job({"url": f"file://{program.folder}/missing.csv"}, "missing.yaml")
    local = program.call("run", missing)
    line, code = program.refused("submit", missing, "--wait", env=elsewhere)
    assert code == local.returncode and "missing.csv" in line
    failed = program.report("runs", env=elsewhere)[0]["run"]
    assert "missing.csv" in program.ok("runs", "show", failed, env=elsewhere)
    (program.folder / "missing.csv").write_text("id\n1\n")
    line, code = program.refused("runs", "show", "2", env=elsewhere)
    assert code == 4 and "several runs" in line and failed in line
    retried = program.report("runs", "retry", failed, env=elsewhere)["run"]
    assert program.report("wait", retried, env=elsewhere)["rows"] == 1


def test_a_run_that_is_refused_when_it_is_taken_ends_for_those_who_wait(api, program):
    job = program.job({"url": f"file://{program.folder}/rows.csv"}, "own.yaml", target={"url": "lake"})
    rows_job(program)
    line, code = program.refused("submit", job, "--wait")
    assert code == 2 and "a folder of Longshore's own" in line
    [listed] = program.report("runs")
    assert (listed["job"], listed["state"]) == ("own", "failed")
    assert "Longshore's own" in api.get(f"/runs/{listed['run']}")["report"]["error"]["message"]
    line, code = program.refused("wait", listed["run"])
    assert code == 2 and "Longshore's own" in line


def test_the_own_daemon_is_asked_without_a_token(api, program):
    assert program.report("submit", rows_job(program), "--wait")["rows"] == 3
    socket = f"unix:{program.folder}/state/api.sock"
    assert len(program.report("--server", socket, "runs")) == 1


def test_refusals_say_what_to_do(api, program):
    line, code = program.refused("--server", api.url, "runs")
    assert code == 5 and "no token" in line
    token = program.folder / "token"
    token.write_text("wrong\n")
    line, code = program.refused("--server", api.url, "--token-file", token, "runs")
    assert code == 5 and "nobody has this token" in line
    line, code = program.refused("--server", "http://127.0.0.1:1", "runs")
    assert code == 3 and "--server" in line
    line, code = program.refused("--server", api.url, "--token-file", "/nowhere", "runs")
    assert code == 4 and "/nowhere" in line


def test_tokens_are_made_listed_and_revoked(api, program):
    made = program.report("token", "create", "--name", "ci", "--role", "viewer")
    assert program.ok("runs", env={"LONGSHORE_SERVER": api.url, "LONGSHORE_TOKEN": made["token"]})
    names = {token["name"]: token["role"] for token in program.report("token", "list")}
    assert names == {"api-token": "admin", "ci": "viewer"}
    ledger = (program.folder / "state/ledger.sqlite").read_bytes()
    assert made["token"].encode() not in ledger
    line, code = program.refused("token", "create", "--name", "ci", "--role", "admin")
    assert code == 2 and "already" in line
    program.ok("token", "revoke", "ci")
    line, code = program.refused("runs", env={"LONGSHORE_SERVER": api.url, "LONGSHORE_TOKEN": made["token"]})
    assert code == 5
    commands = [entry["method"] for entry in api.get("/audit")["entries"] if entry["origin"] == "command"]
    assert commands == ["token revoke", "token create"]


def test_tls_is_spoken_with_a_certificate(program):
    key, certificate = program.folder / "key.pem", program.folder / "cert.pem"
    subprocess.run(
        [
            *["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
            *["-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate],
            *["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-addext", "basicConstraints=CA:FALSE"],
        ],
        check=True,
        capture_output=True,
    )
    daemon, api = serving(program, "--tls-cert", certificate, "--tls-key", key)
    try:
        assert api.url.startswith("https://127.0.0.1:")
        options = ["--server", api.url, "--server-ca", certificate]
        assert json.loads(program.ok("--json", *options, "runs", env={"LONGSHORE_TOKEN": api.token})) == []
        line, code = program.refused("--server", api.url, "runs", env={"LONGSHORE_TOKEN": api.token})
        assert code == 3 and "certificate" in line
    finally:
        daemon.stop(signal.SIGKILL)
