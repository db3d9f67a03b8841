"""A target that is a database."""

import pytest

from support.database_lake import new_database


@pytest.fixture
def lake(server):
    """A database of the test's own."""
    with new_database(server) as lake:
        yield lake
