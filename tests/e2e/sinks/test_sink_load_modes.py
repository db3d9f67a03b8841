"""Load modes of `postgres-sink`: the same words mean what they mean for files."""

import random
import signal
import time

import pyarrow as pa
import pytest
from psycopg.rows import dict_row

from support.load_modes import Expected, ExpectedVersions, Load, ordered
from support.load_rows import (
    ARRIVED,
    KEY,
    MERGED,
    NAMES,
    SUBSCRIPTIONS,
    a_row,
    arrivals,
    comparable,
    subscriptions,
)
from support.wait import wait_for

DAYS = pa.schema({"id": pa.int64(), "day": pa.date32()})

STAFF = pa.schema({"id": pa.int64(), "team": pa.string()})


class TableLoad(Load):
    """A table `orders`, loaded again and again."""

    def __init__(self, program, lake, schema, **target):
        self.program, self.lake, self.schema = program, lake, schema
        self.target = lake.target(**target)

    def rows(self):
        with self.lake.connect(row_factory=dict_row) as connection:
            connection.execute("SET timezone = 'UTC'")
            return ordered(connection.execute("SELECT * FROM orders").fetchall())

    def refused(self, rows):
        return self.program.refused("run", self.job(rows))


def day(number):
    return pa.scalar(number, pa.date32()).as_py()


@pytest.mark.parametrize("seed", range(3))
def test_a_merge_is_what_duckdb_makes_of_it(program, lake, seed):
    dice = random.Random(seed)
    how = {"key": KEY, "order_by": "at", "deleted": "flag"}
    load, expected = (
        TableLoad(program, lake, MERGED, mode="merge", merge=how),
        Expected(MERGED, KEY, "at", "flag"),
    )
    for size in [60, 0, 1, 60, 30]:
        rows = [a_row(dice, 12) for _ in range(size)]
        done = program.call("run", load.job(rows))
        assert done.returncode == 0, done.stderr
        held, counts = expected.load(rows)
        assert load.rows() == held, (seed, size)
        told = "{inserted} rows inserted, {updated} updated, {deleted} deleted".format(**counts)
        assert told in done.stderr, (told, done.stderr)
    assert lake.tables() == ["orders"]


def test_the_last_row_that_was_read_is_taken(program, lake):
    load = TableLoad(program, lake, DAYS, mode="merge", merge={"key": ["id"], "duplicates": "latest"})
    # File by file, and in each row by row: the rows of the last file are the last.
    rows = [{"id": n % 3, "day": day(n)} for n in range(3_000)]
    for chunks in [1, 4]:
        load.program.report("run", load.job(rows, chunks=chunks))
        last = {row["id"]: row for chunk in range(chunks) for row in rows[chunk::chunks]}
        assert load.rows() == ordered(last.values())


def test_several_rows_of_one_key_are_refused_and_three_are_named(program, lake):
    load = TableLoad(program, lake, DAYS, mode="merge", merge={"key": ["id"]})
    load.run([{"id": 1, "day": None}])
    rows = [{"id": id, "day": None} for id in [7, 7, 8, 9, 9, 9, None, None, 10, 10]]
    line, code = load.refused(rows)
    assert code == 4 and "the source has several rows of (id=NULL), (id=7), (id=9), and others" in line, line
    assert "duplicates: latest" in line
    assert load.rows() == [{"id": 1, "day": None}] and lake.tables() == ["orders"]


def test_partitions_that_have_rows_are_replaced(program, lake):
    load = TableLoad(program, lake, DAYS, mode="replace_partitions", partition_by=["day"])
    dice, held = random.Random(3), {}
    for size in [40, 3, 0, 10]:
        rows = [
            {"id": dice.randrange(1000), "day": dice.choice([None, day(1), day(2), day(3)])}
            for _ in range(size)
        ]
        load.run(rows)
        held |= {
            value: [row for row in rows if row["day"] == value] for value in {row["day"] for row in rows}
        }
        assert load.rows() == ordered(row for rows in held.values() for row in rows)


def test_a_snapshot_replaces_what_arrived_since_the_earliest_row(program, lake):
    load = TableLoad(program, lake, ARRIVED, mode="snapshot", snapshot={"arrival": "at"})
    dice, held = random.Random(31), []
    for first_day, size in [(10, 40), (12, 30), (11, 5), (1, 0), (2, 10)]:
        rows = arrivals(dice, first_day, size)
        load.run(rows, chunks=3)
        if rows:
            held = [row for row in held if row["at"] < min(row["at"] for row in rows)] + rows
        assert load.rows() == ordered(held)
    line, code = load.refused([{**held[0], "at": None}])
    assert code == 4 and "the source has 1 row whose `at` is NULL" in line, line


@pytest.mark.parametrize("seed", range(3))
def test_late_rows_find_their_place_in_history(program, lake, seed):
    how = {"key": ["id"], "track": ["plan", "seats"], "changed_at": "at", **NAMES}
    load = TableLoad(program, lake, SUBSCRIPTIONS, mode="scd2", scd2=how)
    expected, dice, known = ExpectedVersions(), random.Random(57 + seed), {}
    for size in [8, 6, 0, 4, 6, 1]:
        rows = subscriptions(dice, size)
        load.run(rows, chunks=2)
        held = load.rows()
        assert comparable(held) == expected.load(rows, SUBSCRIPTIONS), (seed, size)
        keys = {(row["id"], row["valid_from"]): row["sk"] for row in held}
        assert len(set(keys.values())) == len(held)
        assert all(keys[version] == key for version, key in known.items() if version in keys)
        known = keys


def test_absent_keys_end_and_return(program, lake):
    how = {"key": ["id"], "absent": "close", "end": None, "current": "is_current"}
    load = TableLoad(program, lake, STAFF, mode="scd2", scd2=how)
    staff = lambda *rows: [{"id": id, "team": team} for id, team in rows]
    loads = [
        staff((1, "red"), (2, "red"), (3, None)),
        staff((1, "red"), (2, "blue")),
        staff((2, "blue"), (3, "red")),
        [],
        staff((1, "red"), (2, "blue"), (3, "red")),
    ]
    for rows in loads:
        load.run(rows)
    teams = {}
    for row in sorted(load.rows(), key=lambda row: row["valid_from"]):
        assert row["is_current"] == (row["valid_to"] is None)
        teams.setdefault(row["id"], []).append((row["team"], row["valid_to"] is None))
    assert teams == {
        1: [("red", False), ("red", True)],
        2: [("red", False), ("blue", True)],
        3: [(None, False), ("red", True)],
    }


def test_a_table_of_ones_own_keeps_what_is_its_own(program, lake):
    with lake.connect() as connection:
        connection.execute(
            "CREATE TABLE orders (id int PRIMARY KEY, day date, seen timestamptz NOT NULL DEFAULT now(), "
            "about json DEFAULT '{}')"
        )
        connection.execute(
            "INSERT INTO orders VALUES (1, NULL, '2020-01-01', '[1]'), (2, NULL, '2020-01-01', '[2]')"
        )
    load = TableLoad(program, lake, DAYS, mode="merge", merge={"key": ["id"]})
    load.run([{"id": 1, "day": day(5)}, {"id": 3, "day": None}])
    rows = {row["id"]: row for row in load.rows()}
    assert [rows[id]["about"] for id in (1, 2, 3)] == [[1], [2], {}]
    assert rows[1]["day"] == day(5) and rows[1]["seen"].year == 2020 and rows[3]["seen"].year > 2020
    line, code = load.refused([{"id": 2**40, "day": None}])
    assert "out of range" in line and len(load.rows()) == 3, line


@pytest.mark.parametrize(
    "ddl, target, said",
    [
        ("id bigint", {"mode": "merge", "merge": {"key": ["id"]}}, 'column "day"'),
        ("id text, day date", {"mode": "merge", "merge": {"key": ["id"]}}, "operator does not exist"),
        ("id bigint, day date", {"mode": "scd2", "scd2": {"key": ["id"]}}, 'column "valid_from"'),
        ("id bigint, day boolean", {"mode": "snapshot", "snapshot": {"arrival": "day"}}, "boolean"),
    ],
)
def test_what_the_table_cannot_take_is_told_before_anything_is_read(program, lake, ddl, target, said):
    with lake.connect() as connection:
        connection.execute(f"CREATE TABLE orders ({ddl})")
    load = TableLoad(program, lake, DAYS, **target)
    line, code = load.refused([{"id": 1, "day": None}])
    assert "loading into orders" in line and said in line and code in (2, 4), line
    assert lake.tables() == ["orders"]


@pytest.mark.parametrize(
    "target, said",
    [
        ({"mode": "merge"}, "no key is given"),
        ({"mode": "merge", "merge": {"key": ["nope"]}}, "no column `nope`"),
        ({"mode": "merge", "merge": {"key": ["id"], "deleted": "id); DROP TABLE x; --"}}, "merge.deleted"),
        ({"mode": "replace_partitions"}, "target.partition_by"),
        ({"mode": "append", "partition_by": ["day"]}, "partition_by"),
        ({"mode": "merge", "merge": {"key": ["id"]}, "partition_by": ["day"]}, "no folders"),
        ({"mode": "append", "merge": {"key": ["id"]}}, "merge"),
        ({"mode": "append", "load_modes": {}}, "what Longshore tells sinks"),
        ({"mode": "scd2", "scd2": {"key": ["id"], "changed_at": "id"}}, "is Int64"),
    ],
)
def test_what_makes_no_load_mode_is_refused_by_plan(program, lake, target, said):
    line, code = program.refused(
        "plan", TableLoad(program, lake, DAYS, **target).job([{"id": 1, "day": None}])
    )
    assert code in (2, 4) and said in line, line
    assert lake.tables() == []


def test_a_sink_without_load_modes_says_so(program):
    target = {"url": "http://127.0.0.1:1/rows", "mode": "merge", "merge": {"key": ["id"]}}
    job = program.job({"url": "tpch:", "scale": 0.01, "text_mib": 1}, tables=["nation"], target=target)
    line, code = program.refused("validate", job)
    assert code == 2 and "the sink `http-sink` has no load modes" in line


def test_a_kill_at_any_moment_loads_once(program, lake):
    how = {"key": KEY, "order_by": "at", "deleted": "flag"}
    load, expected = (
        TableLoad(program, lake, MERGED, mode="merge", merge=how),
        Expected(MERGED, KEY, "at", "flag"),
    )
    dice = random.Random(8)
    for number in range(6):
        rows = [a_row(dice, 5_000) for _ in range(4_000)]
        key = ["--run-key", f"night-{number}"]
        running = program.start("run", *key, load.job(rows))
        time.sleep(dice.random() * 0.5)
        running.send_signal(signal.SIGKILL)
        running.wait(60)
        report = program.report("run", *key, load.job(rows))
        assert report["status"] == "succeeded"
        held, _ = expected.load(rows)
        assert load.rows() == held, number
    wait_for(lambda: lake.tables() == ["orders"])


def test_others_cannot_add_a_key_that_is_looked_for(program, lake):
    load = TableLoad(program, lake, DAYS, mode="merge", merge={"key": ["id"]}, lock_timeout_secs=1)
    load.run([{"id": 1, "day": None}])
    with lake.connect() as connection, connection.transaction():
        connection.execute("INSERT INTO orders VALUES (2, NULL)")
        once = {"LONGSHORE_RETRIES": "0", "LONGSHORE_RELATION_RETRIES": "0"}
        done = program.call("run", load.job([{"id": 2, "day": day(1)}]), env=once)
        assert done.returncode != 0 and "lock" in done.stderr, done.stderr
    load.run([{"id": 2, "day": day(1)}])
    assert load.rows() == ordered([{"id": 1, "day": None}, {"id": 2, "day": day(1)}])
