"""What every test may ask for: the program, a real PostgreSQL with the real flights of New York in 2013, and more."""

import re
import shutil
import tempfile
from pathlib import Path

import pytest

from support import hive
from support.endpoint import Endpoint, Gate
from support.longshore import Program
from support.odbc import MariaDB
from support.postgres import FLIGHTS, Server, flights_csv, load
from support.stores import STORES


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


def pytest_configure(config):
    # Made once, for all workers: what is compiled is compiled once.
    if not hasattr(config, "workerinput"):
        config.compiled = tempfile.mkdtemp(prefix="longshore-test.cache.")


def pytest_configure_node(node):
    node.workerinput["compiled"] = node.config.compiled


def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        shutil.rmtree(config.compiled, ignore_errors=True)


#: What a test needs if it asks for a fixture, itself or by way of another.
NEEDS = {
    "box": ["systemd", "root"],
    "disk": ["root"],
    "hdfs": ["hdfs"],
    "mariadb": ["mariadb", "odbc"],
    "nobodys": ["root"],
    "podman": ["podman", "root"],
    "own_server": ["postgres"],
    "realm": ["kerberos"],
    "registry": ["registry"],
    "s3": ["s3"],
    "server": ["postgres"],
    "sftp": ["sftp"],
    "small_disk": ["root"],
    "spark": ["hive"],
    "switch": ["root"],
    "unmounted": ["root"],
}

#: The same, if a fixture has it as its parameter.
STORES_THAT_ARE_SERVERS = {"azure", "hdfs", "s3", "sftp"}


def pytest_itemcollected(item):
    needs = [need for fixture in item.fixturenames for need in NEEDS.get(fixture, [])]
    given = item.callspec.params.values() if hasattr(item, "callspec") else []
    needs += [value for value in given if isinstance(value, str) and value in STORES_THAT_ARE_SERVERS]
    for need in sorted(set(needs)):
        item.add_marker(need)


#: The files that take longest: begun first, so that all workers end at about the same time.
LONGEST = """
    warehouse sdk every_store hostile_kinds cluster_faults cluster_rows cluster_networks dashboard faults
    leftovers service airgap kerberos inbox memory hostile messages runs daemon every_source packages files
    schedules flights image crash api_attacks
""".split()


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem.removeprefix("test_"), len(places)))


#: What takes long to start, and the tests that share it: one worker runs them all. Other tests share their file.
SHARED = {
    "spark": r"/test_(warehouse|hive|python_compat)\.py::|/test_(every_source|parameter_values)\.py::.*\[hive\b",
    **{store: rf"/test_(every_store|load_modes|single_file|files)\.py::.*\[{store}\b" for store in STORES},
}


def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            shared = (name for name, tests in SHARED.items() if re.search(tests, nodeid))
            return next(shared, super()._split_scope(nodeid))

    return Scheduling(config, log)


@pytest.fixture(scope="session")
def cache(request):
    config = request.config
    return Path(config.workerinput["compiled"] if hasattr(config, "workerinput") else config.compiled)


@pytest.fixture
def program_class():
    """Which program: folders of tests may have another."""
    return Program


@pytest.fixture
def program(scratch, cache, program_class):
    folder = Path(tempfile.mkdtemp(prefix="t.", dir=scratch))
    folder.chmod(0o755)
    program = program_class(folder, cache)
    yield program
    program.end()
    shutil.rmtree(folder, ignore_errors=True)


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["last_words"] = hive.last_words


def pytest_testnodedown(node):
    # A worker that died leaves none.
    hive.last_words.extend(getattr(node, "workeroutput", {}).get("last_words", []))


def pytest_terminal_summary(terminalreporter):
    for words in hive.last_words:
        terminalreporter.section("a Spark that was lost, and started again")
        terminalreporter.line(words)


@pytest.fixture
def endpoint():
    endpoint = Endpoint()
    yield endpoint
    endpoint.server.shutdown()


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()
    gate.server.shutdown()


@pytest.fixture(scope="session")
def spark(scratch):
    """A HiveServer2. It takes long to start: each file makes tables of its own in it."""
    server = hive.HiveServer(scratch / "spark")
    yield server
    server.stop()


@pytest.fixture(scope="session", params=STORES)
def lake(request, scratch):
    lake = STORES[request.param]()
    lake.start(scratch / f"store-{request.param}")
    lake.number = 0
    yield lake
    lake.stop()


@pytest.fixture(scope="module")
def mariadb(scratch):
    server = MariaDB(tempfile.mkdtemp(prefix="mariadb.", dir=scratch))
    yield server
    server.stop()
