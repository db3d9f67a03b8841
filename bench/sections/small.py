"""What small runs cost: the daemon's part of a job of three rows, many jobs at once, a plan of many tables, and
start-up. The source is a file, which takes no time of its own."""

import json
import os
import statistics
import subprocess
import time

from measuring import Line
from setting import LONGSHORE

#: Jobs one after the other; the first few are a warm-up.
JOBS, WARM_UP = 40, 5

#: Jobs that are dropped at once, and tables of one job.
AT_ONCE, TABLES = 1_000, 10_000

CALLS = 20


def lines(setting):
    yield Line("small", "`longshore --version`", "ms", call_ms([LONGSHORE, "--version"], setting), goal=10)
    subprocess.run(
        [LONGSHORE, "plugin", "compile"], env=environment(setting), check=True, capture_output=True
    )
    run = [LONGSHORE, "run", job(setting, "tiny")]
    yield Line("small", "`longshore run`, three rows", "ms", call_ms(run, setting), goal=50)
    with Daemon(setting) as daemon:
        yield Line("small", "a job of three rows in the daemon", "ms", daemon.one_ms(), goal=15)
        seconds = daemon.many_seconds()
        yield Line("small", f"{AT_ONCE:,} jobs at once, each", "ms", seconds / AT_ONCE * 1e3, goal=5)
    for source, path in {"files": plan_of_files(setting), "PostgreSQL": plan_of_postgres(setting)}.items():
        seconds = call_ms([LONGSHORE, "--json", "plan", path], setting, calls=1) / 1e3
        yield Line("small", f"`longshore plan`, {TABLES:,} tables, {source}", "s", seconds, goal=2)


def environment(setting):
    return {**os.environ, **setting.env, "LONGSHORE_LOG": "warn"}


def job(setting, name):
    rows = setting.scratch / "rows.csv"
    rows.write_text("id,name\n1,one\n2,two\n3,three\n")
    target = {"url": f"file://{setting.scratch}/small/{name}"}
    path = setting.scratch / f"{name}.json"
    path.write_text(json.dumps({"source": {"url": f"file://{rows}"}, "target": target}))
    return path


def call_ms(command, setting, calls=CALLS):
    times, env = [], environment(setting)
    for _ in range(calls):
        started = time.monotonic()
        subprocess.run(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        times.append((time.monotonic() - started) * 1e3)
    return statistics.median(times)


class Daemon:
    """A daemon with an inbox of its own. A job is over when its file is in `done`."""

    def __init__(self, setting):
        self.setting, self.inbox = setting, setting.scratch / "inbox"

    def __enter__(self):
        command = [LONGSHORE, "serve", "--inbox", self.inbox]
        self.process = subprocess.Popen(command, env=environment(self.setting))
        while not (self.inbox / "failed").exists():
            time.sleep(0.01)
        self.drop(job(self.setting, "first"))
        self.wait("first", 1)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        if self.process.wait():
            raise SystemExit("the daemon failed")

    def drop(self, path):
        os.rename(path, self.inbox / path.name)

    def wait(self, prefix, count):
        while self.done(prefix) < count:
            if self.process.poll() is not None or any((self.inbox / "failed").iterdir()):
                raise SystemExit("a job failed")
            time.sleep(0.001)

    def done(self, prefix):
        names = os.listdir(self.inbox / "done")
        return sum(name.startswith(f"{prefix}.") and not name.endswith(".report.json") for name in names)

    def one_ms(self):
        times = []
        for number in range(JOBS):
            path = job(self.setting, f"one-{number}")
            started = time.monotonic()
            self.drop(path)
            self.wait(f"one-{number}", 1)
            times.append((time.monotonic() - started) * 1e3)
        return statistics.median(times[WARM_UP:])

    def many_seconds(self):
        paths = [job(self.setting, f"many.{number}") for number in range(AT_ONCE)]
        started = time.monotonic()
        for path in paths:
            self.drop(path)
        self.wait("many", AT_ONCE)
        seconds = time.monotonic() - started
        self.check()
        return seconds

    def check(self):
        """Each job is published with its three rows, and the ledger knows all of them."""
        listed = [LONGSHORE, "--json", "runs", "--limit", str(2 * AT_ONCE)]
        runs = json.loads(
            subprocess.run(listed, env=environment(self.setting), check=True, capture_output=True).stdout
        )
        published = [run for run in runs if run["state"] == "succeeded" and run["job"].startswith("many")]
        if len(published) != AT_ONCE:
            raise SystemExit(f"{len(published)} of {AT_ONCE} jobs are in the ledger")
        for report in (self.inbox / "done").glob("many.*.report.json"):
            if json.loads(report.read_text())["rows"] != 3:
                raise SystemExit(f"{report}: rows are lost")


def plan_of_files(setting):
    folder = setting.scratch / "tables"
    folder.mkdir()
    names = [f"t{number}.csv" for number in range(TABLES)]
    for name in names:
        (folder / name).write_text("id,name\n1,one\n")
    return plan(setting, "files", {"url": f"file://{folder}"}, names)


def plan_of_postgres(setting):
    names = [f"t{number}" for number in range(TABLES)]
    with setting.server.connect() as connection:
        for first in range(0, TABLES, 500):
            tables = names[first : first + 500]
            connection.execute(
                ";".join(f"CREATE TABLE {name} (id int PRIMARY KEY, name text)" for name in tables)
            )
        connection.execute("ANALYZE")
    return plan(setting, "postgres", setting.postgres_source(), names)


def plan(setting, name, source, tables):
    path = setting.scratch / f"plan-{name}.json"
    target = {"url": f"file://{setting.lake}"}
    path.write_text(json.dumps({"source": source, "tables": tables, "target": target}))
    return path
