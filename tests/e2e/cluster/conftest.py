"""A cluster, and the program that can use it."""

from pathlib import Path

import pytest

from support.cluster import CLUSTER, Cluster, ClusterProgram


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
