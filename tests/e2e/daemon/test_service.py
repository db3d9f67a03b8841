"""The Debian package under a real systemd, as PID 1 of a container."""

import json
import os
import shutil
import subprocess
import time

import pytest

from support.box import DEB, INBOX, Box
from support.longshore import ROOT
from support.wait import wait_for

pytestmark = pytest.mark.systemd

UNIT = ROOT / "packaging/systemd/longshore.service"


@pytest.fixture(scope="module")
def box(scratch):
    if not DEB.exists():
        pytest.skip("no package: make deb")
    if os.getuid() != 0 or not shutil.which("systemd-nspawn"):
        pytest.skip("needs root and systemd-container")
    box = Box(scratch / "box")
    yield box
    box.down()


LAKE = "file:///srv/lake"


def job(scale, table="orders", rows=50_000):
    return {
        "source": {"url": "tpch:", "scale": scale, "text_mib": 20},
        "tables": [table],
        "chunk": {"rows": rows},
        "target": {"url": LAKE},
    }


def test_the_unit_is_as_tight_as_a_jit_allows():
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd")
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-500:]


def test_the_package_brings_all_of_it(box):
    listed = box.run("dpkg", "-L", "longshore")
    for path in [
        "/usr/bin/longshore",
        "/usr/lib/longshore/plugins/postgres.wasm",
        "/usr/share/man/man1/longshore.1.gz",
        "/usr/share/man/man1/longshore-run.1.gz",
        "/usr/share/bash-completion/completions/longshore",
        "/etc/longshore/longshore.toml",
        "/etc/longshore/policy.toml",
    ]:
        assert path in listed, path
    assert "longshore.service" in listed
    assert box.run("stat", "-c", "%a %U", "/etc/longshore/secrets").split() == ["700", "root"]


def test_it_starts_says_that_it_is_ready_and_runs_a_job(box):
    box.run("systemctl", "start", "longshore")
    assert box.property("ActiveState") == "active"
    wait_for(lambda: box.property("StatusText") == "waiting for jobs")
    # Nothing is written anywhere until the operator says where.
    box.drop("early.json", job(0.01))
    wait_for(lambda: box.reports("failed"))
    [report] = box.reports("failed")
    assert report["error"]["class"] == "auth" and "/etc/longshore/policy.toml" in report["error"]["next_step"]
    box.run("sh", "-c", f"rm {INBOX}/failed/*")
    box.allow(LAKE, "s3://lake")
    box.drop("first.json", job(0.1))
    wait_for(lambda: box.reports("done"), 300)
    assert box.reports("done")[0]["rows"] == 150_000
    # In the journal with its own priority, not as a line of text.
    entries = box.run("journalctl", "-u", "longshore", "-o", "json", "--no-pager").splitlines()
    assert any(e.get("PRIORITY") and "published" in str(e.get("MESSAGE")) for e in map(json.loads, entries))


def test_a_secret_comes_by_way_of_systemd(box):
    secret = box.root / "etc/longshore/secrets/lake_key"
    secret.write_text("s3cr3t-value")
    secret.chmod(0o600)
    box.run("systemctl", "restart", "longshore")
    key = {
        "access_key_id": "id",
        "secret_access_key": {"secret": "lake_key"},
        "endpoint": "http://127.0.0.1:9",
    }
    box.drop("secret.json", {**job(0.01), "target": {"url": "s3://lake/x", "s3": key}})
    wait_for(lambda: box.reports("failed"), 240)
    [report] = box.reports("failed")
    # It got as far as the store, which is not there.
    assert report["error"]["class"] in ("connection", "timeout"), report
    assert "s3cr3t-value" not in box.journal() + json.dumps(report)


def test_it_reads_its_settings_again(box):
    box.run("sh", "-c", "echo 'retries = 3' > /etc/longshore/longshore.toml")
    box.run("systemctl", "reload", "longshore")
    wait_for(lambda: "settings were read again" in box.journal())
    assert box.property("ActiveState") == "active"


def test_stopped_under_load_it_goes_on_after_the_start(box):
    box.drop("load.json", job(5))
    wait_for(lambda: box.has_begun("load"))
    wait_for(lambda: box.property("StatusText") == "running 1: load.json")
    box.run("systemctl", "stop", "longshore")
    assert box.property("Result") == "success"
    left = list((box.root / f"{INBOX[1:]}/running").iterdir())
    assert len(left) == 1
    box.run("systemctl", "start", "longshore")
    wait_for(lambda: len(box.reports("done")) == 2, 300)
    report = next(report for report in box.reports("done") if report["job"] == "load")
    assert report["rows"] == 7_500_000 and any("are kept" in text for text in report["interruptions"])


def test_killed_it_comes_back_and_goes_on(box):
    box.drop("killed.json", job(5))
    wait_for(lambda: box.has_begun("killed"))
    before = box.property("MainPID")
    box.run("systemctl", "kill", "-s", "KILL", "--kill-whom=main", "longshore")
    wait_for(lambda: box.property("MainPID") not in ("0", before))
    wait_for(lambda: len(box.reports("done")) == 3, 300)


def test_a_daemon_that_hangs_is_started_anew_by_its_watchdog(box):
    folder = box.root / "etc/systemd/system/longshore.service.d"
    (folder / "watchdog.conf").write_text("[Service]\nWatchdogSec=3\n")
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "restart", "longshore")
    time.sleep(4)
    before = box.property("MainPID")
    assert box.property("NRestarts") == "0", "the watchdog took a daemon that lives"
    box.run("kill", "-STOP", before)
    wait_for(lambda: box.property("MainPID") not in ("0", before))
    assert "watchdog" in box.journal().lower()


def test_an_upgrade_loses_no_state(box):
    before = {run["run"]: run["state"] for run in box.runs()}
    box.run("dpkg", "-i", "/root/longshore.deb")
    assert box.property("ActiveState") == "active"
    assert {run["run"]: run["state"] for run in box.runs()} == before and len(before) >= 3
    assert "retries = 3" in (box.root / "etc/longshore/longshore.toml").read_text()


def test_removed_it_leaves_the_state_and_purged_nothing(box):
    box.run("dpkg", "-r", "longshore")
    assert (box.root / "var/lib/longshore/ledger.sqlite").exists()
    box.run("dpkg", "--purge", "longshore")
    assert not (box.root / "var/lib/longshore").exists()
