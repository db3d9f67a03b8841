"""What was published against what the source holds, value by value, read by pyarrow."""

import json
import uuid
from collections import Counter
from datetime import UTC, datetime

import pyarrow.dataset as dataset

#: What everybody gives alike.
PLAIN = {type(None), bool, int, float, str, bytes}


def read(folder):
    """A relation's rows as tuples of Python values, read by an independent reader."""
    table = dataset.dataset(folder, format="parquet").to_table()
    columns = [map(plain, column.to_pylist()) for column in table.columns]
    return list(zip(*columns, strict=True)) if columns else []


def plain(value):
    """Values of one kind, however a reader or driver wraps them."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC)
    if isinstance(value, (memoryview, bytearray)):
        return bytes(value)
    if isinstance(value, uuid.UUID):
        return value.bytes
    if isinstance(value, (dict, list)):
        return json.dumps(value, sort_keys=True, default=str)
    return value


def same_rows(published, source):
    """Equal as bags of rows: chunks have no order among each other."""
    source = [tuple(map(plain, row)) for row in source]
    if Counter(published) == Counter(source):
        return
    # Something is unlike: what it is shows side by side.
    published, source = sorted(published, key=repr), sorted(source, key=repr)
    assert len(published) == len(source)
    for ours, theirs in zip(published, source, strict=True):
        unlike = [pair for pair in zip(ours, theirs, strict=False) if pair[0] != pair[1]]
        assert not unlike, repr(unlike)[:2000]
        assert len(ours) == len(theirs)
