"""Incremental loads: each run publishes what came since the one before; nothing is lost, nothing comes twice."""

import datetime
import json
import os
import random
import signal
import sqlite3
import threading
import time
from decimal import Decimal

import pytest

from support.compare import read, same_rows
from support.incremental import LateWriters, job, load, loaded, manifests
from support.odbc import postgres as by_odbc


@pytest.fixture
def table(server):
    """A table `t`, as each test fills it."""
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS t CASCADE")
        connection.execute("CREATE TABLE t (id bigserial PRIMARY KEY, note text)")
        yield connection
        connection.execute("DROP TABLE IF EXISTS t CASCADE")


def insert(connection, *ids):
    for value in ids:
        connection.execute("INSERT INTO t (id) VALUES (%s)", (value,))


def watermark(program, relation="t"):
    [entry] = [it for it in program.report("state", "list") if it["relation"] == relation]
    return (entry["watermark"] or {}).get("value")


# What a run loads


def test_each_run_loads_what_is_new(server, program, table):
    path = job(program, server)
    insert(table, 1, 2, 5)
    assert (load(program, path), loaded(program)) == (3, [1, 2, 5])
    insert(table, 7, 9)
    assert (load(program, path), loaded(program)) == (2, [1, 2, 5, 7, 9])
    parts = sorted((program.lake / "t").iterdir())
    report = program.report("run", path)
    assert (report["rows"], sorted((program.lake / "t").iterdir())) == (0, parts)
    assert report["relations"][0]["incremental"] == [
        {"relation": "t", "column": "id", "from": "9", "to": "9"}
    ]
    windows = [it["relations"][0]["incremental"][0] for it in manifests(program)]
    assert [(it["from"], it["to"]) for it in windows] == [(None, "5"), ("5", "9"), ("9", "9")]
    assert [it["watermark"]["value"] for it in windows] == ["5", "9", "9"]
    insert(table, 10)
    assert (load(program, path), loaded(program)) == (1, [1, 2, 5, 7, 9, 10])


def test_an_empty_table_is_loaded_when_it_has_rows(server, program, table):
    path = job(program, server)
    assert (load(program, path), load(program, path), watermark(program)) == (0, 0, None)
    insert(table, 3)
    assert (load(program, path), loaded(program), watermark(program)) == (1, [3], "3")


def test_the_first_run_begins_after_the_initial_value(server, program, table):
    insert(table, 1, 2, 3)
    path = job(program, server, initial=2)
    assert (load(program, path), loaded(program)) == (1, [3])
    # What comes below it is none of the job's.
    insert(table, 0, 4)
    assert (load(program, path), loaded(program)) == (1, [3, 4])


def test_plan_and_runs_tell_the_window(server, program, table):
    insert(table, 1, 2)
    path = job(program, server, late="ignore")
    shown = program.ok("plan", path)
    assert "watermark of t: none: the first load" in shown and "window: id up to 2" in shown
    assert 'predicate: ("id" <= 2)' in shown
    run = program.report("run", path)["run"]
    assert "t: id up to 2" in program.ok("runs", "show", run)
    insert(table, 3)
    plan = program.report("plan", path)["relations"][0]
    [window] = plan["incremental"]
    assert (window["watermark"], window["from"], window["to"]) == ("2", "2", "3")
    assert window["predicate"] == plan["scans"][0]["filter"] == '("id" > 2 AND "id" <= 3)'
    assert watermark(program) == "2", "a plan moves nothing"


#: Columns, and how a row's number becomes a value of them. Values repeat at boundaries.
COLUMNS = {
    "smallint": "{n} / 2",
    "numeric(12,3)": "{n} / 8.0",
    "numeric": "{n} / 8.0 - 3",
    "date": "date '2024-02-27' + {n} / 3",
    "timestamp": "timestamp '2024-02-27 23:59:59.999997' + {n} * interval '1 microsecond'",
    "timestamptz": "timestamptz '2024-03-31 00:59:59.999997+00' + {n} * interval '1 microsecond'",
    "timestamp(3)": "timestamp '2024-02-27 23:59:59.997' + {n} * interval '1 millisecond'",
    "text": "'k' || chr(64 + {n} / 10) || chr(97 - 32 * ({n} % 2)) || lpad({n}::text, 4, '0')",
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_of_every_kind_are_watched_at_their_full_precision(server, program, table, kind):
    table.execute('DROP TABLE t; CREATE TABLE t (n int, "at Ü" ' + kind + " NOT NULL)")
    path = job(program, server, column="at Ü")
    dice = random.Random(kind)
    for below, above in [(0, 9), (9, 10), (10, 10), (10, 31)]:
        numbers = list(range(below, above))
        dice.shuffle(numbers)
        for n in numbers:
            table.execute(f"INSERT INTO t SELECT {n}, {COLUMNS[kind].format(n=n)}")
        load(program, path)
    assert loaded(program, "n") == list(range(31))


def test_transactions_are_watched_by_their_own_numbers(server, program, table):
    table.execute(
        "DROP TABLE t; CREATE TABLE t (n int, id xid8 NOT NULL DEFAULT pg_current_xact_id()); CREATE INDEX ON t (id)"
    )
    path = job(program, server)
    with server.connect() as late:
        late.execute("BEGIN")
        late.execute("INSERT INTO t VALUES (1)")
        table.execute("INSERT INTO t VALUES (2)")
        assert (load(program, path), loaded(program, "n")) == (0, [])
        late.execute("COMMIT")
    assert (load(program, path), loaded(program, "n")) == (2, [1, 2])
    table.execute("INSERT INTO t VALUES (3)")
    assert (load(program, path), load(program, path), loaded(program, "n")) == (1, 0, [1, 2, 3])


def test_names_that_need_quotes(server, program, table):
    table.execute('DROP TABLE IF EXISTS "Größe x"; CREATE TABLE "Größe x" ("a""b" int NOT NULL)')
    table.execute('INSERT INTO "Größe x" VALUES (1), (2)')
    path = job(program, server, table='public."Größe x"', column='a"b')
    assert load(program, path) == 2
    table.execute('INSERT INTO "Größe x" VALUES (3)')
    assert (load(program, path), loaded(program, 'a"b')) == (1, [1, 2, 3])
    table.execute('DROP TABLE "Größe x"')


def test_queries_and_views_are_loaded_and_say_what_they_cannot_tell(server, program, table):
    table.execute("CREATE VIEW v AS SELECT id, note FROM t")
    insert(table, 1, 2)
    for name, what in [("query", "SELECT id, note FROM t -- all"), ("view", "v")]:
        path = job(program, server, f"{name}.yaml", table=what)
        done = program.call("run", path)
        assert done.returncode == 0 and "rows that are committed late are lost" in done.stderr, done.stderr
    insert(table, 3)
    quiet = job(program, server, "query.yaml", table="SELECT id, note FROM t", late="ignore")
    done = program.call("run", quiet)
    assert done.returncode == 0 and "late" not in done.stderr
    assert loaded(program) == [1, 1, 2, 2, 3]


def test_an_input_of_a_join_is_incremental(server, program, table):
    insert(table, 1, 2)
    relations = [
        {"table": "t", "incremental": {"column": "id"}},
        {"query": "SELECT generate_series(1, 9) AS id, 'x' AS word", "as": "words"},
    ]
    target = {"url": f"file://{program.lake}", "mode": "append"}
    path = program.postgres(
        server,
        name="job.yaml",
        relations=relations,
        target=target,
        sql="SELECT t.id, words.word FROM t JOIN words ON t.id = words.id",
    )
    assert load(program, path) == 2
    insert(table, 3)
    assert (load(program, path), loaded(program, relation="job")) == (1, [1, 2, 3])


def test_partitions_by_a_column_and_text_formats(server, program, table):
    table.execute("DROP TABLE t; CREATE TABLE t (id int NOT NULL, day date)")
    table.execute("INSERT INTO t VALUES (1, '2026-01-01'), (2, '2026-01-02')")
    relations = [{"table": "t", "incremental": {"column": "id"}}]
    target = {"url": f"file://{program.lake}", "mode": "append", "partition_by": ["day"], "format": "csv"}
    path = program.postgres(server, relations=relations, target=target)
    assert load(program, path) == 2
    table.execute("INSERT INTO t VALUES (3, '2026-01-02')")
    assert (load(program, path), load(program, path)) == (1, 0)
    rows = [line for part in (program.lake / "t").rglob("*.csv") for line in part.read_text().split()[1:]]
    assert sorted(rows) == ["1", "2", "3"]


# Rows without a value, rows again


def test_rows_without_a_value(server, program, table):
    table.execute("DROP TABLE t; CREATE TABLE t (n int, id int)")
    table.execute("INSERT INTO t VALUES (1, NULL), (2, 1)")
    line, code = program.refused("run", job(program, server))
    assert "`id` is NULL in 1 rows" in line and "nulls: include_once" in line and code == 4
    path = job(program, server, nulls="include_once")
    assert (load(program, path), loaded(program, "n")) == (2, [1, 2])
    # PostgreSQL tells which rows came since, whatever they hold.
    table.execute("INSERT INTO t VALUES (3, NULL), (4, 2)")
    assert (load(program, path), load(program, path), loaded(program, "n")) == (2, 0, [1, 2, 3, 4])
    always = job(program, server, nulls="always", late="ignore")
    assert load(program, always) == 2


def test_a_lag_loads_rows_again(server, program, table):
    insert(table, 10, 11, 12)
    path = job(program, server, lag=2, late="ignore")
    assert load(program, path) == 3
    insert(table, 9, 11 + 2)
    assert (load(program, path), loaded(program)) == (3, [10, 11, 11, 12, 12, 13])


def test_an_updated_row_comes_again(server, program, table):
    insert(table, 1, 2)
    path = job(program, server)
    load(program, path)
    table.execute("UPDATE t SET note = 'new' WHERE id = 1")
    assert (load(program, path), loaded(program)) == (1, [1, 1, 2])
    table.execute("UPDATE t SET note = 'newer' WHERE id = 1")
    assert load(program, job(program, server, late="ignore")) == 0


# Late rows


def test_rows_that_are_committed_late_are_found_once(server, program, table):
    path = job(program, server)
    with server.connect() as late, server.connect() as later:
        late.execute("BEGIN")
        insert(late, 1)
        late.execute("SAVEPOINT s")
        insert(late, 2)
        late.execute("RELEASE SAVEPOINT s")
        # Takes its value now, and a number as a transaction only when it writes.
        later.execute("BEGIN")
        later.execute("SELECT 3")
        insert(table, 4, 5)
        assert (load(program, path), loaded(program)) == (2, [4, 5])
        insert(later, 3)
        later.execute("COMMIT")
        assert (load(program, path), loaded(program)) == (1, [3, 4, 5])
        late.execute("COMMIT")
    table.execute("VACUUM FREEZE t")
    assert (load(program, path), loaded(program)) == (2, [1, 2, 3, 4, 5])
    assert load(program, path) == 0


def test_a_table_that_was_rewritten_is_not_loaded_again(server, program, table):
    path = job(program, server)
    insert(table, 1, 2)
    load(program, path)
    table.execute("ALTER TABLE t ALTER COLUMN id TYPE numeric(20,0)")
    insert(table, 3)
    done = program.call("run", path)
    # Its type is another one: that is told. Back again, only what is new comes.
    assert done.returncode != 0 and "other columns" in done.stderr
    table.execute("ALTER TABLE t ALTER COLUMN id TYPE bigint")
    done = program.call("run", path)
    assert done.returncode == 0 and "the table was rewritten since" in done.stderr, done.stderr
    assert (loaded(program), load(program, path)) == ([1, 2, 3], 0)


def test_a_partition_that_was_rewritten_is_not_loaded_again(server, program, table):
    table.execute(
        "DROP TABLE t; CREATE TABLE t (id bigint NOT NULL, note text) PARTITION BY RANGE (id); "
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100)"
    )
    path = job(program, server)
    insert(table, 1, 2)
    load(program, path)
    table.execute(
        "CREATE TABLE kept AS SELECT * FROM t1; TRUNCATE t1; INSERT INTO t1 SELECT * FROM kept; DROP TABLE kept"
    )
    insert(table, 3)
    done = program.call("run", path)
    assert done.returncode == 0 and "the table was rewritten since" in done.stderr, done.stderr
    assert (loaded(program), load(program, path)) == ([1, 2, 3], 0)


def test_verify_of_a_window_does_not_compare_it_with_the_whole_source(server, program, table):
    insert(table, 1)
    path = job(program, server)
    manifest = program.report("run", path)["manifest"]
    assert "intact" in program.ok("verify", manifest, "--job", path)
    assert "a window of `t`" in program.refused("verify", manifest, "--job", path, "--source")[0]


def test_partitions_tell_late_rows_too(server, program, table):
    table.execute(
        "DROP TABLE t; CREATE TABLE t (id bigint NOT NULL, note text) PARTITION BY RANGE (id); "
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100)"
    )
    path = job(program, server)
    with server.connect() as late:
        late.execute("BEGIN")
        insert(late, 1)
        insert(table, 2)
        assert load(program, path) == 1
        table.execute("CREATE TABLE t2 (LIKE t INCLUDING ALL)")
        late.execute("COMMIT")
    table.execute("ALTER TABLE t ATTACH PARTITION t2 FOR VALUES FROM (100) TO (200)")
    insert(table, 100)
    assert (load(program, path), load(program, path), loaded(program)) == (2, 0, [1, 2, 100])


def test_nothing_is_lost_and_nothing_doubled_under_writers_that_commit_late(server, program, table):
    """The long form is `make late-rows`."""
    path = job(program, server)
    until = time.monotonic() + float(os.environ.get("LATE_ROWS_SECONDS", "12"))
    runs = 0
    with LateWriters(server) as writers:
        while time.monotonic() < until or runs < 3:
            load(program, path)
            runs += 1
    load(program, path)
    in_source = [row for (row,) in server.rows("SELECT id FROM t ORDER BY id")]
    assert in_source == sorted(writers.written) and len(in_source) > 50
    assert loaded(program) == in_source


# Watermarks


def test_a_window_is_loaded_once_more_and_the_watermark_stays(server, program, table):
    insert(table, 1, 2, 3, 4)
    path = job(program, server)
    load(program, path)
    report = program.report("run", path, "--from", "2", "--to", "4")
    assert (report["rows"], watermark(program)) == (2, "4")
    assert report["relations"][0]["incremental"] == [
        {"relation": "t", "column": "id", "from": "2", "to": "4", "backfill": True}
    ]
    assert loaded(program) == [1, 2, 2, 3, 3, 4]
    assert "not before" in program.refused("run", path, "--from", "4", "--to", "4")[0]
    assert "`x` is not a whole number" in program.refused("run", path, "--from", "x", "--to", "4")[0]
    whole = program.postgres(server, "whole.yaml", tables=["t"])
    assert (
        "no relation of the job is incremental"
        in program.refused("run", whole, "--from", "1", "--to", "4")[0]
    )


def test_watermarks_are_listed_set_and_taken_away(server, program, table):
    insert(table, 1, 2, 3)
    path = job(program, server)
    assert "no watermark of the job `shop`" in program.refused("state", "show", "shop")[0]
    load(program, path)
    [entry] = program.report("state", "show", "shop")
    assert (entry["job"], entry["relation"], entry["watermark"]["column"]) == ("shop", "t", "id")
    assert "by hand" not in program.ok("state", "list")
    program.ok("state", "set", "shop", "t", "1")
    assert "by hand" in program.ok("state", "list") and watermark(program) == "1"
    assert (load(program, path), loaded(program)) == (2, [1, 2, 2, 3, 3])
    program.ok("state", "reset", "shop")
    # It is not taken from the manifests again.
    assert watermark(program) is None and load(program, path) == 3
    program.ok("state", "set", path, "t", "soon")
    assert "`soon` is not a whole number" in program.refused("run", path)[0]
    assert "no incremental relation `u`" in program.refused("state", "set", path, "u", "1")[0]
    program.ok("state", "reset", path, "t")
    assert load(program, path) == 3


def test_a_lost_ledger_is_made_up_for_by_the_manifests(server, program, table):
    path = job(program, server)
    insert(table, 1, 2)
    load(program, path)
    insert(table, 3)
    load(program, path)
    for file in (program.folder / "state").glob("ledger.sqlite*"):
        file.unlink()
    insert(table, 4)
    report = program.report("run", path)
    assert (report["rows"], loaded(program)) == (1, [1, 2, 3, 4])
    assert "the watermark 3 was taken from the manifest of run" in " ".join(report["interruptions"])


def test_two_runs_at_a_time_load_nothing_twice(server, program, table):
    table.execute("INSERT INTO t (id, note) SELECT n, repeat('x', 50) FROM generate_series(1, 60000) n")
    path = job(program, server)
    for _ in range(2):
        processes = [program.start("run", path) for _ in range(3)]
        assert [process.wait(120) for process in processes] == [0, 0, 0], (
            program.folder / "daemon.log"
        ).read_text()
        table.execute("INSERT INTO t (id) SELECT max(id) + 1 FROM t")
    load(program, path)
    assert loaded(program) == list(range(1, 60_003))


def test_a_kill_at_any_moment_loses_nothing_and_doubles_nothing(server, program, table):
    dice = random.Random(5)
    path = job(program, server)
    count = 0
    for _ in range(int(os.environ.get("KILLS", "6"))):
        table.execute(f"INSERT INTO t (id) SELECT generate_series({count + 1}, {count + 2000})")
        count += 2_000
        process = program.start("run", path)
        with_luck = threading.Timer(dice.random() * 1.2, process.send_signal, [signal.SIGKILL])
        with_luck.start()
        process.wait(60)
        with_luck.cancel()
        for run in program.report("runs"):
            if run["state"] == "interrupted":
                program.ok("runs", "retry", run["run"])
        load(program, path)
        assert loaded(program) == list(range(1, count + 1))


# What is refused


@pytest.mark.parametrize(
    "keys, what",
    [
        ({"column": "nope"}, "no column `nope`"),
        (
            {"late": "find", "nulls": "always", "table": "SELECT id, note FROM t"},
            "only the tables of PostgreSQL",
        ),
        ({"column": "f"}, "`f` is double precision, whose values do not tell what is new"),
        ({"column": "u"}, "`u` is uuid"),
        (
            {"lag": "2h", "table": "SELECT id FROM t WHERE id > 0", "nulls": "always"},
            "does not fit its column",
        ),
        ({"initial": "x"}, "`x` is not a whole number"),
        ({"column": "at"}, "`infinity` is not a date and a time"),
        ({"mode": "replace"}, "replace would leave nothing in the table but the newest rows"),
        ({"mode": "error"}, "error would refuse every run but the first"),
    ],
)
def test_what_cannot_be_is_refused_and_says_why(server, program, table, keys, what):
    table.execute(
        "ALTER TABLE t ADD f float8 NOT NULL DEFAULT 1, ADD u uuid NOT NULL DEFAULT gen_random_uuid(), "
        "ADD at timestamp NOT NULL DEFAULT 'infinity'"
    )
    insert(table, 1)
    line, _ = program.refused("run", job(program, server, **keys))
    assert what in line, line
    assert not (program.lake / "t").exists()


def test_a_connector_that_filters_nothing_is_refused(program):
    path = job(
        program,
        None,
        table="orders",
        column="o_orderkey",
        source={"url": "tpch:", "scale": 0.01, "text_mib": 1},
    )
    assert "the connector `tpch` does not choose rows by their values" in program.refused("run", path)[0]


def test_another_column_needs_a_value_to_go_on_from(server, program, table):
    table.execute("ALTER TABLE t ADD at date NOT NULL DEFAULT '2026-01-01'")
    insert(table, 1)
    load(program, job(program, server))
    path = job(program, server, column="at")
    line, _ = program.refused("run", path)
    assert "so far `id` was watched" in line and "longshore state set JOB_FILE t VALUE" in line
    program.ok("state", "set", path, "t", "2025-12-31")
    assert load(program, path) == 1


# Other databases


@pytest.mark.odbc
def test_sqlite_is_watched_by_numbers_and_texts(program):
    database = sqlite3.connect(program.folder / "shop.db")
    database.execute("CREATE TABLE t (id integer, at datetime, name text COLLATE NOCASE)")
    source = {"url": f"sqlite://{program.folder}/shop.db"}
    for column in ("id", "at", "name"):
        job(program, None, f"{column}.yaml", column=column, source=source)
    for n in (1, 2, 3):
        moment, name = f"2026-01-0{n} 00:00:00", "aBc"[n - 1]
        database.execute("INSERT INTO t VALUES (?, ?, ?)", (n, moment, name))
        database.commit()
        for column, rows in [("id", 1), ("at", 1), ("name", {1: 1, 2: 0, 3: 1}[n])]:
            assert load(program, program.folder / f"{column}.yaml") == rows, column


@pytest.mark.parametrize("kind", ["int", "decimal(10,2)", "date", "datetime(6)", "timestamp(6)", "datetime"])
def test_mariadb_is_watched_by_columns_of_every_kind(program, mariadb, kind):
    start = {"int": "{n}", "decimal(10,2)": "{n} / 8.0", "date": "date'2024-02-27' + interval {n} day"}
    moment = "timestamp'2024-02-27 23:59:57.999998' + interval {n} " + (
        "second" if kind == "datetime" else "microsecond"
    )
    value = start.get(kind, moment)
    mariadb.run("DROP TABLE IF EXISTS t", f"CREATE TABLE t (n int, `id x` {kind})")
    path = job(program, None, column="id x", source=mariadb.source())
    for n in range(4):
        mariadb.run(f"INSERT INTO t VALUES ({n}, {value.format(n=n)})")
        assert load(program, path) == 1, n
    assert loaded(program, "n") == [0, 1, 2, 3]
    mariadb.run("INSERT INTO t VALUES (9, NULL)")
    assert "is NULL in 1 rows" in program.refused("run", path)[0]


@pytest.mark.odbc
def test_postgresql_by_odbc_says_that_late_rows_are_lost(server, program, table):
    insert(table, 1)
    done = program.call("run", job(program, None, source=by_odbc(server)))
    assert done.returncode == 0 and "there is no snapshot" in done.stderr, done.stderr
    insert(table, 2)
    assert (load(program, job(program, None, source=by_odbc(server))), loaded(program)) == (1, [1, 2])


def test_values_arrive_as_they_are(server, program, table):
    table.execute(
        "DROP TABLE t; CREATE TABLE t (id timestamptz NOT NULL, n numeric(20,4), day date, word text); "
    )
    path = job(program, server)
    expected = []
    for n in range(3):
        moment = datetime.datetime(2024, 10, 27, 0, 59, n, 1, tzinfo=datetime.UTC)
        row = (moment, Decimal(f"{n}.1250"), datetime.date(2024, 1, n + 1), f"ü{n}")
        table.execute("INSERT INTO t VALUES (%s, %s, %s, %s)", row)
        expected.append(row)
        load(program, path)
    same_rows(read(program.lake / "t"), expected)


def test_a_manifest_holds_what_a_watermark_needs(server, program, table):
    insert(table, 1)
    load(program, job(program, server))
    [manifest] = manifests(program)
    mark = manifest["relations"][0]["incremental"][0]["watermark"]
    assert (mark["column"], mark["value"]) == ("id", "1")
    assert mark["transactions"]["oldest"] <= mark["transactions"]["next"]
    assert json.loads(json.dumps(manifest))["format"] == 3


# Files


def files_job(program, name="shop.yaml", **incremental):
    (program.folder / "data").mkdir(exist_ok=True)
    relations = [{"table": "t", "incremental": incremental}]
    target = {"url": f"file://{program.lake}", "mode": "append"}
    source = {"url": f"file://{program.folder}/data/"}
    return program.job(source, name, relations=relations, target=target)


def write(program, name, *rows, at=None):
    path = program.folder / "data/t" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in ["n", *rows]))
    if at is not None:
        os.utime(path, ns=(at, at))


SECOND = 1_000_000_000


def test_files_are_loaded_when_they_are_changed(program):
    path = files_job(program, by="modified")
    write(program, "a.csv", 1, at=SECOND)
    write(program, "b.csv", 2, at=2 * SECOND)
    assert (load(program, path), load(program, path), loaded(program, "n")) == (2, 0, [1, 2])
    # Another one of the very same instant, one a nanosecond later, and one that is older.
    write(program, "c.csv", 3, at=2 * SECOND)
    write(program, "d.csv", 4, at=2 * SECOND + 1)
    write(program, "e.csv", 9, at=SECOND)
    assert (load(program, path), load(program, path), loaded(program, "n")) == (2, 0, [1, 2, 3, 4])
    write(program, "a.csv", 5, at=3 * SECOND)
    shown = program.ok("plan", path)
    assert "window: time of change after 1970-01-01 00:00:02.000000001, up to 1970-01-01 00:00:03" in shown
    assert "predicate: 1 of 5 files" in shown
    assert (load(program, path), loaded(program, "n")) == (1, [1, 2, 3, 4, 5])
    window = ["--from", "1970-01-01 00:00:01", "--to", "1970-01-01 00:00:02"]
    assert (load(program, path, *window), load(program, path)) == (1, 0)


def test_folders_are_loaded_by_their_values(program):
    path = files_job(program, column="day")
    write(program, "day=2026-01-01/a.csv", 1)
    write(program, "day=2026-01-02/a.csv", 2)
    assert (load(program, path), load(program, path), loaded(program, "n")) == (2, 0, [1, 2])
    write(program, "day=2026-01-10/a.csv", 3)
    assert (load(program, path), loaded(program, "n"), watermark(program)) == (1, [1, 2, 3], "2026-01-10")
    write(program, "day=__HIVE_DEFAULT_PARTITION__/a.csv", 4)
    assert "`day` is NULL in 1 files" in program.refused("run", path)[0]
    assert load(program, files_job(program, column="day", nulls="always")) == 1
    window = ["--from", "2026-01-02", "--to", "2026-01-10"]
    assert load(program, path, *window) == 1


@pytest.mark.parametrize(
    "keys, what",
    [
        ({"column": "n"}, "`n` is in the files"),
        ({"column": "x"}, "no column `x`"),
        ({"by": "modified", "initial": "soon"}, "`soon` is not a moment"),
        ({"by": "modified", "lag": "2h"}, "files are loaded whole, and once"),
        ({}, "does not say what is watched"),
    ],
)
def test_what_files_cannot_tell_is_refused(program, keys, what):
    write(program, "a.csv", 1)
    line, _ = program.refused("run", files_job(program, **keys))
    assert what in line, line


def test_a_text_that_is_not_compared_by_its_bytes_is_refused(program, mariadb):
    mariadb.run("DROP TABLE IF EXISTS t", "CREATE TABLE t (id varchar(20))")
    line, _ = program.refused("run", job(program, None, source=mariadb.source()))
    assert "whose values do not tell what is new" in line


def test_queries_of_mysql_are_refused(program, mariadb):
    mariadb.run("DROP TABLE IF EXISTS t", "CREATE TABLE t (id int)")
    line, _ = program.refused(
        "run", job(program, None, table='SELECT id FROM t WHERE "a" = "a"', source=mariadb.source())
    )
    assert "make it a view, and name that as a table" in line


def test_a_watermark_says_nothing_of_another_target(program):
    (program.folder / "t.csv").write_text("id\n1\n")
    relations = [{"table": "t.csv", "as": "t", "incremental": {"by": "modified"}}]

    def into(lake):
        target = {"url": f"file://{program.folder}/{lake}", "mode": "append"}
        return program.job({"url": f"file://{program.folder}/"}, relations=relations, target=target)

    program.ok("run", into("one"))
    line, code = program.refused("run", into("two"))
    assert code == 2 and "is empty" in line and "longshore state reset" in line
    program.ok("state", "reset", into("two"), "t")
    program.ok("run", into("two"))


def test_values_below_zero_need_no_other_way_to_be_given(program, server):
    with server.connect() as connection:
        connection.execute(
            "DROP TABLE IF EXISTS below; CREATE TABLE below AS SELECT g AS id FROM generate_series(-9, 9) g"
        )
    job = program.postgres(
        server,
        relations=[{"table": "below", "incremental": {"column": "id"}}],
        target={"url": f"file://{program.lake}", "mode": "append"},
    )
    assert program.report("run", job, "--from", "-5", "--to", "-2")["rows"] == 3
    program.ok("state", "set", job, "below", "-3")
    assert program.report("run", job)["rows"] == 12
    with server.connect() as connection:
        connection.execute("DROP TABLE below")


def test_a_watermark_of_another_order_is_refused(program, server):
    with server.connect() as connection:
        connection.execute(
            "DROP TABLE IF EXISTS retyped; CREATE TABLE retyped AS SELECT g AS id FROM generate_series(1, 9) g"
        )
    job = program.postgres(
        server,
        relations=[{"table": "retyped", "incremental": {"column": "id", "late": "ignore"}}],
        transform=[{"sql": "SELECT CAST(id AS INT) AS id FROM data"}],
        target={"url": f"file://{program.lake}", "mode": "append"},
    )
    program.ok("run", job)
    with server.connect() as connection:
        connection.execute("ALTER TABLE retyped ALTER id TYPE bigint; INSERT INTO retyped VALUES (10)")
    assert program.report("run", job)["rows"] == 1
    with server.connect() as connection:
        connection.execute(
            "ALTER TABLE retyped ALTER id TYPE text COLLATE \"C\"; INSERT INTO retyped VALUES ('11')"
        )
    said, _ = program.refused("run", job)
    assert "its values were numbers or times, and are texts: what is new after 10 is not known" in said, said
    program.ok("state", "set", job, "retyped", "10")
    # As texts, 2 to 9 come after 10, too.
    assert program.report("run", job)["rows"] == 9
    with server.connect() as connection:
        connection.execute("DROP TABLE retyped")
