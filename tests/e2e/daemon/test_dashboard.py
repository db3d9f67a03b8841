"""The dashboard in Chromium, over a real daemon."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import urllib.request
from pathlib import Path

import pytest

from support.daemon import Daemon
from support.gate import Gate, gated_job
from support.longshore import ROOT
from support.ports import free_port
from support.wait import wait_for

pytestmark = pytest.mark.browser

MODULES = ROOT / "target/stores/browser"
SCRIPT = ROOT / "tests/browser/dashboard.mjs"

#: What the script has for a scenario.
PATIENCE = 600

PAGES = {
    "overview": "/",
    "runs": "/ui/runs",
    "schedules": "/ui/schedules",
    "plugins": "/ui/plugins",
    "sources": "/ui/sources",
    "submit": "/ui/submit",
}


class Dashboard:
    """A daemon with an API, and a browser that is logged in."""

    def __init__(self, program):
        self.program = program
        self.address = f"127.0.0.1:{free_port()}"
        self.jobs = program.folder / "jobs"
        self.jobs.mkdir()
        # Kept where somebody wants to look at them.
        self.pictures = Path(os.environ.get("LONGSHORE_PICTURES", program.folder / "pictures"))
        self.pictures.mkdir(exist_ok=True)
        self.daemon = Daemon(program, "--listen", self.address, "--jobs-dir", self.jobs)
        self.link = program.ok("dashboard").split()[-1]
        self.run("login")

    def command(self, scenario, *args):
        link = self.link if scenario == "login" else f"http://{self.address}/"
        return ["node", SCRIPT, MODULES, self.pictures, link, scenario, *map(str, args)]

    def run(self, scenario, *args):
        done = subprocess.run(self.command(scenario, *args), capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout.strip()

    def token(self):
        return (self.program.folder / "state/api-token").read_text().strip()

    def get(self, path):
        request = urllib.request.Request(
            f"http://{self.address}/api/v1{path}", headers={"authorization": f"Bearer {self.token()}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@pytest.fixture
def dashboard(program):
    if not shutil.which("chromium") or not MODULES.exists():
        pytest.skip("needs Chromium: make install-test")
    dashboard = Dashboard(program)
    yield dashboard
    dashboard.daemon.stop(signal.SIGKILL)


def job(program, scale, table="orders", rows=10_000):
    return {
        "source": {"url": "tpch:", "scale": scale, "text_mib": 5},
        "tables": [table],
        "chunk": {"rows": rows},
        # The browser computes, too.
        "parallel": {"chunks": 1, "relations": 1},
        "target": {"url": f"file://{program.lake}"},
    }


@pytest.fixture
def standing(dashboard, server):
    """A run in progress, which stands still and leaves the browser the processor."""
    gate = Gate(server)
    path = gated_job(dashboard.program, server, "long.json", free=3)
    path.rename(dashboard.daemon.inbox / path.name)
    yield run_of(dashboard, "long", is_reading)["run"]
    gate.connection.close()


def drop(dashboard, name, document):
    aside = dashboard.daemon.inbox / f".{name}"
    aside.write_text(json.dumps(document))
    aside.rename(dashboard.daemon.inbox / name)


def run_of(dashboard, name, is_wanted=lambda run: True):
    """The newest run of a job, once there is one as wanted."""

    def found():
        runs = [run for run in dashboard.get("/runs")["runs"] if run["job"].startswith(name)]
        return runs and is_wanted(runs[0]) and runs[0]

    return wait_for(found)


def is_reading(run):
    return run["state"] == "running" and run["tasks"]["done"] > 0


def test_every_page_is_readable_in_light_and_dark_and_narrow_while_a_job_runs(dashboard, standing):
    (dashboard.jobs / "nightly.json").write_text(
        json.dumps(
            {**job(dashboard.program, 0.01), "schedule": {"cron": "0 2 * * *", "time_zone": "Europe/Berlin"}}
        )
    )
    drop(
        dashboard,
        "wrong.json",
        {"source": {"url": "tpch:"}, "tables": ["nothing"], "target": {"url": "file:///x"}},
    )
    run_of(dashboard, "wrong", lambda run: run["state"] == "failed")
    failed = run_of(dashboard, "wrong")["run"]
    pages = {
        **PAGES,
        "run": f"/ui/runs/{standing}",
        "failed": f"/ui/runs/{failed}",
        "schedule": "/ui/schedules/nightly",
    }
    dashboard.run("pictures", *(f"{name}={path}" for name, path in pages.items()))
    assert len(list(dashboard.pictures.glob("*-*.png"))) >= 3 * len(pages)


def test_every_page_is_reached_by_the_keyboard(dashboard):
    dashboard.run("keyboard")


def test_a_job_is_written_checked_previewed_submitted_and_watched(dashboard):
    document = json.dumps(job(dashboard.program, 0.5), indent=1)
    wrong = document.replace('"tables"', '"tabels"')
    run = dashboard.run("submit", document, wrong)
    assert dashboard.get(f"/runs/{run}")["report"]["rows"] == 750_000
    assert dashboard.program.published() != []


def test_a_run_is_cancelled_and_tried_again(dashboard, standing):
    again = dashboard.run("cancel", standing)
    assert again != standing
    assert dashboard.get(f"/runs/{standing}")["state"] == "cancelled"
    assert dashboard.get(f"/runs/{again}")["trigger"]["kind"] == "retry"


def test_a_page_outlives_its_daemon_and_catches_up(dashboard):
    drop(dashboard, "load.json", job(dashboard.program, 2))
    run = run_of(dashboard, "load", is_reading)["run"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(dashboard.command("restart", run), text=True, **pipes) as page:
        assert page.stdout.readline() == "open\n", page.stderr.read()
        dashboard.daemon.stop(signal.SIGKILL)
        assert page.stdout.readline() == "lost\n", page.stderr.read()
        dashboard.daemon.start()
        page.stdin.write("\n")
        page.stdin.flush()
        assert page.stdout.readline() == "back\n", page.stderr.read()
        assert page.wait(60) == 0, page.stderr.read()
    assert dashboard.get(f"/runs/{run}")["report"]["rows"] == 3_000_000


def test_a_run_of_ten_thousand_chunks_is_drawn(dashboard):
    drop(dashboard, "many.json", job(dashboard.program, 1, "lineitem", 600))
    run = run_of(dashboard, "many", is_reading)["run"]
    [relation] = dashboard.get(f"/runs/{run}/chunks")["relations"]
    assert relation["chunks"] >= 10_000
    print(dashboard.run("chunks", run, relation["chunks"]))


def test_a_hundred_thousand_runs_are_a_page_at_a_time(dashboard):
    dashboard.daemon.stop()
    with sqlite3.connect(dashboard.program.folder / "state/ledger.sqlite") as ledger:
        ledger.execute("INSERT INTO jobs (name, digest) VALUES ('nightly', 'd'), ('rare', 'd')")
        ledger.execute(
            """
            WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)
            INSERT INTO runs (id, job, file, owner, phase, created, finished, report)
            SELECT printf('20260101T000000Z-%08x', i), jobs.id, '/jobs/nightly.yaml', 'daemon', 'succeeded',
                   strftime('%Y-%m-%dT%H:%M:%S.000Z', 1767225600 + i, 'unixepoch'), '2026-01-01T00:00:00.000Z', '{"rows": 1}'
            FROM n JOIN jobs ON jobs.name = iif(i = 77, 'rare', 'nightly')
            """
        )
    dashboard.daemon.start()
    print(dashboard.run("many", "rare"))


def test_the_dashboard_is_small_and_loads_nothing_from_elsewhere():
    files = [path for path in (ROOT / "host/daemon/dashboard").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 150_000
    for path in files:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text.replace('url: "http://', "") and "https://" not in text, path
        assert os.path.splitext(path.name)[1] in (".js", ".css", ".html", ".svg")
