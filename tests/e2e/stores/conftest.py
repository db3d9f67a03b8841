"""What tests of every kind of store share: folders in it."""

import pytest


@pytest.fixture
def folder(lake):
    """A folder of the store that nobody else uses."""
    lake.number += 1
    return f"shop{lake.number}"
