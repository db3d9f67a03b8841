"""Load modes of `postgres-sink`: the same words mean what they mean for files."""

import random
import signal
import time
from datetime import datetime
from decimal import Decimal

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
from support.longshore import runs
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
        told = "rows: {inserted} inserted, {updated} updated, {deleted} deleted".format(**counts)
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
        ("id bigint", {"mode": "merge", "merge": {"key": ["id"]}}, "no column `day`"),
        ("id text, day date", {"mode": "merge", "merge": {"key": ["id"]}}, "operator does not exist"),
        ("id bigint, day date", {"mode": "scd2", "scd2": {"key": ["id"]}}, "no column `valid_from`"),
        (
            "id bigint, valid_from timestamp, valid_to timestamp",
            {"mode": "scd2", "scd2": {"key": ["id"], "changed_at": "day"}},
            "`valid_from` is timestamp without time zone in the table, and the times are date",
        ),
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


def interrupted(load, rows):
    """A run whose commit a lock holds up until it gives up."""
    once = {"LONGSHORE_RETRIES": "0", "LONGSHORE_RELATION_RETRIES": "0"}
    with load.lake.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE orders IN ROW EXCLUSIVE MODE")
        done = load.program.call("run", load.job(rows, name="old.yaml"), env=once)
        assert done.returncode != 0 and "lock" in done.stderr, done.stderr
    [run] = [run["run"] for run in runs(load.program) if run["state"] == "interrupted"]
    return run


def test_a_commit_that_was_interrupted_is_finished_before_another_run_loads(program, lake):
    load = TableLoad(program, lake, DAYS, mode="merge", merge={"key": ["id"]}, lock_timeout_secs=1)
    load.run([{"id": 1, "day": None}])
    old = interrupted(load, [{"id": 2, "day": day(1)}])
    newer = program.start("run", load.job([{"id": 2, "day": day(2)}], name="new.yaml"))
    wait_for(lambda: f"waiting for run {old}" in (program.folder / "daemon.log").read_text())
    assert load.rows() == [{"id": 1, "day": None}]
    program.ok("runs", "retry", old)
    assert newer.wait(60) == 0
    assert load.rows() == ordered([{"id": 1, "day": None}, {"id": 2, "day": day(2)}])


@pytest.mark.parametrize(
    "ours, theirs, value",
    [
        (pa.decimal128(10, 3), "numeric(6,2)", "1.239"),
        (pa.float64(), "int", 1.5),
        (pa.float64(), "real", 0.1),
        (pa.timestamp("us"), "date", datetime(2026, 1, 1, 13)),
        (pa.timestamp("us"), "timestamp(0)", datetime(2026, 1, 1, 13, 0, 0, 600_000)),
        (pa.int64(), "double precision", 2**53 + 1),
        (pa.string(), "varchar(2)", "ab "),
        (pa.string(), "char(5)", "a "),
        (pa.list_(pa.float64()), "int[]", [2.5]),
    ],
)
@pytest.mark.parametrize("mode", [{"mode": "merge", "merge": {"key": ["id"]}}, {"mode": "append"}])
def test_a_value_that_the_table_would_change_is_refused(program, lake, ours, theirs, value, mode):
    with lake.connect() as connection:
        connection.execute(f"CREATE TABLE orders (id bigint, v {theirs})")
    schema = pa.schema({"id": pa.int64(), "v": ours})
    load = TableLoad(program, lake, schema, **mode)
    value = Decimal(value) if pa.types.is_decimal(ours) else value
    line, code = load.refused([{"id": 1, "v": value}])
    assert code == 4 and "column `v`" in line and "would be another value in the table's" in line, line
    assert "`sql` step" in line and load.rows() == []
    load.run([{"id": 1, "v": None}])
    assert load.rows() == [{"id": 1, "v": None}]


@pytest.mark.parametrize(
    "theirs, fine, other",
    [("numeric(8,2)", "2.5", "2.505"), ("real", "0.10", "0.123456789"), ("int", "07", None)],
)
def test_a_number_in_a_text_is_the_same_number(program, lake, theirs, fine, other):
    with lake.connect() as connection:
        connection.execute(f"CREATE TABLE orders (id bigint, team {theirs})")
    load = TableLoad(program, lake, STAFF, mode="merge", merge={"key": ["id"]})
    load.run([{"id": 1, "team": fine}])
    [row] = load.rows()
    assert float(row["team"]) == pytest.approx(float(fine))
    if other:
        line, code = load.refused([{"id": 1, "team": other}])
        assert code == 4 and f"{other} would be another value" in line, line


def test_texts_that_are_equal_and_not_the_same_are_changed_and_are_no_key(program, lake):
    with lake.connect() as connection:
        connection.execute(
            "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
        )
        connection.execute("CREATE TABLE orders (id bigint, team text COLLATE ci)")
    load = TableLoad(program, lake, STAFF, mode="merge", merge={"key": ["id"]})
    for team in ["a", "A"]:
        load.run([{"id": 1, "team": team}])
        assert load.rows() == [{"id": 1, "team": team}]
    line, code = TableLoad(program, lake, STAFF, mode="merge", merge={"key": ["team"]}).refused(
        [{"id": 1, "team": "a"}]
    )
    assert code == 2 and "column `team`: texts that differ are equal there" in line, line


def test_columns_may_have_the_words_of_the_statements_as_names(program, lake):
    names = ["at", "begins", "side", "number", "rank", "next", "s", "t", "v", "longshore_from", "select"]
    schema = pa.schema({"id": pa.int64(), **{name: pa.string() for name in names}, "since": pa.date32()})
    row = lambda n: {"id": n, **{name: f"{name} {n}" for name in names}, "since": day(n)}
    how = {"key": ["id", "at"], "changed_at": "since", "absent": "close"}
    load = TableLoad(program, lake, schema, mode="scd2", scd2=how)
    for numbers in [[1, 2], [2, 3]]:
        load.run([row(n) for n in numbers])
    assert sorted(found["rank"] for found in load.rows()) == ["rank 1", "rank 2", "rank 3"]
    own = pa.schema({"id": pa.int64(), "longshore row": pa.string()})
    for mode in [
        {"mode": "merge", "merge": {"key": ["id"]}},
        {"mode": "snapshot", "snapshot": {"arrival": "id"}},
    ]:
        line, code = TableLoad(program, lake, own, **mode).refused([{"id": 1, "longshore row": ""}])
        assert code == 2 and "`longshore row`, as Longshore's own are" in line, line
    own = pa.schema({"longshore removes": pa.int64()})
    merge = {"mode": "merge", "merge": {"key": ["longshore removes"]}}
    line, code = TableLoad(program, lake, own, **merge).refused([{"longshore removes": 1}])
    assert code == 2 and "`longshore removes`, as one of Longshore's own" in line, line


def test_the_mark_of_rows_that_remove_is_no_column_of_the_relation(program, lake):
    schema = pa.schema({"id": pa.int64(), "gone": pa.bool_()})
    load = TableLoad(program, lake, schema, mode="merge", merge={"key": ["id"], "deleted": "gone"})
    for gone in [False, True, None]:
        done = program.call("run", load.job([{"id": 1, "gone": gone}]))
        assert done.returncode == 0 and "schema change" not in done.stderr, done.stderr
    assert load.rows() == [{"id": 1, "gone": None}]
    [relation] = program.report("plan", load.job([{"id": 1, "gone": False}]))["relations"]
    assert [column["name"] for column in relation["published"]] == ["id", "gone"]


@pytest.mark.parametrize("mode", [{"mode": "merge", "merge": {"key": ["id"]}}, {"mode": "append"}])
def test_columns_of_nothing_but_null_have_the_tables_types(program, lake, mode):
    with lake.connect() as connection:
        connection.execute("CREATE TABLE orders (id bigint, v int)")
    (program.folder / "orders.csv").write_text("id,v\n1,\n")
    source = {"url": f"file://{program.folder}/orders.csv"}
    target = lake.target(**mode)
    program.ok("run", program.job(source, "orders.yaml", target=target))
    assert lake.rows("SELECT * FROM orders") == [(1, None)]


def test_rows_that_the_user_does_not_see_are_not_doubled(program, lake):
    with lake.connect() as connection:
        connection.execute(
            "CREATE TABLE orders (id bigint, day date); ALTER TABLE orders ENABLE ROW LEVEL SECURITY"
        )
        connection.execute(
            "CREATE POLICY seen ON orders USING (id > 1); ALTER TABLE orders FORCE ROW LEVEL SECURITY"
        )
        name = f"loader{random.randrange(10**9)}"
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'; GRANT ALL ON orders TO {name}")
        connection.execute(f"GRANT CREATE ON SCHEMA public TO {name}")
    load = TableLoad(program, lake, DAYS, mode="merge", merge={"key": ["id"]})
    load.target["url"] = load.target["url"].replace("postgres@", f"{name}:x@")
    del load.target["password"]
    line, code = load.refused([{"id": 1, "day": None}])
    assert code == 2 and "row security" in line and "BYPASSRLS" in line, line
    with lake.connect() as connection:
        connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_versions_that_are_open_by_another_mark_are_refused(program, lake):
    how = {"key": ["id"], "end": None}
    TableLoad(program, lake, STAFF, mode="scd2", scd2=how).run([{"id": 1, "team": "red"}])
    load = TableLoad(program, lake, STAFF, mode="scd2", scd2={"key": ["id"]})
    line, code = load.refused([{"id": 1, "team": "blue"}])
    assert code == 2 and "has NULL in `valid_to`, and `scd2.end` is 9999-12-31" in line, line
    assert len(load.rows()) == 1


def test_a_row_that_the_table_refuses_says_what_to_do(program, lake):
    with lake.connect() as connection:
        connection.execute("CREATE TABLE orders (id bigint, day date UNIQUE)")
    load = TableLoad(program, lake, DAYS, mode="merge", merge={"key": ["id"]})
    line, code = load.refused([{"id": id, "day": day(1)} for id in [1, 2]])
    assert code == 4 and "next: a key of the table has several rows" in line, line
