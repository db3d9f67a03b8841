"""Webhooks are told what happens to runs, in order, at least once, and delay none."""

import json
import re
import signal
import socket
import sqlite3
from contextlib import closing

import pytest

from support.daemon import Daemon, drop, endings, log
from support.longshore import ROOT, rows_job
from support.wait import wait_for
from support.webhook import Webhooks

KEY = "a key of the signature"


@pytest.fixture
def webhooks():
    return Webhooks()


@pytest.fixture
def secrets(program):
    folder = program.folder / "secrets"
    folder.mkdir()
    (folder / "hook_key").write_text(KEY)
    (folder / "hook_token").write_text("Bearer of-a-token")
    program.env["LONGSHORE_SECRETS"] = str(folder)
    return folder


def bad_job(program, name="bad.yaml", **keys):
    return rows_job(program, name, transform=[{"sql": "SELECT id / 0 AS x FROM data"}], **keys)


def snippet():
    """The function of the documents, as people copy it."""
    text = (ROOT / "docs/how-to/notifications.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names = {}
    exec(code, names)
    return names["is_genuine"]


def test_a_command_tells_of_its_run_with_a_signature(program, webhooks, secrets):
    hook = {
        "url": f"{webhooks.url}/hook",
        "on": ["failed", "succeeded"],
        "secret": {"secret": "hook_key"},
        "headers": {"Authorization": {"secret": "hook_token"}, "X-Team": "data"},
    }
    report = program.report("run", rows_job(program, notify=[hook]))
    [told] = webhooks.told
    assert told.body["event"] == "succeeded" and told.body["run"] == report["run"]
    assert (told.body["version"], told.body["rows"], told.body["job"]) == (1, 3, "good")
    assert told.headers["Authorization"] == "Bearer of-a-token" and told.headers["X-Team"] == "data"
    is_genuine, signature = snippet(), told.headers["Longshore-Signature"]
    assert is_genuine(told.raw, signature, KEY.encode())
    assert not is_genuine(told.raw + b" ", signature, KEY.encode())
    assert not is_genuine(told.raw, signature, b"another key")
    old = signature.replace(f"t={signature.split(',')[0][2:]}", "t=1")
    assert not is_genuine(told.raw, old, KEY.encode()) and not is_genuine(told.raw, "", KEY.encode())
    line, code = program.refused("run", bad_job(program, notify=[hook]))
    error = webhooks.told[1].body["error"]
    assert code == 4 and error["class"] == "data" and error["owner"] == "the job's owner"


def test_no_secret_is_kept(program, webhooks, secrets):
    hook = {"url": f"{webhooks.url}/hook", "secret": {"secret": "hook_key"}}
    webhooks.status = 503
    program.call("run", bad_job(program, notify=[hook]), "-v")
    state = program.folder / "state"
    kept = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert b"hook_key" in kept and KEY.encode() not in kept


def test_what_a_command_could_not_deliver_is_delivered_in_order_by_the_next(program, webhooks):
    hook = {"url": f"{webhooks.url}/hook", "on": ["failed", "succeeded"]}
    webhooks.status = 503
    done = program.call("--json", "run", bad_job(program, notify=[hook]))
    assert done.returncode == 4
    assert webhooks.told and waiting(program) == 1
    webhooks.status, count = 200, len(webhooks.told)
    due_now(program)
    report = program.report("run", rows_job(program, notify=[hook]))
    first, second = webhooks.told[count:]
    assert first.body == webhooks.told[0].body and first.body["event"] == "failed"
    assert (second.body["event"], second.body["run"]) == ("succeeded", report["run"])
    assert len({told.headers["Longshore-Delivery"] for told in webhooks.told}) == 2
    assert waiting(program) == 0


def waiting(program):
    with closing(sqlite3.connect(program.folder / "state/ledger.sqlite")) as ledger:
        return ledger.execute("SELECT count(*) FROM outbox").fetchone()[0]


def due_now(program):
    """As if the wait were over."""
    with closing(sqlite3.connect(program.folder / "state/ledger.sqlite")) as ledger, ledger:
        ledger.execute("UPDATE outbox SET due = created")


def test_an_event_that_is_refused_for_good_does_not_hold_up_others(program, webhooks):
    hook = {"url": f"{webhooks.url}/hook"}
    webhooks.status = 422
    done = program.call("run", bad_job(program, notify=[hook]))
    assert "given up" in done.stderr and "answered with status 422" in done.stderr
    assert "/hook" not in done.stderr and waiting(program) == 0


def test_a_daemon_tells_of_jobs_that_cannot_be_read_and_survives_a_kill(program, webhooks):
    config = program.folder / "longshore.toml"
    config.write_text(f'[[notify]]\nurl = "{webhooks.url}/all"\non = ["failed", "succeeded"]\n')
    program.env["LONGSHORE_CONFIG"] = str(config)
    webhooks.status = 503
    daemon = Daemon(program)
    try:
        wrong = program.folder / "wrong.yaml"
        wrong.write_text("tabels: [a]\n")
        drop(daemon, wrong)
        wait_for(lambda: webhooks.told)
        drop(daemon, rows_job(program))
        wait_for(lambda: len(endings(daemon)) == 2)
        daemon.stop(signal.SIGKILL)
        webhooks.status, count = 200, len(webhooks.told)
        due_now(program)
        daemon.start()
        wait_for(lambda: waiting(program) == 0)
        # At least once: one more may have been on its way when the daemon was killed.
        *before, last = [told.body["event"] for told in webhooks.told[count:]]
        assert set(before) == {"failed"} and last == "succeeded"
        assert webhooks.told[count].body["error"]["class"] == "config"
    finally:
        daemon.stop(signal.SIGKILL)
    assert "panicked" not in log(program)


def test_a_receiver_that_does_not_answer_delays_no_other(program, webhooks):
    """It is still connected when the others have been told of two runs."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        urls = [f"http://127.0.0.1:{silent.getsockname()[1]}/", f"{webhooks.url}/"]
        notify = [{"url": url, "on": ["succeeded"]} for url in urls]
        daemon = Daemon(program)
        try:
            drop(daemon, rows_job(program, "first.yaml", notify=notify))
            connection, _ = silent.accept()
            wait_for(lambda: len(webhooks.told) == 1)
            drop(daemon, rows_job(program, "second.yaml", notify=notify))
            wait_for(lambda: len(webhooks.told) == 2)
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                while connection.recv(1 << 16):
                    pass
        finally:
            daemon.stop(signal.SIGKILL)


def test_columns_that_are_others_are_an_event_of_their_own(program, webhooks):
    hook = {"url": f"{webhooks.url}/hook", "on": ["drifted"]}
    target = {"url": f"file://{program.lake}", "mode": "append"}
    program.ok("run", rows_job(program, target=target, notify=[hook]))
    job = rows_job(program, target=target, notify=[hook], transform=[{"sql": "SELECT id AS other FROM data"}])
    line, code = program.refused("run", job)
    assert code == 2 and "has other columns" in line
    assert [told.body["event"] for told in webhooks.told] == ["drifted"]


def test_the_policy_limits_webhooks_of_jobs(program, webhooks):
    policy = program.folder / "policy.toml"
    policy.write_text('[[rule]]\nplugin = "longshore"\nonly = ["hooks.internal:443"]\nsecrets = ["secret"]\n')
    program.env["LONGSHORE_POLICY"] = str(policy)
    line, code = program.refused("run", rows_job(program, notify=[{"url": f"{webhooks.url}/hook"}]))
    assert code == 5 and "`notify[0].url`" in line and "policy" in line
    hook = {"url": "https://hooks.internal/", "secret": {"env": "HOME"}}
    line, code = program.refused("run", rows_job(program, notify=[hook]))
    assert code == 5 and "notify[0].secret" in line
    hook = {"url": "https://hooks.internal/", "secret": "a-value"}
    line, code = program.refused("run", rows_job(program, notify=[hook]))
    assert code == 2 and "a-value" not in line
    assert json.loads(program.ok("--json", "runs")) == [] and webhooks.told == []
