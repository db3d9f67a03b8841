"""A target that is a database."""

import random

import pytest

from support.database_lake import DatabaseLake


@pytest.fixture
def lake(server):
    """A database of the test's own."""
    name = f"lake{random.randrange(10**9)}"
    with server.connect() as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield DatabaseLake(server, name)
    with server.connect() as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
