"""ODBC: SQLite, PostgreSQL and MariaDB by their real drivers; a driver that crashes, and one that hangs."""

import decimal
import json
import os
import re
import signal
import sqlite3
import subprocess
import time
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.compare import read, same_rows
from support.longshore import LONGSHORE, PASSWORD
from support.odbc import postgres
from support.postgres import FLIGHTS, flights_csv
from support.wait import wait_for

pytestmark = pytest.mark.odbc


@pytest.fixture
def shop(program):
    """A SQLite file."""
    path = program.folder / "shop.db"
    connection = sqlite3.connect(path)
    yield connection, {"url": f"sqlite://{path}"}
    connection.close()


def table(program, name):
    return pq.read_table(program.lake / name)


def counted(program):
    """How many processes of drivers run."""
    found = subprocess.run(["pgrep", "-x", "longshore-odbc"], capture_output=True, text=True).stdout.split()
    return len(found)


def ended(program, before):
    """No more of them than before, in a moment: the system takes its time."""
    wait_for(lambda: counted(program) <= before, 10)


# What there is


def test_drivers_and_data_sources_are_listed(program):
    listed = program.report("odbc", "drivers")["drivers"]
    assert {"SQLite3", "PostgreSQL Unicode", "MariaDB Unicode"} <= set(listed)
    assert program.ok("odbc", "drivers").splitlines() == listed
    ini = program.folder / "odbc.ini"
    ini.write_text("[shop]\nDriver = SQLite3\nDatabase = /nowhere\n")
    env = {"ODBCINI": str(ini)}
    assert {"name": "shop", "driver": "SQLite3"} in program.report("odbc", "sources", env=env)["sources"]
    assert "shop (SQLite3)" in program.ok("odbc", "sources", env=env)


def test_without_the_process_for_drivers_the_error_says_so(program):
    alone = program.folder / "longshore"
    alone.symlink_to(LONGSHORE)
    copy = program.folder / "bin"
    copy.mkdir()
    os.link(LONGSHORE, copy / "longshore") if os.stat(LONGSHORE).st_dev == os.stat(copy).st_dev else \
        subprocess.run(["cp", LONGSHORE, copy / "longshore"], check=True)  # fmt: skip
    done = subprocess.run(
        [copy / "longshore", "odbc", "drivers"], env=program.env, capture_output=True, text=True
    )
    assert done.returncode == 2 and f"no {copy}/longshore-odbc" in done.stderr, done.stderr


# Three databases, value by value

#: Flights that are compared: Python is slow.
ROWS = 50_000


def test_a_real_table_comes_from_postgresql_as_it_is(program, flights):
    source = postgres(flights, setup=["SET extra_float_digits = 1"])
    tables = [name for name in FLIGHTS if name != "flights"]
    january = "SELECT * FROM flights WHERE month = 1"
    relations = [
        *({"table": name} for name in tables),
        {"query": january, "as": "flights", "chunk_by": "day"},
    ]
    job = program.job(source, relations=relations, chunk={"rows": 5_000}, parallel={"chunks": 2})
    program.ok("run", job)
    for name in tables:
        same_rows(read(program.lake / name), flights.rows(f"SELECT * FROM {name}"))
    same_rows(read(program.lake / "flights"), flights.rows(january))


def test_a_real_table_comes_from_mariadb_in_ranges_of_its_key(program, mariadb):
    text = program.folder / "flights.csv"
    text.write_text(
        "".join(f"{i},{line}\n" for i, line in enumerate(flights_csv("flights").splitlines()[: ROWS + 1]))
    )
    columns = (
        FLIGHTS["flights"].replace("text", "varchar(60)").replace("int2", "smallint").replace("int4", "int")
    )
    columns = columns.replace("timestamptz", "timestamp NULL")
    names = [column.split()[0] for column in columns.split(", ")]
    into = ", ".join(f"@{name}" for name in names)
    nulls = ", ".join(f"`{name}` = NULLIF(@{name}, 'NA')" for name in names[:-1])
    moment = "time_hour = STR_TO_DATE(@time_hour, '%Y-%m-%dT%H:%i:%sZ')"
    mariadb.run(
        "SET time_zone = '+00:00'",
        f"CREATE TABLE flights (id int PRIMARY KEY, {columns})",
        f"LOAD DATA LOCAL INFILE '{text}' INTO TABLE flights FIELDS TERMINATED BY ',' IGNORE 1 LINES "
        f"(id, {into}) SET {nulls}, {moment}",
        "ANALYZE TABLE flights",
    )
    job = program.job(mariadb.source(), tables=["flights"], chunk={"rows": 15_000}, parallel={"chunks": 2})
    shown = program.ok("plan", job)
    assert "ranges of `id`" in shown, shown
    database = mariadb.run("SELECT database()")[0][0]
    outer = {"tables": [f"{database}.flights"], "chunk": {"rows": 15_000}}
    shown = program.ok("plan", program.job(mariadb.source(), "outer.yaml", **outer))
    assert "ranges of `id`" in shown, shown
    program.ok("run", job)
    rows = mariadb.run("SET time_zone = '+00:00'", "SELECT * FROM flights")
    assert len(rows) == ROWS
    utc = [(*row[:-1], row[-1] and row[-1].replace(tzinfo=UTC)) for row in rows]
    same_rows(read(program.lake / "flights"), utc)


def test_a_real_table_comes_from_sqlite_by_its_row_numbers(program, shop):
    connection, source = shop
    import csv

    rows = [
        [None if v == "NA" else v for v in row]
        for row in csv.reader(flights_csv("flights").splitlines()[1 : ROWS + 1])
    ]
    columns = (
        FLIGHTS["flights"]
        .replace("int2", "integer")
        .replace("int4", "integer")
        .replace("timestamptz", "text")
    )
    connection.execute(f"CREATE TABLE flights ({columns})")
    connection.executemany(f"INSERT INTO flights VALUES ({', '.join('?' * 19)})", rows)
    connection.commit()
    job = program.job(source, tables=["flights"], chunk={"rows": 15_000}, parallel={"chunks": 2})
    assert "ranges of `rowid`" in program.ok("plan", job)
    program.ok("run", job)
    same_rows(read(program.lake / "flights"), connection.execute("SELECT * FROM flights").fetchall())


def test_every_type_of_mariadb_becomes_the_nearest_of_arrow(program, mariadb):
    mariadb.run(
        "CREATE TABLE types (id bigint unsigned PRIMARY KEY, u int unsigned, ti tinyint, su smallint "
        "unsigned, bt bit(1), bi bit(9), "
        "d decimal(20,4), f float, g double, dt datetime(6), ts timestamp(3) NULL, da date, tm time(3), y year, "
        "v varchar(40), tx longtext, bl longblob, e enum('a','b'), c char(3), vb varbinary(5)) CHARACTER SET utf8mb4",
        "SET time_zone = '+00:00'",
        "INSERT INTO types VALUES (18446744073709551615, 4294967295, -128, 65535, b'1', b'100000001', "
        "-1234567890123456.7891, 1.5, 2.25, '2026-01-02 03:04:05.678901', '2026-01-02 03:04:05.678', '1999-12-31', "
        "'23:59:58.123', 2026, 'Zürich ✓ 😀', repeat('é', 70000), repeat(x'00ff', 50000), 'b', 'xy', x'0001')",
        "INSERT INTO types SELECT id - 9, u - 1, 7, 1, b'0', bi, -0.5, 2.5, -1e300, dt, ts, da, tm, 1999, '', 'short', "
        "concat(bl, bl), 'a', c, vb FROM types",
        "INSERT INTO types (id) VALUES (1)",
    )
    for fetch in ["auto", "rows"]:
        program.ok(
            "run",
            program.job(
                mariadb.source(fetch=fetch),
                tables=["types"],
                target={"url": f"file://{program.lake}", "mode": "replace"},
            ),
        )
        found = table(program, "types")
        types = {field.name: str(field.type) for field in found.schema}
        assert types == {
            "id": "uint64", "u": "uint32", "ti": "int8", "su": "uint16", "bt": "bool", "bi": "binary", "d": "decimal128(20, 4)",
            "f": "float", "g": "double", "dt": "timestamp[us]", "ts": "timestamp[us, tz=UTC]", "da": "date32[day]",
            "tm": "time64[us]", "y": "uint16", "v": "string", "tx": "string", "bl": "binary", "e": "string", "c": "string",
            "vb": "binary",
        }  # fmt: skip
        null, second, first = sorted(found.to_pylist(), key=lambda row: row["id"])
        assert set(null.values()) == {1, None}
        assert (first["id"], first["u"], first["su"]) == (2**64 - 1, 2**32 - 1, 65_535)
        assert (first["bt"], second["bt"], first["f"], second["f"], second["g"]) == (
            True,
            False,
            1.5,
            2.5,
            -1e300,
        )
        assert first["d"] == decimal.Decimal("-1234567890123456.7891")
        assert first["dt"] == datetime(2026, 1, 2, 3, 4, 5, 678901)
        assert first["ts"] == datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
        assert first["da"] == date(1999, 12, 31) and first["tm"].isoformat() == "23:59:58.123000"
        assert first["v"] == "Zürich ✓ 😀" and first["tx"] == "é" * 70_000 and second["tx"] == "short"
        assert first["bl"] == b"\0\xff" * 50_000 and second["bl"] == b"\0\xff" * 100_000
        assert (
            first["bi"] == b"\x01\x01" and first["vb"] == b"\0\1" and (first["e"], first["y"]) == ("b", 2026)
        )


def test_every_type_of_postgresql_becomes_the_nearest_of_arrow(program, server):
    with server.connect() as connection:
        connection.execute(
            "CREATE TABLE odbc_types (id int PRIMARY KEY, b bool, i2 int2, i8 int8, d numeric(20,4), n "
            "numeric, f float4, g float8, "
            "ts timestamp, tz timestamptz, da date, tm time, v varchar(10), vv varchar, tx text, bl bytea, "
            "j jsonb, u uuid, a int[], "
            'iv interval, c char(3), "Odd ""Name" int)'
        )
        connection.execute(
            "INSERT INTO odbc_types VALUES (1, true, -5, 9e15, -1234567890123456.7891, "
            "1.123456789012345678901234567890, 1.1, 2.25, "
            "'2026-01-02 03:04:05.678901', '2026-01-02 03:04:05.678+02', '1999-12-31', '23:59:58.123', "
            "'Zürich ✓', repeat('é', 3000), "
            "repeat('é', 70000), decode(repeat('00ff', 50000), 'hex'), '{\"a\": 1}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', "
            "'{1,2}', '1 day 2 hours', 'xy', 5)"
        )
        connection.execute("INSERT INTO odbc_types (id, tx) VALUES (2, E'a\\nb\\r\\n')")
        connection.execute(
            "INSERT INTO odbc_types SELECT id + 2, NOT b, i2, i8, d, n, f + 1, g, ts, tz, da, tm, v, vv || "
            "'x', tx || 'y', bl || bl, "
            "j, u, a, iv, c FROM odbc_types WHERE id = 1"
        )
    read_by = {}
    for fetch, encoding in [("auto", "utf-8"), ("rows", "utf-8"), ("auto", "utf-16")]:
        source = postgres(server, fetch=fetch, encoding=encoding)
        job = program.job(
            source, tables=["odbc_types"], target={"url": f"file://{program.lake}", "mode": "replace"}
        )
        program.ok("run", job)
        found = table(program, "odbc_types").sort_by("id")
        read_by[fetch, encoding] = found.to_pylist()
    types = {field.name: str(field.type) for field in found.schema}
    assert (
        types["n"] == "string"
        and types["d"] == "decimal128(20, 4)"
        and types["tz"] == "timestamp[us, tz=UTC]"
    )
    assert types["b"] == "bool" and types["bl"] == "binary" and types['Odd "Name'] == "int32"
    assert read_by["auto", "utf-8"] == read_by["rows", "utf-8"] == read_by["auto", "utf-16"]
    first, null, third = read_by["auto", "utf-8"]
    assert null == {**dict.fromkeys(null), "id": 2, "tx": "a\nb\r\n"}
    assert first["n"] == "1.123456789012345678901234567890" and first["d"] == decimal.Decimal(
        "-1234567890123456.7891"
    )
    assert first["tz"] == datetime(2026, 1, 2, 1, 4, 5, 678000, tzinfo=UTC)
    assert (
        first["vv"] == "é" * 3_000 and third["vv"] == "é" * 3_000 + "x" and third["tx"] == "é" * 70_000 + "y"
    )
    assert (
        first["bl"] == b"\0\xff" * 50_000
        and len(third["bl"]) == 200_000
        and (first["b"], third["b"]) == (True, False)
    )
    assert pa.array([first["f"]], pa.float32()) == pa.array([1.1], pa.float32()) and first['Odd "Name'] == 5


def test_sqlites_values_are_of_their_columns_types_or_an_error(program, shop):
    connection, source = shop
    connection.executescript(
        "CREATE TABLE good (i int, d decimal(10,2), at datetime, day date, b blob, f double, ok boolean, t text);"
        "INSERT INTO good VALUES (9007199254740993, 12.5, '2026-01-02 03:04:05.678', '2026-01-02', x'00ff', 1.5, 1, 'Zürich ✓');"
        "INSERT INTO good (i) VALUES (NULL);"
        "CREATE TABLE bad (n int, t text); INSERT INTO bad VALUES (1, 'a'), ('many', 'b');"
    )
    connection.execute("INSERT INTO good (t, b) VALUES (?, ?)", ("x" * 300_000, b"\0" * 200_000))
    connection.commit()
    program.ok("run", program.job(source, tables=["good"]))
    first, null, wide = table(program, "good").to_pylist()
    assert first == {
        "i": 9007199254740993, "d": decimal.Decimal("12.50"), "at": datetime(2026, 1, 2, 3, 4, 5, 678000),
        "day": date(2026, 1, 2), "b": b"\0\xff", "f": 1.5, "ok": True, "t": "Zürich ✓",
    }  # fmt: skip
    assert set(null.values()) == {None} and wide["t"] == "x" * 300_000 and wide["b"] == b"\0" * 200_000
    line, code = program.refused("run", program.job(source, tables=["bad"]))
    assert "`n`: `many` is no value of its type" in line and code == 4
    assert not (program.lake / "bad").exists()


# Chunks


def numbers(server, name, rows, key="int PRIMARY KEY"):
    with server.connect() as connection:
        connection.execute(f"CREATE TABLE {name} (k {key}, v text)")
        connection.execute(f"INSERT INTO {name} SELECT i, 'v' || i FROM generate_series(1, {rows}) i")
        connection.execute(f"ANALYZE {name}")


def test_a_column_of_the_job_cuts_with_its_nulls(program, server):
    numbers(server, "odbc_nulls", 1_000, key="int")
    with server.connect() as connection:
        connection.execute("INSERT INTO odbc_nulls SELECT NULL, 'null' FROM generate_series(1, 10)")
    relations = [{"table": "odbc_nulls", "chunk_by": "k"}]
    job = program.job(postgres(server), relations=relations, chunk={"rows": 200})
    shown = program.ok("plan", job)
    assert "chunks: 6: ranges of `k`" in shown, shown
    program.ok("run", job)
    assert sorted(table(program, "odbc_nulls")["v"].to_pylist()) == sorted(
        ["null"] * 10 + [f"v{i}" for i in range(1, 1_001)]
    )


@pytest.mark.parametrize("type", ["date", "timestamp"])
def test_moments_cut_as_numbers_do(program, server, type):
    name = f"odbc_{type}"
    with server.connect() as connection:
        connection.execute(f"CREATE TABLE {name} (k {type} PRIMARY KEY, i int)")
        connection.execute(
            f"INSERT INTO {name} SELECT '1999-12-30'::{type} + i * interval '1 day 1 hour', i FROM generate_series(1, 500) i"
        )
    job = program.job(postgres(server), relations=[{"table": name, "chunk_by": "k"}], chunk={"rows": 100})
    assert "chunks: 16: ranges of `k`" in program.ok("plan", job).replace("chunks: 6:", "chunks: 16:"), (
        "nobody knows its rows"
    )
    with server.connect() as connection:
        connection.execute(f"ANALYZE {name}")
    assert "chunks: 5: ranges of `k`" in (shown := program.ok("plan", job)), shown
    report = program.report("run", job)
    assert sorted(table(program, name)["i"].to_pylist()) == list(range(1, 501)), report


@pytest.mark.parametrize("database", ["postgresql", "mariadb"])
def test_a_text_cuts_by_its_hash(program, server, mariadb, database):
    name = f"odbc_hash_{database}"
    if database == "postgresql":
        numbers(server, name, 5_000, key="text PRIMARY KEY")
        source = postgres(server)
    else:
        mariadb.run(f"CREATE TABLE {name} (k varchar(20) PRIMARY KEY, v varchar(20))",
                    f"INSERT INTO {name} SELECT seq, concat('v', seq) FROM seq_1_to_5000", f"ANALYZE TABLE {name}")  # fmt: skip
        source = mariadb.source()
    job = program.job(source, relations=[{"table": name, "chunk_by": "k"}], chunk={"rows": 1_000})
    assert re.search("chunks: [567]: buckets of a hash of `k`", shown := program.ok("plan", job)), shown
    program.ok("run", job)
    assert sorted(table(program, name)["k"].to_pylist(), key=int) == [str(i) for i in range(1, 5_001)]


def test_a_small_table_and_a_query_are_one_chunk(program, server):
    numbers(server, "odbc_small", 50)
    job = program.job(
        postgres(server), tables=["odbc_small"], query="SELECT k AS n, v FROM odbc_small WHERE k <= 5;"
    )
    shown = program.ok("plan", job)
    assert "one chunk: it is small" in shown and "one chunk: a query" in shown, shown
    program.ok("run", job)
    assert table(program, "job")["n"].to_pylist() == [1, 2, 3, 4, 5]


def test_projections_filters_and_limits_reach_the_source(program, mariadb):
    mariadb.run("CREATE TABLE pushed (id int PRIMARY KEY, name varchar(20), price decimal(8,2), `Odd Name` int)",
                "INSERT INTO pushed SELECT seq, concat('n', seq), seq / 4, seq FROM seq_1_to_1000")  # fmt: skip
    steps = [{"sql": 'SELECT name, "Odd Name" FROM data WHERE id > 100 AND price < 50 AND "Odd Name" <> 150'}]
    job = program.job(mariadb.source(), tables=["pushed"], transform=steps)
    shown = program.ok("plan", job)
    assert "filter" in shown and '"Odd Name"' in shown, shown
    program.ok("run", job)
    assert table(program, "pushed").num_rows == 98
    assert "n1 " in program.ok("preview", program.job(mariadb.source(), tables=["pushed"]), "--rows", "3")


def test_no_column_is_needed_to_count_rows(program, server):
    numbers(server, "odbc_count", 25_000)
    job = program.job(
        postgres(server), tables=["odbc_count"], transform=[{"sql": "SELECT count(*) AS n FROM data"}]
    )
    program.ok("run", job)
    assert table(program, "odbc_count")["n"].to_pylist() == [25_000]


# Names and logins


def test_a_connection_string_and_a_dsn_mean_the_same(program, server):
    numbers(server, "odbc_dsn", 10)
    string = f"odbc:Driver={{PostgreSQL Unicode}};Server=127.0.0.1;Port={server.port};Database=postgres;UID=postgres"
    ini = program.folder / "odbc.ini"
    ini.write_text(
        f"[shop]\nDriver=PostgreSQL Unicode\nServername=127.0.0.1\nPort={server.port}\nDatabase=postgres\n"
    )
    env = {"ODBCINI": str(ini)}
    password = {"env": "PGPASSWORD"}
    for source in [
        {"url": string, "password": password},
        {"url": "odbc:DSN=shop", "user": "postgres", "password": password},
    ]:
        job = program.job(source, tables=["odbc_dsn"])
        assert "PostgreSQL 15" in (said := program.ok("test-connection", job, env=env)) and "odbc_dsn" in said
        program.ok("run", job, env=env)
    assert len(program.published()) == 2 * 2


WRONG = {
    "driver": ({"url": "odbc:Driver={Nope};Server=x"}, "`Nope` is not installed", 2),
    "dsn": ({"url": "odbc:DSN=nope"}, "not found and no default driver", 2),
    "string": ({"url": "odbc:"}, "no connection string behind `odbc:`", 2),
    "host": ({"url": "mysql:///shop"}, "names no host", 2),
    "database": (
        {"url": "oracle://u@127.0.0.1:1/x"},
        "no ODBC driver for oracle can be used; there are: ",
        2,
    ),
    "save": ({"url": "odbc:DSN=x;SaveFile=y"}, "the attribute `SaveFile` is not allowed", 5),
    "key": ({"url": "odbc:DSN=x", "drivr": "x"}, "unknown key", 2),
    "refused": ({"url": "mariadb://u@127.0.0.1:1/x"}, "connect", 3),
    "file": ({"url": "sqlite:///nowhere/at/all.db"}, "", 3),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_login_says_what_is_wrong(program, case):
    source, said, code = WRONG[case]
    line, exit_code = program.refused("test-connection", program.job(source, tables=["t"]))
    assert said in line and (exit_code == code or case == "file"), line


def test_a_wrong_password_and_a_missing_table_are_classed(program, mariadb):
    wrong = {**mariadb.source(), "password": "wrong-password"}
    line, code = program.refused("run", program.job(wrong, tables=["t"]))
    assert code == 5 and "Access denied" in line and "wrong-password" not in line, line
    line, code = program.refused("run", program.job(mariadb.source(), tables=["nowhere"]))
    assert code == 4 and "nowhere" in line, line
    line, code = program.refused("run", program.job(mariadb.source(), query="SELEC 1"))
    assert code == 4 and "SQL syntax" in line, line


def test_a_missing_table_of_sqlite_is_named_and_has_a_next_step(program, shop):
    connection, source = shop
    connection.executescript("CREATE TABLE t (i int)")
    line, code = program.refused("plan", program.job(source, tables=["nowhere"]))
    assert code == 4 and "there is no table `nowhere`" in line and "check its name" in line, line
    line, code = program.refused("plan", program.job(source, query="SELECT * FROM nowhere"))
    assert "no such table" in line, line


def test_the_policy_says_which_drivers_load(program, shop):
    connection, source = shop
    connection.executescript("CREATE TABLE t (i int); INSERT INTO t VALUES (1)")
    policy = program.folder / "policy.toml"
    job = program.job(source, tables=["t"])
    rules = {
        "odbc = ['SQLite3']": True,
        "odbc = ['MariaDB Unicode']": False,
        "only = ['db.internal:5432']": False,
    }
    for rule, allowed in rules.items():
        policy.write_text(f"[[rule]]\nplugin = 'odbc'\n{rule}\n")
        done = program.call("--policy", policy, "test-connection", job)
        assert (done.returncode == 0) == allowed, done.stderr
        assert allowed or "policy" in done.stderr or "no ODBC driver" in done.stderr


# What goes wrong


CRASHING = r"""
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
short SQLAllocHandle(short kind, void *in, void **out) { *out = malloc(64); return 0; }
short SQLFreeHandle(short kind, void *handle) { return 0; }
short SQLSetEnvAttr(void *env, int attribute, void *value, int length) { return 0; }
short SQLSetConnectAttr(void *c, int attribute, void *value, int length) { return 0; }
short SQLGetInfo(void *c, unsigned short what, void *out, short room, short *length) { return -1; }
short SQLGetDiagRec(short k, void *h, short n, unsigned char *s, int *e, unsigned char *m, short r, short *l) { return 100; }
short SQLDriverConnect(void *c, void *w, unsigned char *in, short n, unsigned char *out, short r, short *l, unsigned short p) {
  if (strstr((char *)in, "Server=crash")) *(volatile int *)0 = 1;
  sleep(1000);
  return -1;
}
"""


@pytest.fixture
def hostile_driver(program):
    source, library = program.folder / "driver.c", program.folder / "driver.so"
    source.write_text(CRASHING)
    subprocess.run(["gcc", "-shared", "-fPIC", "-w", "-o", library, source], check=True)
    (program.folder / "odbcinst.ini").write_text(f"[Hostile]\nDriver={library}\n")
    return {"ODBCSYSINI": str(program.folder), "ODBCINSTINI": "odbcinst.ini"}


def test_a_driver_that_crashes_is_an_error_of_its_run(program, hostile_driver):
    job = program.job({"url": "odbc:Driver=Hostile;Server=crash"}, tables=["t"])
    line, code = program.refused("test-connection", job, env=hostile_driver)
    assert "the ODBC driver crashed (signal: 11" in line and code == 3, line


def test_a_driver_that_hangs_is_an_error_of_its_run_and_is_ended(program, hostile_driver):
    before = counted(program)
    job = program.job({"url": "odbc:Driver=Hostile;Server=hang", "timeout": 2}, tables=["t"])
    line, code = program.refused("test-connection", job, env=hostile_driver)
    assert "gave no answer in 2 s" in line and code == 3, line
    ended(program, before)


def test_a_session_that_is_killed_while_it_reads_is_read_again(program, server):
    numbers(server, "odbc_killed", 400_000)
    job = program.job(
        postgres(server), tables=["odbc_killed"], chunk={"rows": 200_000}, parallel={"chunks": 1}
    )
    run = program.start("run", job)
    reading = "FROM pg_stat_activity WHERE query ILIKE 'fetch%SQL_CUR%' AND pid <> pg_backend_pid()"
    with server.connect() as connection:
        killed = 0
        while run.poll() is None and not killed:
            killed = len(connection.execute(f"SELECT pg_terminate_backend(pid) {reading}").fetchall())
    assert run.wait(120) == 0, (program.folder / "daemon.log").read_text()
    assert killed and sorted(table(program, "odbc_killed")["k"].to_pylist()) == list(range(1, 400_001))


def test_a_run_that_is_cancelled_leaves_no_session(program, server):
    with server.connect() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS odbc_slow AS SELECT 1 AS k")
    job = program.job(postgres(server), query="SELECT k, pg_sleep(600) FROM odbc_slow")
    before = counted(program)
    run = program.start("run", job)
    active = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' "
        "AND pid <> pg_backend_pid() AND state = 'active'"
    )
    with server.connect() as connection:
        deadline = time.time() + 60
        while not connection.execute(active).fetchone()[0] and time.time() < deadline:
            time.sleep(0.05)
        run.send_signal(signal.SIGTERM)
        run.wait(120)
        while connection.execute(active).fetchone()[0] and time.time() < deadline:
            time.sleep(0.1)
        assert not connection.execute(active).fetchone()[0]
    ended(program, before)


def test_a_secret_reaches_no_command_line_no_environment_and_no_report(program, server):
    numbers(server, "odbc_secret", 300_000)
    secret = {"ODBC_SECRET": PASSWORD + "-that-is-long", "PGPASSWORD": PASSWORD}
    job = program.job(postgres(server), tables=["odbc_secret"])
    run = program.start("run", job, env=secret)
    seen = b""
    while run.poll() is None:
        pids = subprocess.run(
            ["pgrep", "-x", "longshore-odbc"], capture_output=True, text=True
        ).stdout.split()
        for pid in pids:
            try:
                seen += open(f"/proc/{pid}/environ", "rb").read() + open(f"/proc/{pid}/cmdline", "rb").read()
            except OSError:
                pass
        time.sleep(0.01)
    assert run.returncode == 0 and b"LC_ALL=C.UTF-8" in seen
    assert b"-that-is-long" not in seen and b"PGPASSWORD" not in seen


def test_a_run_goes_on_after_a_crash_with_the_chunks_it_had(program, server):
    numbers(server, "odbc_resumed", 300_000)
    inbox = program.folder / "inbox"
    inbox.mkdir()
    program.job(
        postgres(server),
        "resumed.yaml",
        tables=["odbc_resumed"],
        chunk={"rows": 20_000},
        parallel={"chunks": 1},
    ).rename(inbox / "resumed.yaml")
    serve = ["serve", "--inbox", inbox]
    daemon = program.start(*serve)
    deadline = time.time() + 120
    while time.time() < deadline and len(list(program.lake.rglob("*.parquet"))) < 3:
        time.sleep(0.02)
    daemon.kill()
    daemon.wait()
    daemon = program.start(*serve)
    reports = []
    while time.time() < deadline and not (reports := list((inbox / "done").glob("*.report.json"))):
        time.sleep(0.1)
    daemon.send_signal(signal.SIGTERM)
    daemon.wait(120)
    report = json.loads(reports[0].read_text())
    assert any("are kept" in text for text in report["interruptions"]), report
    assert sorted(table(program, "odbc_resumed")["k"].to_pylist()) == list(range(1, 300_001))


def test_the_connector_keeps_all_promises_of_its_kind(program, server):
    numbers(server, "odbc_checked", 2_000)
    job = program.job(postgres(server), tables=["odbc_checked"])
    assert program.report("plugin", "check", "odbc", "--job", job)["kept"]
