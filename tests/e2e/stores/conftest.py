"""What tests of every kind of store share: the store, each a real server, and folders in it."""

import pytest

from support.stores import STORES


@pytest.fixture(scope="module", params=STORES)
def lake(request, scratch):
    lake = STORES[request.param]()
    lake.start(scratch / f"{request.module.__name__.rpartition('.')[2]}-{request.param}")
    lake.number = 0
    yield lake
    lake.stop()


@pytest.fixture
def folder(lake):
    """A folder of the store that nobody else uses."""
    lake.number += 1
    return f"shop{lake.number}"
