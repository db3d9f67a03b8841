"""Load modes on every kind of store: what the target holds after histories of loads."""

import random
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from support.load_modes import Expected, ExpectedVersions, Load, ordered
from support.load_rows import (
    ARRIVED,
    KEY,
    MERGED,
    NAMES,
    SUBSCRIPTIONS,
    VERSIONS,
    a_row,
    arrivals,
    comparable,
    subscriptions,
)

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


def merge_history(program, lake, folder, seed, loads, keys, batch=60, **target):
    """Loads again and again; what is there must be what DuckDB makes of the same rows."""
    dice = random.Random(seed)
    how = {"key": KEY, "order_by": "at", "deleted": "flag"}
    load = Load(program, lake, folder, MERGED, mode="merge", merge=how, **target)
    expected = Expected(MERGED, KEY, "at", "flag")
    for number in range(loads):
        rows = [a_row(dice, keys) for _ in range(dice.choice([0, 1, batch]) if number else batch)]
        before = load.files()
        report = load.run(rows, chunks=1)
        held, counts = expected.load(rows)
        assert load.rows() == held, (seed, number)
        assert {name: report["load"][name] for name in counts} == counts, (seed, number)
        after = load.files()
        gone = before.keys() - after.keys()
        assert report["load"]["rewritten_files"] == len(gone)
        assert report["load"]["kept_files"] == len(before.keys() & after.keys())
    return load


def test_a_merge_is_what_duckdb_makes_of_it(program, lake, folder):
    merge_history(program, lake, folder, 19, loads=4, keys=12)
    hidden = [path for path in lake.files(folder) if path.startswith(".longshore/") and "/runs/" not in path]
    assert hidden == []
    if hasattr(lake, "open_uploads"):
        assert lake.open_uploads(f"{folder}/") == []


def test_a_merge_into_partitions_moves_rows_between_them(program, lake, folder):
    merge_history(program, lake, folder, 23, loads=3, keys=12, partition_by=["day"])


@pytest.mark.parametrize("by", [[], ["day"]])
def test_a_snapshot_replaces_what_arrived_since_the_earliest_row(program, lake, folder, by):
    load = Load(program, lake, folder, ARRIVED, mode="snapshot", snapshot={"arrival": "at"}, partition_by=by)
    dice, held = random.Random(31), []
    for first_day, size in [(10, 40), (12, 30), (11, 5), (1, 0), (13, 20), (2, 10)]:
        rows = arrivals(dice, first_day, size)
        before = load.files()
        report = load.run(rows, chunks=3)
        earliest = min((row["at"] for row in rows), default=datetime.max.replace(tzinfo=UTC))
        stay = [row for row in held if row["at"] < earliest]
        gone = len(held) - len(stay)
        held = stay + rows
        assert load.rows() == ordered(held), first_day
        assert (report["load"]["inserted"], report["load"]["deleted"]) == (len(rows), gone)
        after = load.files()
        assert report["load"]["rewritten_files"] == len(before.keys() - after.keys())
        assert report["load"]["kept_files"] == len(before.keys() & after.keys())


@pytest.mark.parametrize("by", [[], ["is_current"]])
def test_late_rows_find_their_place_in_history(program, lake, folder, by):
    how = {"key": ["id"], "track": ["plan", "seats"], "changed_at": "at", **NAMES}
    load = Load(program, lake, folder, SUBSCRIPTIONS, mode="scd2", scd2=how, partition_by=by)
    load.columns = VERSIONS
    expected, dice, known = ExpectedVersions(), random.Random(57), {}
    for size in [8, 6, 0, 4, 6, 1]:
        rows = subscriptions(dice, size)
        report = load.run(rows, chunks=2)
        held = load.rows()
        assert comparable(held) == expected.load(rows, SUBSCRIPTIONS)
        keys = {(row["id"], row["valid_from"]): row["sk"] for row in held}
        assert len(set(keys.values())) == len(held)
        assert all(keys[version] == key for version, key in known.items() if version in keys)
        counts = report["load"]
        assert counts["inserted"] - counts["deleted"] == len(held) - len(known)
        assert counts["inserted"] == len(keys.keys() - known.keys())
        known = keys
