"""A cluster, and the program that can use it."""

import subprocess
from pathlib import Path

import pytest

from support.cluster import CLUSTER, Cluster, ClusterProgram
from support.database_lake import new_database
from support.gate import Gate, gated_job
from support.networks import Switch


def pytest_collection_modifyitems(items):
    if not CLUSTER.exists():
        here = Path(__file__).parent
        for item in items:
            if item.path.is_relative_to(here):
                item.add_marker(pytest.mark.skip(reason="needs `make cluster`"))


@pytest.fixture
def program_class():
    return ClusterProgram


@pytest.fixture
def cluster(program, cache):
    cluster = Cluster(program.folder / "cluster", cache)
    program.use(cluster)
    yield cluster
    cluster.end()


@pytest.fixture
def gate(server):
    gate = Gate(server)
    yield gate
    gate.connection.close()


@pytest.fixture
def job(program, server):
    return gated_job(program, server)


@pytest.fixture
def database(server):
    """A database of the test's own, that rows are copied to."""
    with new_database(server) as database:
        yield database


@pytest.fixture
def disk(program):
    """A disk of a MiB."""
    folder = program.folder / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def switch():
    """Two machines of a network of their own."""
    switch = Switch()
    try:
        for _ in range(2):
            switch.add_machine()
        yield switch
    finally:
        switch.remove()
