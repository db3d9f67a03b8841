"""Load modes on every kind of store: what the target holds after histories of loads."""

import random

import pyarrow as pa
import pytest

from support.load_modes import Load, ordered
from support.stores import STORES


@pytest.fixture(scope="module", params=STORES)
def lake(request, scratch):
    lake = STORES[request.param]()
    lake.start(scratch / f"loads-{request.param}")
    lake.number = 0
    yield lake
    lake.stop()


@pytest.fixture
def folder(lake):
    """A folder of the store that nobody else uses."""
    lake.number += 1
    return f"loads{lake.number}"


DAYS = ["2026-11-20", "a/b=c", "größe ☃", "50%", None]

ORDERS = pa.schema({"id": pa.int64(), "day": pa.string(), "kind": pa.int32(), "amount": pa.decimal128(9, 2)})


def an_order(dice, number):
    return {"id": number, "day": dice.choice(DAYS), "kind": dice.choice([1, 2, None]), "amount": None}


def test_partitions_that_have_rows_are_replaced_and_the_others_stay(program, lake, folder):
    load = Load(program, lake, folder, ORDERS, mode="replace_partitions", partition_by=["day", "kind"])
    dice, held = random.Random(19), {}
    for size in [60, 12, 4, 0, 25]:
        rows = [an_order(dice, dice.randrange(10**6)) for _ in range(size)]
        before = load.files()
        report = load.run(rows, chunks=3)
        new = {}
        for row in rows:
            new.setdefault((row["day"], row["kind"]), []).append(row)
        gone = {key for key in new if key in held}
        held |= new
        assert load.rows() == ordered(row for rows in held.values() for row in rows)
        after = load.files()
        assert report["load"]["mode"] == "replace_partitions"
        assert report["load"]["rewritten_files"] == len(before.keys() - after.keys())
        folders = lambda files: {path.rpartition("/")[0] for path in files}
        assert len(folders(before.keys() - after.keys())) == len(gone)
        assert report["parts"] == len(after.keys() - before.keys())
    hidden = [path for path in lake.files(folder) if path.startswith(".longshore/") and "/runs/" not in path]
    assert hidden == []
