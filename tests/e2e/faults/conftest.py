"""A store that is made to fail."""

import tempfile
from pathlib import Path

import pytest

from support.stores import S3


@pytest.fixture(scope="module")
def s3(scratch):
    lake = S3()
    lake.start(Path(tempfile.mkdtemp(prefix="s3.", dir=scratch)))
    yield lake
    lake.stop()
